"""A running platform and the witness of its revocations: nothing that was taken away comes back with a backup."""

import asyncio
import json
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509

from device_registry.errors import RevocationsRolledBackError, WitnessMissingError
from device_registry.operators.roles import Role
from shualian.admin.v1 import (
    audit_pb2,
    audit_pb2_grpc,
    registry_pb2,
    registry_pb2_grpc,
    revocation_pb2,
    revocation_pb2_grpc,
)
from shualian.terminal.v1 import device_pb2, enrollment_pb2, enrollment_pb2_grpc
from tests.support.backup import a_backup
from tests.support.conversation import ControlCall, control_call
from tests.support.database import Database
from tests.support.operators import an_operator
from tests.support.platform import ACTOR, EnrolledTerminal, RunningPlatform, a_platform, an_enrolled_terminal, refusal
from tests.support.questions import is_serving, looked_up


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="shualian-") as name:  # short, for the socket's path
        yield Path(name)


async def decided(running: RunningPlatform, decision: str, terminal: EnrolledTerminal) -> None:
    """Decide about a terminal behind the platform's back, as another process would."""
    act = getattr(running.domain.registry, decision)
    await running.write(
        lambda connection: act(connection, terminal_id=terminal.terminal_id, reason="stolen", actor=ACTOR)
    )


async def witnessed(path: Path, count: int) -> list[dict[str, Any]]:
    """Wait until the witness has so many entries."""

    def read() -> list[dict[str, Any]]:
        return [json.loads(line) for line in path.read_text().splitlines()]

    async with asyncio.timeout(30):
        while len(entries := read()) < count:  # noqa: ASYNC110  # a file
            await asyncio.sleep(0.02)
    return entries


async def stream_of(channel: grpc.aio.Channel) -> ControlCall:
    call = control_call(channel)
    hello = device_pb2.Hello(firmware_version="1.0")
    hello.terminal_time.FromDatetime(datetime.now(UTC))
    await call.write(device_pb2.ConnectRequest(hello=hello))
    assert (await call.read()).WhichOneof("message") == "welcome"
    return call


async def fetched(running: RunningPlatform, path: str) -> tuple[int, str, bytes]:
    def fetch() -> tuple[int, str, bytes]:
        try:
            with urllib.request.urlopen(f"http://{running.ready.http}{path}", timeout=30) as answer:
                return answer.status, answer.headers["content-type"], answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, "", error.read()

    return await asyncio.to_thread(fetch)


async def test_i02_a_revocation_reaches_the_witness_within_a_moment(database: Database) -> None:
    async with a_platform(store={"url": database.url}) as running:
        terminal = await an_enrolled_terminal(running)
        await decided(running, "revoke", terminal)

        entries = await witnessed(running.domain.config.witness, 2)

    assert [entry["kind"] for entry in entries] == ["TERMINAL", "CERTIFICATE"]


async def test_an_operator_is_answered_when_the_witness_has_it(database: Database) -> None:
    async with a_platform(store={"url": database.url}) as running:
        terminal, operator = await an_enrolled_terminal(running), await an_operator(running, Role.SECURITY)
        async with operator.channel() as channel:
            stub = registry_pb2_grpc.RegistryServiceStub(channel)
            wanted = registry_pb2.RevokeTerminalRequest(terminal=terminal.terminal_id, reason="stolen")
            await stub.RevokeTerminal(wanted)

            # Read at once: nobody else had the time.
            kinds = [json.loads(line)["kind"] for line in running.domain.config.witness.read_text().splitlines()]

    assert kinds == ["TERMINAL", "CERTIFICATE"]


