"""Who gets in, and what a refusal says: the layers around every call, over real TLS."""

import asyncio
import json
import sqlite3
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from device_registry import TOPIC_TERMINAL, Authority, CertificateLifetimes
from server.store import announce
from shualian.terminal.v1 import (
    device_pb2,
    device_pb2_grpc,
    enrollment_pb2,
    enrollment_pb2_grpc,
    settlement_pb2,
    settlement_pb2_grpc,
)
from tests.support.deployment import eventually
from tests.support.platform import (
    ACTOR,
    EnrolledTerminal,
    Refusal,
    RunningPlatform,
    a_platform,
    a_registered_terminal,
    an_enrolled_terminal,
    chain_pem,
    channel_to,
    metadata_of,
    refusal,
    signing_request,
)
from tests.support.questions import UNKNOWN_ID, looked_up


async def fetched(running: RunningPlatform, path: str) -> tuple[int, str]:
    """Get a page of the HTTP port: status and body."""

    def fetch() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://{running.ready.http}{path}", timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    return await asyncio.to_thread(fetch)


async def test_an_admitted_terminal_reads_a_precise_refusal_with_its_request_id(terminal: EnrolledTerminal) -> None:
    async with terminal.channel() as channel:
        stub = settlement_pb2_grpc.SettlementServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetSettlement(
                settlement_pb2.GetSettlementRequest(transaction_id=UNKNOWN_ID),
                metadata=(("x-request-id", "from-the-terminal"),),
            )

    found = refusal(caught.value)
    assert found.code is grpc.StatusCode.NOT_FOUND
    assert found.reason == "SETTLEMENT_NOT_FOUND"
    assert found.request_id == metadata_of(caught.value)["x-request-id"]
    assert UUID(found.request_id).version == 7  # ours, whatever the terminal calls it


async def test_i01_without_a_certificate_the_terminal_port_cannot_be_reached(running: RunningPlatform) -> None:
    credentials = grpc.ssl_channel_credentials(root_certificates=running.root_pem)
    async with grpc.aio.secure_channel(running.ready.terminal, credentials) as channel:
        error = await looked_up(channel)

    assert error.code() is grpc.StatusCode.UNAVAILABLE


async def test_i01_a_certificate_of_a_foreign_authority_cannot_get_in(running: RunningPlatform, tmp_path: Path) -> None:
    foreign = Authority.create(
        tmp_path / "ca", passphrase=b"p" * 32, now=lambda: datetime.now(UTC), lifetimes=CertificateLifetimes()
    )
    key = ec.generate_private_key(ec.SECP256R1())
    issued = foreign.issue_terminal(terminal_id=UNKNOWN_ID, public_key=key.public_key(), now=datetime.now(UTC))
    async with channel_to(running, key, chain_pem(issued.certificate_chain_der)) as channel:
        assert (await looked_up(channel)).code() is grpc.StatusCode.UNAVAILABLE


async def test_i01_a_certificate_that_the_registry_does_not_know_is_refused(running: RunningPlatform) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    issued = running.platform.domain.authority.issue_terminal(
        terminal_id=UNKNOWN_ID, public_key=key.public_key(), now=datetime.now(UTC)
    )
    async with channel_to(running, key, chain_pem(issued.certificate_chain_der)) as channel:
        found = refusal(await looked_up(channel))

    assert (found.code, found.reason) == (grpc.StatusCode.UNAUTHENTICATED, "CERTIFICATE_UNKNOWN")


async def test_i01_enrollment_is_not_on_the_terminal_port_nor_settlement_on_the_enrollment_port(
    running: RunningPlatform, terminal: EnrolledTerminal
) -> None:
    async with terminal.channel() as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await enrollment_pb2_grpc.EnrollmentServiceStub(channel).GetTrustBundle(
                enrollment_pb2.GetTrustBundleRequest()
            )
        assert refusal(caught.value).reason == "METHOD_UNKNOWN"
    credentials = grpc.ssl_channel_credentials(root_certificates=running.root_pem)
    async with grpc.aio.secure_channel(running.ready.enrollment, credentials) as channel:
        assert (await looked_up(channel)).code() is grpc.StatusCode.UNIMPLEMENTED


async def test_what_breaks_a_rule_is_named_by_field_and_never_quoted(terminal: EnrolledTerminal) -> None:
    secret = "274916-and-more"  # noqa: S105  # made up
    request = settlement_pb2.PreSettleRequest(
        bill=settlement_pb2.Bill(bill_number="B 1", business_type=1301, total_fen=-5),  # type: ignore[arg-type]  # a number
        authorization=settlement_pb2.Authorization(
            card=settlement_pb2.CardAuthorization(card_number="A12345678", pin=secret)
        ),
    )
    async with terminal.channel() as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await settlement_pb2_grpc.SettlementServiceStub(channel).PreSettle(request)

    found = refusal(caught.value)
    assert found.code is grpc.StatusCode.INVALID_ARGUMENT
    assert {"bill.bill_number", "bill.total_fen", "authorization.card.pin"} <= set(found.fields)
    assert secret not in str(caught.value)


