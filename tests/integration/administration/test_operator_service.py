"""Operators over the admin port: added, renewed, demoted and locked out, with real certificates."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc
import pytest

from device_registry.authority.keys import make_private_key
from device_registry.operators.roles import Role
from shualian.admin.v1 import operator_pb2 as pb
from shualian.admin.v1 import registry_pb2
from shualian.admin.v1.operator_pb2_grpc import OperatorServiceStub
from shualian.admin.v1.registry_pb2_grpc import RegistryServiceStub
from tests.integration.administration.conftest import Operators
from tests.support.operators import EnrolledOperator, admin_channel, an_operator, pem_of
from tests.support.platform import RunningPlatform, refusal, signing_request

if TYPE_CHECKING:
    from shualian.admin.v1.operator_pb2_grpc import OperatorServiceAsyncStub  # in the stubs alone

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECONDS_MAX = 30.0


@asynccontextmanager
async def stub_of(operator: EnrolledOperator) -> AsyncIterator["OperatorServiceAsyncStub"]:
    async with operator.channel() as channel:
        yield OperatorServiceStub(channel)


async def test_who_was_added_over_the_api_calls_with_the_certificate_they_got(
    running: RunningPlatform, operators: Operators
) -> None:
    key = make_private_key()
    async with stub_of(operators[Role.SECURITY]) as stub:
        answer = await stub.AddOperator(
            pb.AddOperatorRequest(name="mei", role=pb.ROLE_VIEWER, signing_request_der=signing_request(key))
        )

    chain = pem_of(answer.certificate.certificate_chain_der)
    async with admin_channel(running, key=key, chain_pem=chain) as channel:
        told = await OperatorServiceStub(channel).WhoAmI(pb.WhoAmIRequest())

    assert (told.actor, told.role) == ("operator:mei", pb.ROLE_VIEWER)
    assert told.certificate_not_after == answer.certificate.not_after
    assert answer.operator.added_by == "operator:the-security"
    assert list(answer.certificate.root_certificates_der) == list(running.domain.authority.root_certificates_der)


async def test_the_list_has_everybody_with_role_and_end_of_the_certificate(operators: Operators) -> None:
    async with stub_of(operators[Role.VIEWER]) as stub:
        listed = (await stub.ListOperators(pb.ListOperatorsRequest())).operators

    by_name = {operator.name: operator for operator in listed}
    assert by_name["the-security"].role == pb.ROLE_SECURITY
    assert by_name["the-security"].HasField("certificate_not_after")
    assert [operator.name for operator in listed] == sorted(by_name)


async def test_a_renewal_is_for_oneself_and_closes_the_old_certificate_at_first_use(running: RunningPlatform) -> None:
    operator, key = await an_operator(running, Role.VIEWER, name="renewing"), make_private_key()
    async with stub_of(operator) as stub:
        renewed = await stub.RenewOperator(pb.RenewOperatorRequest(signing_request_der=signing_request(key)))
        await stub.WhoAmI(pb.WhoAmIRequest())  # the old one is still good

        chain = pem_of(renewed.certificate.certificate_chain_der)
        async with admin_channel(running, key=key, chain_pem=chain) as channel:
            told = await OperatorServiceStub(channel).WhoAmI(pb.WhoAmIRequest())
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.WhoAmI(pb.WhoAmIRequest())

    assert told.actor == "operator:renewing"
    assert refusal(refused.value).reason == "OPERATOR_CERTIFICATE_RETIRED"


async def test_a_role_that_was_changed_holds_for_the_next_call(running: RunningPlatform, operators: Operators) -> None:
    operator = await an_operator(running, Role.SECURITY, name="demoted")
    asked = pb.ChangeRoleRequest(name="demoted", role=pb.ROLE_VIEWER, reason="moved to another team")
    async with stub_of(operator) as stub, stub_of(operators[Role.SECURITY]) as security:
        await security.ChangeRole(asked)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.ChangeRole(pb.ChangeRoleRequest(name="demoted", role=pb.ROLE_SECURITY, reason="back again"))

    assert refusal(refused.value).reason == "ROLE_MISSING"
    assert refusal(refused.value).metadata["needed"] == "SECURITY"


async def test_i02_a_stream_of_who_was_locked_out_is_ended(running: RunningPlatform, operators: Operators) -> None:
    operator = await an_operator(running, Role.VIEWER, name="watching")
    async with operator.channel() as channel, stub_of(operators[Role.SECURITY]) as security:
        call = RegistryServiceStub(channel).WatchTerminals(registry_pb2.WatchTerminalsRequest())

        async def lock_out_and_read_on() -> None:
            async for told in call:
                if told.HasField("caught_up"):
                    await security.RevokeOperator(pb.RevokeOperatorRequest(name="watching", reason="left"))

        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await asyncio.wait_for(lock_out_and_read_on(), SECONDS_MAX)

    assert refusal(refused.value).reason == "OPERATOR_REVOKED"
