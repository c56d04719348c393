"""Every method of the admin API, asked by every kind of caller, over a real socket with real certificates.

The list of methods comes from the contract, so that a new one without a row in the table of permissions fails here.
"""

import importlib
import pkgutil
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor

import shualian.admin.v1
from device_registry import Authority
from device_registry.authority.keys import make_private_key
from device_registry.operators.roles import Role
from server.administration.permissions import PERMISSIONS
from server.administration.services import SERVICES
from shualian.admin.v1 import registry_pb2, registry_pb2_grpc
from shualian.terminal.v1 import settlement_pb2, settlement_pb2_grpc
from tests.integration.administration.conftest import Operators
from tests.support.operators import (
    EnrolledOperator,
    a_lapsed_operator,
    admin_channel,
    an_operator,
    an_unknown_operator,
    pem_of,
)
from tests.support.platform import RunningPlatform, an_enrolled_terminal, channel_to, refusal

pytestmark = pytest.mark.asyncio(loop_scope="module")

METHODS: dict[str, MethodDescriptor] = {
    f"{service.descriptor.full_name}/{method.name}": method
    for service in SERVICES
    for method in service.descriptor.methods
}
NO_MESSAGE = b"\xff"
"""What no message parses from: whoever is let in is told so, and nothing is done."""
SILENCE_SECONDS = 30.0

Answer = tuple[str, str, str]
"""Status, reason, and the role that is needed."""


async def test_each_method_has_its_row_and_each_row_its_method() -> None:
    assert set(PERMISSIONS) == set(METHODS)


async def test_each_service_of_the_contract_is_served() -> None:
    in_contract = set()
    for module in pkgutil.iter_modules(shualian.admin.v1.__path__):
        if module.name.endswith("_pb2"):
            contract = importlib.import_module(f"shualian.admin.v1.{module.name}").DESCRIPTOR
            in_contract |= {service.full_name for service in contract.services_by_name.values()}

    assert {service.descriptor.full_name for service in SERVICES} == in_contract


@pytest.mark.parametrize("role", Role)
async def test_a_role_opens_what_its_rank_covers_and_nothing_else(operators: Operators, role: Role) -> None:
    answers = await asked(operators[role].channel())

    expected = {
        path: PASSED if role.covers(needed) else ("PERMISSION_DENIED", "ROLE_MISSING", needed.value)
        for path, needed in PERMISSIONS.items()
    }
    assert answers == expected


async def test_an_operator_who_was_locked_out_reaches_nothing(running: RunningPlatform) -> None:
    operator = await an_operator(running, name="revoked")
    await running.write(
        lambda connection: running.domain.operators.revoke(
            connection, name="revoked", reason="left", actor="operator:test"
        )
    )

    assert refusals(await asked(operator.channel())) == {("PERMISSION_DENIED", "OPERATOR_REVOKED")}


async def test_an_operator_whom_nobody_added_reaches_nothing(running: RunningPlatform) -> None:
    answers = await asked(an_unknown_operator(running).channel())

    assert refusals(answers) == {("UNAUTHENTICATED", "OPERATOR_UNKNOWN")}


async def test_i01_a_terminal_reaches_nothing_of_the_admin_api(running: RunningPlatform) -> None:
    terminal = await an_enrolled_terminal(running, serial_number="MATRIX-1")

    answers = await asked(admin_channel(running, key=terminal.key, chain_pem=terminal.chain_pem))

    assert refusals(answers) == {("PERMISSION_DENIED", "CERTIFICATE_OF_A_TERMINAL")}


async def test_without_a_certificate_nobody_gets_a_connection(running: RunningPlatform) -> None:
    assert refusals(await asked(admin_channel(running, key=None, chain_pem=None))) == NO_CONNECTION