async def test_a_revocation_that_cannot_be_witnessed_is_in_force_and_the_operator_hears_of_it() -> None:
    async with a_platform() as running:
        terminal, operator = await an_enrolled_terminal(running), await an_operator(running, Role.SECURITY)
        await decided(running, "suspend", terminal)
        await witnessed(running.domain.config.witness, 1)
        running.domain.config.witness.unlink()
        async with operator.channel() as channel, terminal.channel() as own:
            stub = registry_pb2_grpc.RegistryServiceStub(channel)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.RevokeTerminal(
                    registry_pb2.RevokeTerminalRequest(terminal=terminal.terminal_id, reason="stolen")
                )
            assert refusal(caught.value).reason == "REVOCATION_UNWITNESSED"
            assert refusal(await looked_up(own)).reason == "TERMINAL_REVOKED"
            status, _, body = await fetched(running, "/readyz")
            checks = json.loads(body)["checks"]
            assert (status, checks["witness"], checks["witnessing"]) == (200, True, False)

            rebuild = revocation_pb2_grpc.RevocationServiceStub(channel).RebuildWitness
            with pytest.raises(grpc.aio.AioRpcError) as from_afar:
                await rebuild(revocation_pb2.RebuildWitnessRequest(reason="removed by mistake"))
            assert refusal(from_afar.value).reason == "LOCAL_ONLY"


async def test_a_platform_on_a_restored_database_does_not_start(database: Database, folder: Path) -> None:
    async with a_platform(folder=folder, store={"url": database.url}) as running:
        terminal = await an_enrolled_terminal(running)
        restore = a_backup(database.engine)
        await decided(running, "revoke", terminal)
        await witnessed(running.domain.config.witness, 2)
    restore()

    with pytest.raises(RevocationsRolledBackError):
        async with a_platform(folder=folder, store={"url": database.url}):
            pass


async def test_a_platform_whose_witness_is_lost_does_not_start(folder: Path) -> None:
    async with a_platform(folder=folder) as running:
        terminal = await an_enrolled_terminal(running)
        await decided(running, "revoke", terminal)
        await witnessed(running.domain.config.witness, 2)
        running.domain.config.witness.unlink()

    with pytest.raises(WitnessMissingError):
        async with a_platform(folder=folder):
            pass


async def test_i10_a_database_set_back_under_a_running_platform_shuts_the_door_until_it_is_mended(
    database: Database,
) -> None:
    async with a_platform(store={"url": database.url}) as running:
        operator = await an_operator(running, Role.SECURITY)
        thief, honest = (
            await an_enrolled_terminal(running, serial_number="SL-1"),
            await an_enrolled_terminal(running, serial_number="SL-2"),
        )
        async with thief.channel() as stolen, honest.channel() as own, operator.channel() as admin:
            await looked_up(stolen)
            live = await stream_of(own)
            restore = a_backup(database.engine)
            await decided(running, "revoke", thief)
            await witnessed(running.domain.config.witness, 2)
            restore()

            ended = refusal(await live.refused())  # the witness is looked at every few seconds
            assert (ended.reason, ended.metadata["next_action"]) == ("REVOCATIONS_ROLLED_BACK", "WAIT")
            assert refusal(await looked_up(stolen)).reason == "REVOCATIONS_ROLLED_BACK"
            assert refusal(await looked_up(own)).reason == "REVOCATIONS_ROLLED_BACK"
            strangers = grpc.ssl_channel_credentials(root_certificates=running.root_pem)
            async with grpc.aio.secure_channel(running.ready.enrollment, strangers) as door:
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await enrollment_pb2_grpc.EnrollmentServiceStub(door).GetChallenge(
                        enrollment_pb2.GetChallengeRequest(serial_number="SL-3")
                    )
                assert refusal(caught.value).reason == "REVOCATIONS_ROLLED_BACK"
            async with grpc.aio.insecure_channel(f"unix:{running.ready.diagnostics}") as diagnostics:
                await fetched(running, "/readyz")
                assert not await is_serving(diagnostics)

                reapply = revocation_pb2_grpc.RevocationServiceStub(admin).Reapply
                answer = await reapply(revocation_pb2.ReapplyRequest(reason="backup of last night"))
                assert (answer.taken_over, answer.terminals_moved, answer.certificates_revoked) == (2, 1, 1)
                assert answer.witness.state == revocation_pb2.WITNESS_STATE_AGREES

                async with asyncio.timeout(30):
                    while refusal(await looked_up(own)).reason != "SETTLEMENT_NOT_FOUND":  # noqa: ASYNC110  # as above
                        await asyncio.sleep(0.1)
                await fetched(running, "/readyz")
                assert await is_serving(diagnostics)
            assert refusal(await looked_up(stolen)).reason == "TERMINAL_REVOKED"


