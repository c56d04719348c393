"""Every method of a terminal's service against every class, from the contract itself."""

import importlib
import pkgutil

import pytest

import shualian.terminal.v1
from device_registry import TerminalClass
from server.gates import AUTHORIZATIONS, METHODS, class_needed, refuse_class
from server.refusals import TerminalClassError
from shualian.terminal.v1 import settlement_pb2

CONTRACTS = [
    importlib.import_module(f"shualian.terminal.v1.{module.name}").DESCRIPTOR
    for module in pkgutil.iter_modules(shualian.terminal.v1.__path__)
    if module.name.endswith("_pb2")
]
STRANGERS = {"EnrollmentService"}
"""On a port of its own, for those who are no terminal yet."""
SERVICES = [
    service for contract in CONTRACTS for service in contract.services_by_name.values() if service.name not in STRANGERS
]
CALLS = [f"{service.name}/{method.name}" for service in SERVICES for method in service.methods]
NEEDS_MORE = {
    "FaceService/Authenticate": TerminalClass.FACE,
    "CredentialService/Activate": TerminalClass.FACE,
    "CredentialService/IssueCode": TerminalClass.CARD,
    "CredentialService/Unbind": TerminalClass.CARD,
    "CredentialService/BindRelative": TerminalClass.CARD,
    "CredentialService/ListRelatives": TerminalClass.CARD,
    "CredentialService/UnbindRelative": TerminalClass.CARD,
}


def test_each_method_of_the_contract_has_a_row_and_each_row_a_method() -> None:
    assert sorted(METHODS) == sorted(CALLS)


def test_each_way_to_pay_has_a_row() -> None:
    ways = settlement_pb2.Authorization.DESCRIPTOR.oneofs_by_name["method"].fields

    assert sorted(AUTHORIZATIONS) == sorted(way.name for way in ways)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("held", TerminalClass)
def test_a_terminal_calls_what_its_class_covers_and_nothing_else(call: str, held: TerminalClass) -> None:
    needed = class_needed(*call.split("/"))
    assert needed is NEEDS_MORE.get(call, TerminalClass.SCAN)
    order = list(TerminalClass)

    if order.index(held) >= order.index(needed):
        refuse_class(held, needed)
        return
    with pytest.raises(TerminalClassError) as caught:
        refuse_class(held, needed)
    assert caught.value.needed == needed.value


@pytest.mark.parametrize(
    ("way", "lowest"),
    [
        ("face", TerminalClass.FACE),
        ("card", TerminalClass.CARD),
        ("code", TerminalClass.SCAN),
        ("bare_id_number", TerminalClass.SCAN),
    ],
)
def test_a_way_to_pay_is_offered_from_its_class_on(way: str, lowest: TerminalClass) -> None:
    assert AUTHORIZATIONS[way] is lowest


def test_a_method_of_ours_without_a_row_is_nobodys_and_health_is_everybodys() -> None:
    with pytest.raises(LookupError):
        class_needed("FaceService", "SomethingNew")
    with pytest.raises(LookupError):
        class_needed("NewService", "Anything")
    assert class_needed("Health", "Check") is None
    assert class_needed("unknown", "unknown") is None  # goes on, to be told that there is no such method