async def test_a_certificate_of_another_authority_gets_no_connection(
    running: RunningPlatform, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Authority.create(
        tmp_path_factory.mktemp("other") / "ca", passphrase=b"another passphrase", now=running.domain.now
    )
    key = make_private_key()
    issued = other.issue_operator(name="the-security", public_key=key.public_key(), now=running.domain.now())

    answers = await asked(admin_channel(running, key=key, chain_pem=pem_of(issued.certificate_chain_der)))

    assert refusals(answers) == NO_CONNECTION


async def test_a_certificate_that_has_lapsed_gets_no_connection(running: RunningPlatform) -> None:
    assert refusals(await asked(a_lapsed_operator(running).channel())) == NO_CONNECTION


async def test_i01_an_operator_reaches_nothing_of_a_terminal(running: RunningPlatform) -> None:
    operator = await an_operator(running, name="on-the-wrong-port")
    async with channel_to_terminals(operator) as channel:
        stub = settlement_pb2_grpc.SettlementServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.GetSettlement(settlement_pb2.GetSettlementRequest())

    assert refusal(refused.value).reason == "CERTIFICATE_UNKNOWN"


async def test_a_method_that_is_not_there_is_known_to_operators_alone(running: RunningPlatform) -> None:
    operator = await an_operator(running, Role.VIEWER, name="curious")
    answers = {}
    for caller in (operator, an_unknown_operator(running)):
        async with caller.channel() as channel:
            answers[caller.name] = await answered(channel, "shualian.admin.v1.RegistryService/NotThere", None)

    assert answers["curious"][:2] == ("UNIMPLEMENTED", "METHOD_UNKNOWN")
    assert answers["nobody"][:2] == ("UNAUTHENTICATED", "OPERATOR_UNKNOWN")


async def test_denied_calls_are_counted_by_their_reason(running: RunningPlatform) -> None:
    operator = await an_operator(running, Role.VIEWER, name="counted")
    labels = {"service": "RegistryService", "method": "AddSite", "reason": "ROLE_MISSING"}
    before = running.counted("rpc_refusals_total", **labels)

    async with operator.channel() as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await registry_pb2_grpc.RegistryServiceStub(channel).AddSite(registry_pb2.AddSiteRequest())

    assert running.counted("rpc_refusals_total", **labels) == before + 1


PASSED: Answer = ("", "", "")
NO_CONNECTION = {("UNAVAILABLE", "")}


async def asked(channel: grpc.aio.Channel) -> dict[str, Answer]:
    """Ask every method over one connection; whoever was let in has passed, whatever the answer."""
    async with channel:
        return {path: await answered(channel, path, method) for path, method in METHODS.items()}


async def answered(channel: Any, path: str, method: MethodDescriptor | None) -> Answer:  # noqa: ANN401  # calls bare bytes
    """Ask one method with what is no message; a stream of requests is ended without any."""
    try:
        if method is not None and method.client_streaming:
            await streamed(channel, path, method)
        elif method is not None and method.server_streaming:
            async for _ in channel.unary_stream(f"/{path}")(NO_MESSAGE, timeout=SILENCE_SECONDS):
                return PASSED
        else:
            await channel.unary_unary(f"/{path}")(NO_MESSAGE)
    except grpc.aio.AioRpcError as error:
        found = refusal(error)
        is_passed = found.reason == "INVALID_REQUEST" or found.code is grpc.StatusCode.DEADLINE_EXCEEDED
        return PASSED if is_passed else (found.code.name, found.reason, found.metadata.get("needed", ""))
    return PASSED


async def streamed(channel: Any, path: str, method: MethodDescriptor) -> None:  # noqa: ANN401  # as above
    """Open a stream of requests and end it at once."""
    make = channel.stream_stream if method.server_streaming else channel.stream_unary
    call = make(f"/{path}")(iter(()), timeout=SILENCE_SECONDS)
    if not method.server_streaming:
        await call
        return
    async for _ in call:
        return


def refusals(answers: dict[str, Answer]) -> set[tuple[str, str]]:
    """Return how the methods refused; one who goes on asking hears after a while only when to come back."""
    return {(code, reason) for code, reason, _ in answers.values() if reason != "RATE_LIMITED"}


def channel_to_terminals(operator: EnrolledOperator) -> grpc.aio.Channel:
    """Return a connection to the terminal port with an operator's certificate."""
    return channel_to(operator.running, operator.key, operator.chain_pem)
