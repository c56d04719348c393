"""The fleet moves to another issuing authority while it works: no call is dropped, and only the revoked are cut."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf.timestamp_pb2 import Timestamp

from device_registry import Issuer
from device_registry.errors import IssuerInUseError
from server.trust import KeyBackend
from shualian.terminal.v1 import device_pb2, device_pb2_grpc
from tests.support.conversation import ControlCall, control_call
from tests.support.deployment import eventually
from tests.support.issuers import signed_by_root
from tests.support.platform import (
    ACTOR,
    EnrolledTerminal,
    RunningPlatform,
    a_platform,
    an_enrolled_terminal,
    chain_pem,
    refusal,
    signing_request,
)
from tests.support.promptly import within
from tests.support.questions import looked_up
from tests.support.softhsm import PIN, a_token

ROLL = "planned roll"
LET_IN = "SETTLEMENT_NOT_FOUND"
A_CONNECTION = 5
"""Calls over one connection, before the next is made."""


async def rolled(running: RunningPlatform) -> Issuer:
    """Prepare, sign with the root, install and activate a next issuing authority."""
    issuers, config = running.domain.issuers, running.platform.config
    prepared = await running.write(partial(issuers.prepare, reason=ROLL, actor=ACTOR))
    certificate = signed_by_root(
        config.authority_dir / "root",
        prepared,
        at=running.domain.now(),
        passphrase=config.ca_passphrase.read_bytes(),
    )
    issuer_id = prepared.issuer_id
    await running.write(partial(issuers.install, issuer_id=issuer_id, certificate_der=certificate, actor=ACTOR))
    return await running.write(partial(issuers.activate, issuer_id=issuer_id, reason=ROLL, actor=ACTOR))


async def renewed(terminal: EnrolledTerminal) -> EnrolledTerminal:
    """Let a terminal renew and call once with the new certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    async with terminal.channel() as channel:
        answer = await device_pb2_grpc.DeviceServiceStub(channel).RenewCertificate(
            device_pb2.RenewCertificateRequest(signing_request_der=signing_request(key))
        )
    newer = EnrolledTerminal(
        running=terminal.running,
        terminal=terminal.terminal,
        key=key,
        chain_pem=chain_pem(answer.certificate_chain_der),
    )
    async with newer.channel() as channel:
        assert refusal(await looked_up(channel)).reason == LET_IN
    return newer


@asynccontextmanager
async def connected(terminal: EnrolledTerminal) -> AsyncIterator[tuple[ControlCall, device_pb2.Welcome]]:
    """Hold a control stream open."""
    now = Timestamp()
    now.FromDatetime(datetime.now(UTC))
    async with terminal.channel() as channel:
        call = control_call(channel)
        await call.write(device_pb2.ConnectRequest(hello=device_pb2.Hello(firmware_version="1.0", terminal_time=now)))
        yield call, (await call.read()).welcome


async def renews_after(terminal: EnrolledTerminal) -> datetime:
    """Return when a terminal that connects now is told to renew."""
    async with connected(terminal) as (_, welcome):
        return welcome.renew_after.ToDatetime(tzinfo=UTC)


async def answers(call: ControlCall, sequence: int) -> bool:
    """Return whether a control stream still lives."""
    now = Timestamp()
    now.FromDatetime(datetime.now(UTC))
    beat = device_pb2.Heartbeat(
        sequence=sequence, terminal_time=now, camera_state=device_pb2.CAMERA_STATE_READY, temperature_celsius=40
    )
    await call.write(device_pb2.ConnectRequest(heartbeat=beat))
    async with asyncio.timeout(30):
        while True:
            answer = await call.read()
            if answer.HasField("heartbeat_ack"):
                return answer.heartbeat_ack.sequence == sequence


async def shares(running: RunningPlatform) -> dict[str, int]:
    """Return how many terminals are on each issuing authority."""
    overview = await running.platform.unit_of_work.read(running.domain.issuers.overview)
    return {use.issuer.issuer_id: use.terminals for use in overview.uses}


async def shown_issuer(running: RunningPlatform) -> str:
    """Return who signed the certificate that a new handshake shows."""
    host, _, port = running.ready.enrollment.rpartition(":")
    pem = await asyncio.to_thread(ssl.get_server_certificate, (host, int(port)), timeout=30)
    return x509.load_pem_x509_certificate(pem.encode()).issuer.rfc4514_string().rpartition(" ")[2]