async def test_revoked_certificates_stand_on_a_signed_list_for_others(database: Database) -> None:
    async with a_platform(store={"url": database.url}) as running:
        terminal = await an_enrolled_terminal(running)
        leaf, issuer = x509.load_pem_x509_certificates(terminal.chain_pem)[:2]
        issuer_id = await issuer_of(running, terminal)
        status, kind, before = await fetched(running, f"/crl/{issuer_id}.crl")
        assert (status, kind) == (200, "application/pkix-crl")
        await decided(running, "revoke", terminal)
        _, _, after = await fetched(running, f"/crl/{issuer_id}.crl")
        _, _, again = await fetched(running, f"/crl/{issuer_id}.crl")
        unknown, _, _ = await fetched(running, "/crl/nobody.crl")

    empty, full = x509.load_der_x509_crl(before), x509.load_der_x509_crl(after)
    assert list(empty) == []
    found = full.get_revoked_certificate_by_serial_number(leaf.serial_number)
    assert found is not None
    reason = found.extensions.get_extension_for_class(x509.CRLReason).value.reason
    assert reason is x509.ReasonFlags.privilege_withdrawn
    assert full.is_signature_valid(issuer.public_key())  # type: ignore[arg-type] # ours are P-256
    assert number_of(full) > number_of(empty)
    assert again == after
    assert unknown == 404


async def issuer_of(running: RunningPlatform, terminal: EnrolledTerminal) -> str:
    (record,) = await running.platform.unit_of_work.read(
        lambda connection: running.domain.registry.certificates(connection, terminal.terminal_id)
    )
    assert record.issuer_id is not None
    return str(record.issuer_id)


def number_of(crl: x509.CertificateRevocationList) -> int:
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


async def test_a_cut_stream_is_timed_from_the_decision_on() -> None:
    async with a_platform() as running:
        terminal = await an_enrolled_terminal(running)
        async with terminal.channel() as channel:
            call = await stream_of(channel)
            await decided(running, "ban", terminal)
            ended = refusal(await call.refused())

        assert (ended.reason, ended.metadata["next_action"]) == ("TERMINAL_BANNED", "STOP")
        assert running.counted("revocation_to_cut_seconds_count", reason="TERMINAL_BANNED") == 1


async def test_an_evicted_terminal_is_told_to_enroll() -> None:
    async with a_platform() as running:
        terminal = await an_enrolled_terminal(running)
        async with terminal.channel() as channel:
            call = await stream_of(channel)
            await decided(running, "evict", terminal)
            ended = refusal(await call.refused())

    assert (ended.reason, ended.metadata["next_action"]) == ("CERTIFICATE_REVOKED", "ENROLL")


async def test_the_audit_log_is_listed_signed_and_verified_over_the_api(database: Database) -> None:
    async with a_platform(store={"url": database.url}) as running:
        await an_enrolled_terminal(running)
        operator = await an_operator(running, Role.SECURITY)
        async with operator.channel() as channel:
            stub = audit_pb2_grpc.AuditServiceStub(channel)
            entries = [
                it.entry async for it in stub.ListEntries(audit_pb2.ListEntriesRequest(action="terminal.registered"))
            ]
            made = (await stub.CreateCheckpoint(audit_pb2.CreateCheckpointRequest(reason="quarter's end"))).checkpoint
            verified = await stub.Verify(audit_pb2.VerifyRequest())
            listed = await stub.ListCheckpoints(audit_pb2.ListCheckpointsRequest())
        outside = running.domain.config.checkpoints.read_text().splitlines()

    assert [entry.actor for entry in entries] == [ACTOR]
    assert (verified.ok, verified.checkpoint.token) == (True, made.token)
    assert listed.checkpoints[0].token == made.token
    assert json.loads(outside[-1])["token"] == made.token
