"""Operators at a platform whose database was set back: who was locked out stays out, and nothing is made permanent."""

import asyncio
import json
from functools import partial

import grpc
import pytest
from sqlalchemy import select

from device_registry.errors import IssuerNoneActiveError
from device_registry.operators.roles import Role
from device_registry.revocation.revoked import RevocationKind
from device_registry.tables import operators as operators_table
from server.administration.permissions import WHILE_ROLLED_BACK
from shualian.admin.v1 import operator_pb2, operator_pb2_grpc, registry_pb2, registry_pb2_grpc
from shualian.admin.v1 import revocation_pb2 as pb
from shualian.admin.v1.revocation_pb2_grpc import RevocationServiceStub
from tests.integration.administration.test_matrix import METHODS, PASSED, asked
from tests.support.backup import a_backup
from tests.support.database import Database
from tests.support.operators import EnrolledOperator, an_operator
from tests.support.platform import ACTOR, RunningPlatform, a_platform, refusal


async def who_am_i(operator: EnrolledOperator) -> str:
    """Return what somebody is told at the door: their role, or why they may not come in."""
    async with operator.channel() as channel:
        try:
            told = await operator_pb2_grpc.OperatorServiceStub(channel).WhoAmI(operator_pb2.WhoAmIRequest())
        except grpc.aio.AioRpcError as refused:
            return refusal(refused).reason
    return operator_pb2.Role.Name(told.role)


async def set_back(running: RunningPlatform, database: Database, *names: str) -> None:
    """Lock operators out, have it witnessed, and put the database back to the moment before."""
    restore = a_backup(database.engine)
    for name in names:
        await running.write(partial(running.domain.operators.revoke, name=name, reason="left", actor=ACTOR))
    await running.platform.witness.keep()
    await asyncio.to_thread(restore)


async def test_i02_an_operator_whose_lock_out_the_database_forgot_is_not_let_in(database: Database) -> None:
    async with a_platform(store={"url": database.url}) as running:
        eve, lin = await an_operator(running, name="eve"), await an_operator(running, name="lin")
        assert await who_am_i(eve) == await who_am_i(lin) == "ROLE_SECURITY"

        await set_back(running, database, "eve")

        # At once: nobody waits for the job that looks every few seconds.
        assert await who_am_i(eve) == "OPERATOR_REVOKED"
        assert await who_am_i(lin) == "ROLE_SECURITY"


async def test_i10_while_the_database_is_set_back_operators_may_look_and_mend_and_nothing_else(
    database: Database,
) -> None:
    async with a_platform(store={"url": database.url}, limits={"calls_burst": 1_000}) as running:
        await an_operator(running, name="eve")
        lin = await an_operator(running, name="lin")
        await who_am_i(lin)
        await set_back(running, database, "eve")

        answers = await asked(lin.channel())

        assert {path for path, answer in answers.items() if answer == PASSED} == WHILE_ROLLED_BACK
        shut = {answer[1] for path, answer in answers.items() if path not in WHILE_ROLLED_BACK}
        assert shut == {"REVOCATIONS_ROLLED_BACK"}
        assert len(METHODS) > len(WHILE_ROLLED_BACK)

        async with lin.channel() as channel:
            await RevocationServiceStub(channel).Reapply(pb.ReapplyRequest(reason="backup of last night"))
            await registry_pb2_grpc.RegistryServiceStub(channel).ListTerminals(registry_pb2.ListTerminalsRequest())
        rows = await running.write(
            lambda connection: connection.execute(select(operators_table.c.name, operators_table.c.state)).all()
        )
        assert {row.name: row.state for row in rows} == {"eve": "REVOKED", "lin": "ACTIVE"}


async def test_a_witness_is_never_rebuilt_from_afar(database: Database) -> None:
    async with a_platform(store={"url": database.url}) as running:
        eve = await an_operator(running, Role.SECURITY, name="eve")
        async with eve.channel() as channel:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await RevocationServiceStub(channel).RebuildWitness(pb.RebuildWitnessRequest(reason="nothing to see"))
        entries = [json.loads(line) for line in running.domain.config.witness.read_text().splitlines()]

    assert refusal(refused.value).reason == "LOCAL_ONLY"
    assert entries == []


async def test_i02_to_reapply_the_end_of_the_active_issuer_says_that_none_is_left(database: Database) -> None:
    async with a_platform(store={"url": database.url}) as running:
        domain, lin = running.domain, await an_operator(running, name="lin")
        issuer_id = domain.authority.issuer_id
        await who_am_i(lin)
        restore = a_backup(database.engine)
        await running.write(
            lambda connection: domain.revocations.note_revoked(
                connection, kind=RevocationKind.ISSUER, subject=issuer_id, issuer_id=issuer_id
            )
        )
        await running.platform.witness.keep()
        await asyncio.to_thread(restore)

        async with lin.channel() as channel:
            answer = await RevocationServiceStub(channel).Reapply(pb.ReapplyRequest(reason="backup of last night"))

        assert answer.issuer_missing
        with pytest.raises(IssuerNoneActiveError):
            await an_operator(running, name="mei")