async def test_a_fleet_rolls_to_a_new_issuer_under_open_streams() -> None:
    async with a_platform() as running:
        issuers, first = running.domain.issuers, running.domain.authority.issuer_id
        early, late = (
            await an_enrolled_terminal(running, serial_number="SL-1"),
            await an_enrolled_terminal(running, serial_number="SL-2"),
        )
        async with connected(early) as (early_call, _), connected(late) as (late_call, before):
            second = (await rolled(running)).issuer_id
            await eventually(lambda: running.domain.authority.issuer_id == second)
            assert await shares(running) == {first: 2, second: 0}

            early = await renewed(early)
            assert await shares(running) == {first: 1, second: 1}
            assert (
                await early_call.refused()
            ).code() is grpc.StatusCode.UNAUTHENTICATED  # its certificate was replaced

            await running.write(partial(issuers.taint, issuer_id=first, reason=ROLL, actor=ACTOR))
            assert await answers(late_call, 1)
            with pytest.raises(IssuerInUseError) as refused:
                await revoke(running, first)
            assert refused.value.terminals == 1
            assert await answers(late_call, 2)

            assert before.renew_after.ToDatetime(tzinfo=UTC) > datetime.now(UTC) + timedelta(days=15)
            async with asyncio.timeout(30):
                while await renews_after(late) > datetime.now(UTC):  # noqa: ASYNC110 - memory follows by events
                    await asyncio.sleep(0.02)
            late = await renewed(late)
            assert await shares(running) == {first: 0, second: 2}

        async with connected(early) as (early_call, _), connected(late) as (late_call, _):
            await revoke(running, first)
            await eventually(lambda: running.domain.authority.trust_bundle_pem.count(b"BEGIN") == 2)
            assert await answers(early_call, 1)
            assert await answers(late_call, 1)


async def test_no_call_is_dropped_while_a_fleet_rolls_under_load() -> None:
    async with a_platform() as running:
        issuers, first = running.domain.issuers, running.domain.authority.issuer_id
        fleet = [await an_enrolled_terminal(running, serial_number=f"SL-{number}") for number in range(4)]
        calls, is_over = [0] * len(fleet), asyncio.Event()

        async def work(place: int) -> None:
            """Call without a pause, over standing and new connections, as whoever the terminal is then."""
            while not is_over.is_set():
                terminal = fleet[place]
                async with terminal.channel() as channel:
                    for _ in range(A_CONNECTION):
                        assert refusal(await looked_up(channel)).reason == LET_IN
                        calls[place] += 1

        async with asyncio.TaskGroup() as group:
            for place in range(len(fleet) - 1):
                group.create_task(work(place))
            await rolled(running)
            await running.write(partial(issuers.taint, issuer_id=first, reason=ROLL, actor=ACTOR))
            under_load = list(calls)
            await eventually(
                lambda: all(now > then + A_CONNECTION for now, then in zip(calls[:-1], under_load[:-1], strict=True))
            )
            is_over.set()
        for place, terminal in enumerate(fleet):
            fleet[place] = await renewed(terminal)
        is_over.clear()
        async with asyncio.TaskGroup() as group:
            for place in range(len(fleet)):
                group.create_task(work(place))
            await revoke(running, first)
            before = list(calls)
            await eventually(lambda: all(now > then + A_CONNECTION for now, then in zip(calls, before, strict=True)))
            is_over.set()

        assert await shares(running) == {first: 0, running.domain.authority.issuer_id: 4}


async def test_the_server_shows_a_certificate_of_the_new_issuer_without_a_restart() -> None:
    async with a_platform() as running:
        first = running.domain.authority.issuer_id
        terminal = await an_enrolled_terminal(running)
        async with connected(terminal) as (call, _):
            assert await shown_issuer(running) == first

            second = (await rolled(running)).issuer_id
            async with asyncio.timeout(30):
                while await shown_issuer(running) != second:  # noqa: ASYNC110 - asking is the only way to know
                    await asyncio.sleep(0.02)

            assert await answers(call, 1)
            async with terminal.channel() as channel:
                assert refusal(await looked_up(channel)).reason == LET_IN
            assert running.counted("ca_signatures_total", purpose="SERVER") == 2
            assert running.counted("ca_signatures_total", purpose="TERMINAL") == 1
            assert running.counted("ca_signatures_total", purpose="REQUEST") == 1


