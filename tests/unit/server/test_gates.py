"""Every method of a terminal's service against every class, from the contract itself."""

import pytest

from device_registry import TerminalClass
from server.gates import AUTHORIZATIONS, METHODS, class_needed, refuse_class
from server.refusals import TerminalClassError
from shualian.terminal.v1 import device_pb2, face_pb2, settlement_pb2

SERVICES = [
    service for file in (device_pb2, face_pb2, settlement_pb2) for service in file.DESCRIPTOR.services_by_name.values()
]
CALLS = [f"{service.name}/{method.name}" for service in SERVICES for method in service.methods]
NEEDS_MORE = {"FaceService/Authenticate": TerminalClass.FACE}


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
    [("face", TerminalClass.FACE), ("card", TerminalClass.CARD), ("bare_id_number", TerminalClass.SCAN)],
)
def test_a_way_to_pay_is_offered_from_its_class_on(way: str, lowest: TerminalClass) -> None:
    assert AUTHORIZATIONS[way] is lowest


def test_a_method_of_ours_without_a_row_is_nobodys_and_health_is_everybodys() -> None:
    with pytest.raises(LookupError):
        class_needed("FaceService", "SomethingNew")
    assert class_needed("Health", "Check") is None
