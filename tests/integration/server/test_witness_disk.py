"""A platform whose witness's disk is full, gone or silent: it serves on, and says what is not on record."""

import asyncio
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from device_registry.operators.roles import Role
from server.store import touch
from shualian.admin.v1 import operator_pb2, operator_pb2_grpc, registry_pb2, registry_pb2_grpc
from tests.support.operators import EnrolledOperator, an_operator
from tests.support.platform import ACTOR, RunningPlatform, a_platform, an_enrolled_terminal, refusal
from tests.support.questions import looked_up


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="shualian-") as name:  # short, for the socket's path
        yield Path(name)


def make_unwritable(witness: Path) -> Path:
    """Let nobody append: a folder stands where the lock should be. Return it; without it all is well again."""
    lock = witness.with_name(f"{witness.name}.lock")
    lock.unlink(missing_ok=True)
    lock.mkdir()
    return lock


async def locked_out(operator: EnrolledOperator, name: str) -> str:
    """Lock another operator out, and return what the answer is."""
    async with operator.channel() as channel:
        try:
            await operator_pb2_grpc.OperatorServiceStub(channel).RevokeOperator(
                operator_pb2.RevokeOperatorRequest(name=name, reason="left")
            )
        except grpc.aio.AioRpcError as error:
            return refusal(error).reason
    return "OK"


def subjects(running: RunningPlatform) -> list[str]:
    return [json.loads(line)["subject"] for line in running.domain.config.witness.read_text().splitlines()]


async def test_a_platform_whose_witness_cannot_be_written_starts_and_serves(folder: Path) -> None:
    async with a_platform(folder=folder) as running:
        make_unwritable(running.domain.config.witness)
        lost = await an_enrolled_terminal(running, serial_number="SL-LOST")
        await running.write(
            lambda connection: running.domain.registry.revoke(
                connection, terminal_id=lost.terminal_id, reason="stolen", actor=ACTOR
            )
        )

    async with a_platform(folder=folder) as running:
        terminal, lin = await an_enrolled_terminal(running), await an_operator(running, Role.SECURITY, name="lin")
        await an_operator(running, name="eve")
        assert await locked_out(lin, "eve") == "REVOCATION_UNWITNESSED"

        found = await running.platform.health.readiness()
        assert found.is_ready
        assert (found.checks["witness"], found.checks["witnessing"]) == (True, False)
        async with terminal.channel() as own:
            assert refusal(await looked_up(own)).reason == "SETTLEMENT_NOT_FOUND"


async def test_a_repeated_call_is_not_answered_well_before_what_it_did_first_is_on_record() -> None:
    async with a_platform() as running:
        lin = await an_operator(running, Role.SECURITY, name="lin")
        await an_operator(running, name="eve")
        lock = make_unwritable(running.domain.config.witness)

        assert await locked_out(lin, "eve") == "REVOCATION_UNWITNESSED"
        assert await locked_out(lin, "eve") == "REVOCATION_UNWITNESSED"  # although it changes nothing any more
        lock.rmdir()
        assert await locked_out(lin, "eve") == "OK"

        assert subjects(running) == ["eve"]
        assert (await running.platform.health.readiness()).checks["witnessing"]


async def test_a_call_that_revokes_nothing_is_no_witnesses_matter() -> None:
    async with a_platform() as running:
        lin = await an_operator(running, Role.SECURITY, name="lin")
        make_unwritable(running.domain.config.witness)
        running.domain.config.witness.unlink()

        async with lin.channel() as channel:
            added = await registry_pb2_grpc.RegistryServiceStub(channel).AddSite(
                registry_pb2.AddSiteRequest(
                    name="Willow Bridge Hospital", region="330100", kind=registry_pb2.SITE_KIND_HOSPITAL
                )
            )

        assert added.site.site_id


async def test_a_witness_that_does_not_answer_holds_up_neither_payments_nor_the_revocation() -> None:
    async with a_platform() as running:
        terminal, lin = await an_enrolled_terminal(running), await an_operator(running, Role.SECURITY, name="lin")
        witness = running.domain.config.witness
        witness.unlink()
        os.mkfifo(witness)  # whoever opens it waits, as on a network disk that is gone
        try:
            async with lin.channel() as channel, terminal.channel() as own, asyncio.timeout(30):
                stub = registry_pb2_grpc.RegistryServiceStub(channel)
                wanted = registry_pb2.RevokeTerminalRequest(terminal=terminal.terminal_id, reason="stolen")
                revoking = asyncio.ensure_future(stub.RevokeTerminal(wanted))
                while refusal(await looked_up(own)).reason != "TERMINAL_REVOKED":  # noqa: ASYNC110  # the platform is elsewhere
                    await asyncio.sleep(0.1)
                assert not revoking.done()  # it waits for the witness, and nobody else does
                await running.platform.unit_of_work.write(touch)
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await revoking
            assert refusal(caught.value).reason == "REVOCATION_UNWITNESSED"
            assert (await running.platform.health.readiness()).is_ready
        finally:
            unblocked = os.open(witness, os.O_RDWR)
            witness.unlink()
            os.close(unblocked)