async def test_bytes_that_are_no_message_are_answered_from_the_table_like_any_mistake(
    terminal: EnrolledTerminal,
) -> None:
    async with terminal.channel() as channel:
        ask: Any = channel.unary_unary("/shualian.terminal.v1.SettlementService/GetSettlement", None, None)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask(b"\x0a\xff\xff\xff garbage")

    assert refusal(caught.value).reason == "INVALID_REQUEST"


@pytest.mark.parametrize(
    ("transaction_id", "reason"),
    [("not a uuid", "INVALID_REQUEST"), ("5a3c4f7e-1111-4111-8111-111111111111", "TRANSACTION_ID_NOT_V7")],
)
async def test_a_transaction_id_that_is_no_uuidv7_is_refused(
    terminal: EnrolledTerminal, transaction_id: str, reason: str
) -> None:
    request = settlement_pb2.ReverseRequest(
        transaction_id=transaction_id, settlement_transaction_id="0198b5ac-1111-7111-8111-111111111112"
    )
    async with terminal.channel() as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await settlement_pb2_grpc.SettlementServiceStub(channel).Reverse(request)

    found = refusal(caught.value)
    assert (found.code, found.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    assert "transaction_id" in found.fields


async def test_i12_a_bare_id_number_is_refused_with_the_ways_that_work(
    running: RunningPlatform, terminal: EnrolledTerminal
) -> None:
    request = settlement_pb2.PreSettleRequest(
        bill=settlement_pb2.Bill(bill_number="B-1", business_type=1301, total_fen=1000),  # type: ignore[arg-type]  # a number
        authorization=settlement_pb2.Authorization(
            bare_id_number=settlement_pb2.BareIdNumber(id_number="990000195101010011")
        ),
    )
    async with terminal.channel() as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await settlement_pb2_grpc.SettlementServiceStub(channel).PreSettle(request)

    found = refusal(caught.value)
    assert (found.code, found.reason) == (grpc.StatusCode.PERMISSION_DENIED, "AUTHORIZATION_MISSING")
    assert found.metadata["ways"] == "face,dynamic_code,card_with_pin,family_account,counter"
    assert running.counted("authorizations_total", way="BARE_ID_NUMBER", outcome="REFUSED") == 1


async def test_what_the_cashier_reads_comes_in_the_language_that_was_asked_for(terminal: EnrolledTerminal) -> None:
    async with terminal.channel() as channel:
        told = [refusal(await looked_up(channel, accept_language=each)).cashier for each in ("", "en-US,en")]

    assert told[0] == "这台终端没有这笔交易，请核对交易号"
    assert told[1] == "This terminal has no such transaction; please check its number"


async def test_i11_calls_over_the_rate_are_refused_with_a_time_to_come_back_and_others_are_not() -> None:
    async with a_platform(limits={"calls_per_second": 0.5, "calls_burst": 4}) as running:
        greedy = await an_enrolled_terminal(running, serial_number="SL-1")
        async with greedy.channel() as channel:
            for _ in range(4):
                assert refusal(await looked_up(channel)).reason == "SETTLEMENT_NOT_FOUND"
            found = refusal(await looked_up(channel))
        assert (found.code, found.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED")
        assert found.retry_after is not None
        assert 0 < found.retry_after <= 2

        other = await an_enrolled_terminal(running, serial_number="SL-2")
        async with other.channel() as channel:
            assert refusal(await looked_up(channel)).reason == "SETTLEMENT_NOT_FOUND"


async def test_i11_a_message_over_the_bound_is_refused(running: RunningPlatform, terminal: EnrolledTerminal) -> None:
    size = running.platform.config.limits.message_bytes_max + 1
    async with terminal.channel() as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await device_pb2_grpc.DeviceServiceStub(channel).RenewCertificate(
                device_pb2.RenewCertificateRequest(signing_request_der=b"x" * size)
            )

    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_i10_when_the_registry_cannot_be_followed_every_terminal_is_refused() -> None:
    lag_max = timedelta(seconds=2)
    async with a_platform(store={"lag_max": lag_max}) as running:
        terminal = await an_enrolled_terminal(running)
        async with terminal.channel() as channel:
            assert refusal(await looked_up(channel)).reason == "SETTLEMENT_NOT_FOUND"
            await running.platform.background.stop()  # the follower is dead
            await eventually(lambda: running.platform.follower.lag > lag_max.total_seconds())

            found = refusal(await looked_up(channel))
            assert (found.code, found.reason) == (grpc.StatusCode.UNAVAILABLE, "STANDING_STALE")
            assert found.retry_after
            status, body = await fetched(running, "/readyz")
            assert status == 503
            assert json.loads(body)["checks"]["events"] is False


async def test_i10_a_locked_database_is_an_error_and_never_an_acceptance(running: RunningPlatform) -> None:
    terminal = await a_registered_terminal(running)
    lock = sqlite3.connect(running.platform.config.data_dir / "shualian.sqlite", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    try:
        credentials = grpc.ssl_channel_credentials(root_certificates=running.root_pem)
        async with grpc.aio.secure_channel(running.ready.enrollment, credentials) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await enrollment_pb2_grpc.EnrollmentServiceStub(channel).GetChallenge(
                    enrollment_pb2.GetChallengeRequest(serial_number=terminal.serial_number)
                )
    finally:
        lock.rollback()
        lock.close()

    found = refusal(caught.value)
    assert (found.code, found.reason) == (grpc.StatusCode.UNAVAILABLE, "STORE_BUSY")
    assert found.retry_after


async def test_i11_one_address_cannot_use_up_the_open_nonces() -> None:
    async with a_platform(registry={"nonces_open_per_address_max": 16}) as running:
        flooded = await challenged(running, running.ready.enrollment, times=12)
        async with relayed(running.ready.enrollment, source="127.0.0.2") as elsewhere:
            others = await challenged(running, elsewhere, times=8)

    assert {(found.code, found.reason) for found in flooded} == {
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_CHALLENGES")
    }
    assert len(flooded) == 4
    assert all(found.retry_after and found.retry_after > 1 for found in flooded)
    assert others == []


async def challenged(running: RunningPlatform, address: str, *, times: int) -> list[Refusal]:
    """Ask for so many nonces at an address; return the refusals."""
    request = enrollment_pb2.GetChallengeRequest(serial_number="SL-0001")
    credentials = grpc.ssl_channel_credentials(root_certificates=running.root_pem)
    async with grpc.aio.secure_channel(address, credentials) as channel:
        stub = enrollment_pb2_grpc.EnrollmentServiceStub(channel)
        answered = await asyncio.gather(*(stub.GetChallenge(request) for _ in range(times)), return_exceptions=True)
    return [refusal(error) for error in answered if isinstance(error, grpc.aio.AioRpcError)]


@asynccontextmanager
async def relayed(target: str, *, source: str) -> AsyncIterator[str]:
    """Pass connections on to `target` from another address of this machine."""
    host, _, port = target.rpartition(":")
    pumps: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
        writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(host, int(port), local_addr=(source, 0))
        pumps.update((asyncio.create_task(pump(reader, far_writer)), asyncio.create_task(pump(far_reader, writer))))

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await asyncio.gather(*pumps)


async def test_a_token_works_once(running: RunningPlatform) -> None:
    terminal = await a_registered_terminal(running)
    registry = running.platform.domain.registry
    token = await running.write(
        lambda connection: registry.issue_token(connection, terminal_id=terminal.terminal_id, actor=ACTOR)
    )
    credentials = grpc.ssl_channel_credentials(root_certificates=running.root_pem)
    async with grpc.aio.secure_channel(running.ready.enrollment, credentials) as channel:
        stub = enrollment_pb2_grpc.EnrollmentServiceStub(channel)

        async def enroll() -> enrollment_pb2.EnrollResponse:
            serial_number = terminal.serial_number
            challenge = await stub.GetChallenge(enrollment_pb2.GetChallengeRequest(serial_number=serial_number))
            key = ec.generate_private_key(ec.SECP256R1())
            return await stub.Enroll(
                enrollment_pb2.EnrollRequest(
                    serial_number=serial_number,
                    token=token.token,
                    signing_request_der=signing_request(key, challenge.nonce),
                )
            )

        assert (await enroll()).terminal_id == terminal.terminal_id
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await enroll()

    assert refusal(caught.value).reason == "TOKEN_USED"
    assert token.token not in str(caught.value)
    assert running.counted("enrollments_total", outcome="REFUSED") == 1


async def test_the_server_certificate_changes_without_a_restart(
    running: RunningPlatform, terminal: EnrolledTerminal
) -> None:
    tls = running.platform.tls
    async with terminal.channel() as before:
        await looked_up(before)
        first = tls.material
        (running.platform.config.authority_dir / "trust").mkdir()
        extra = running.platform.config.authority_dir / "trust" / "old.pem"
        extra.write_bytes(running.root_pem)
        assert tls.reload_if_due()

        assert tls.material is not first
        assert refusal(await looked_up(before)).reason == "SETTLEMENT_NOT_FOUND"
        async with terminal.channel() as after:
            assert refusal(await looked_up(after)).reason == "SETTLEMENT_NOT_FOUND"


async def test_the_http_port_shows_life_readiness_and_metrics(running: RunningPlatform) -> None:
    assert await fetched(running, "/livez") == (200, "alive\n")
    status, ready = await fetched(running, "/readyz")
    _, metrics = await fetched(running, "/metrics")

    assert status == 200
    assert json.loads(ready) == {
        "ready": True,
        "checks": {
            "database": True,
            "events": True,
            "trust": True,
            "witness": True,
            "signing": True,
            "witnessing": True,
            "running": True,
            "galleries": True,
        },
    }
    assert 'shualian_ready{check="database"} 1.0' in metrics


async def test_events_of_other_topics_and_unknown_terminals_are_harmless(running: RunningPlatform) -> None:
    await running.write(lambda connection: announce(connection, TOPIC_TERMINAL, UNKNOWN_ID))
    await running.write(lambda connection: announce(connection, "weather", "fair"))
    await asyncio.sleep(0.2)

    await eventually(lambda: running.platform.follower.lag < 0.2)