async def test_i02_a_revoked_issuer_ends_the_streams_of_its_terminals_at_once_and_no_others() -> None:
    async with a_platform() as running:
        first = running.domain.authority.issuer_id
        forgotten = await an_enrolled_terminal(running, serial_number="SL-1")
        second = (await rolled(running)).issuer_id
        moved = await renewed(await an_enrolled_terminal(running, serial_number="SL-2"))
        await running.write(partial(running.domain.issuers.taint, issuer_id=first, reason=ROLL, actor=ACTOR))
        async with connected(forgotten) as (cut, _), connected(moved) as (kept, _):
            await running.write(
                partial(
                    running.domain.issuers.revoke, issuer_id=first, reason="stolen", even_if_in_use=True, actor=ACTOR
                )
            )

            assert refusal(await within(1, cut.refused())).reason == "CERTIFICATE_REVOKED"
            assert await answers(kept, 1)
        # The handshake still holds: leaf and issuing certificate come from the terminal, and the root is trusted. What
        # refuses is the registry, at every call.
        async with forgotten.channel() as channel:
            assert refusal(await looked_up(channel)).reason == "CERTIFICATE_REVOKED"
        assert await shares(running) == {first: 0, second: 1}


async def test_a_leaf_that_does_not_bring_its_revoked_issuer_along_fails_in_the_handshake() -> None:
    async with a_platform() as running:
        first = running.domain.authority.issuer_id
        terminal = await an_enrolled_terminal(running)
        leaf_alone = EnrolledTerminal(
            running=terminal.running,
            terminal=terminal.terminal,
            key=terminal.key,
            chain_pem=terminal.chain_pem.split(b"-----END CERTIFICATE-----\n")[0] + b"-----END CERTIFICATE-----\n",
        )
        async with leaf_alone.channel() as channel:
            assert refusal(await looked_up(channel)).reason == LET_IN  # the bundle knows who signed it
        await rolled(running)
        await running.write(partial(running.domain.issuers.taint, issuer_id=first, reason=ROLL, actor=ACTOR))
        await revoke(running, first, even_if_in_use=True)
        await eventually(lambda: running.platform.tls.material.trust_pem.count(b"BEGIN") == 2)

        async with leaf_alone.channel() as channel:
            refused = await looked_up(channel)

        assert refused.code() is grpc.StatusCode.UNAVAILABLE
        assert refusal(refused).reason == ""


async def test_while_the_token_is_away_nothing_is_signed_and_enrolled_terminals_work(tmp_path: Path) -> None:
    token, pin_file = a_token(), tmp_path / "pin"
    pin_file.touch(mode=0o600)
    pin_file.write_text(PIN)
    in_token = {
        "backend": KeyBackend.PKCS11,
        "pkcs11_module": token.module,
        "token_label": token.label,
        "pin_file": pin_file,
    }
    async with a_platform(authority=in_token) as running:
        terminal = await an_enrolled_terminal(running)
        with token.away():
            found = await running.platform.health.readiness()
            async with terminal.channel() as channel:
                works = refusal(await looked_up(channel)).reason
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await renewed(terminal)
            with pytest.raises(grpc.aio.AioRpcError) as not_enrolled:
                await an_enrolled_terminal(running, serial_number="SL-2")

        assert not found.checks["signing"]
        assert found.is_ready  # terminals that have a certificate are served: no balancer may take this platform out
        assert works == LET_IN
        refused = refusal(caught.value)
        assert (refused.code, refused.reason) == (grpc.StatusCode.UNAVAILABLE, "HSM_UNAVAILABLE")
        assert refused.retry_after == 30
        assert refusal(not_enrolled.value).reason == "HSM_UNAVAILABLE"
        assert running.counted("ca_signature_failures_total", purpose="TERMINAL", reason="HSM_UNAVAILABLE") == 2
        assert running.counted("ready", check="signing") == 0

        assert (await running.platform.health.readiness()).checks["signing"]
        assert await renewed(terminal)


async def revoke(running: RunningPlatform, issuer_id: str, *, even_if_in_use: bool = False) -> None:
    """Withdraw an issuing authority."""
    await running.write(
        partial(
            running.domain.issuers.revoke,
            issuer_id=issuer_id,
            reason=ROLL,
            even_if_in_use=even_if_in_use,
            actor=ACTOR,
        )
    )
