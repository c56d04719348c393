"""How a terminal gets in, from the operator's command to the open control stream; and how nobody else does."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import AttributeOID

from device_registry import Authority, CertificateLifetimes
from shualian.terminal.v1 import (
    device_pb2,
    device_pb2_grpc,
    enrollment_pb2,
    enrollment_pb2_grpc,
    settlement_pb2,
    settlement_pb2_grpc,
)
from tests.support.conversation import control_call, face_call
from tests.support.deployment import SECONDS_MAX, Deployment, a_box, a_registered_box, a_terminal
from tests.support.platform import ACTOR, a_registered_terminal, chain_pem, channel_to, refusal, signing_request

NOBODY = "00000000-0000-7000-8000-000000000000"


async def registered(deployment: Deployment) -> tuple[str, str, str]:
    """Return terminal id, serial number and token of a new terminal."""
    serial_number = f"NEW-{deployment.number()}"
    terminal = await a_registered_terminal(deployment, serial_number=serial_number)
    return terminal.terminal_id, serial_number, await token_for(deployment, terminal.terminal_id)


async def token_for(deployment: Deployment, terminal_id: str) -> str:
    issued = await deployment.write(
        lambda connection: deployment.domain.registry.issue_token(connection, terminal_id=terminal_id, actor=ACTOR)
    )
    return issued.token


def enrollment_channel(deployment: Deployment) -> grpc.aio.Channel:
    return grpc.aio.secure_channel(
        deployment.ready.enrollment, grpc.ssl_channel_credentials(root_certificates=deployment.root_pem)
    )


async def nonce_for(channel: grpc.aio.Channel, serial_number: str) -> bytes:
    stub = enrollment_pb2_grpc.EnrollmentServiceStub(channel)
    return (await stub.GetChallenge(enrollment_pb2.GetChallengeRequest(serial_number=serial_number))).nonce


async def enroll(
    channel: grpc.aio.Channel, serial_number: str, token: str, request_der: bytes
) -> enrollment_pb2.EnrollResponse:
    return await enrollment_pb2_grpc.EnrollmentServiceStub(channel).Enroll(
        enrollment_pb2.EnrollRequest(serial_number=serial_number, token=token, signing_request_der=request_der)
    )


async def refused_reason(
    channel: grpc.aio.Channel, serial_number: str, token: str, request_der: bytes
) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await enroll(channel, serial_number, token, request_der)
    assert token not in str(caught.value)
    found = refusal(caught.value)
    return found.code, found.reason


def test_a_terminal_goes_from_registered_to_connected_as_an_operator_and_an_installer_do_it(shared: Deployment) -> None:
    site = shared.shualian("site", "add", "--name", "North Window", "--region", "330100", "--kind", "HOSPITAL")
    box = a_box(shared)
    made = shared.shualian(
        "terminal", "register", "--serial", box.serial_number, "--site", site["site_id"], "--manufacturer", "Maker",
        "--model", "M1", "--certification", "C-1", "--record", "R-1", "--with-token",
    )  # fmt: skip
    enrolled = box.enroll(made["token"], root_fingerprint=made["root_fingerprint_sha256"])
    running = box.start("run")
    _, connected = running.wait_for("connected", within=SECONDS_MAX)
    shown = shared.shualian("terminal", "show", box.serial_number)

    assert enrolled.code == 0
    assert enrolled.event("enrolled")["terminal_id"] == connected["terminal_id"] == made["terminal_id"]
    assert shown["state"] == "ACTIVE"
    assert running.stop() == 0


async def test_i03_the_key_is_the_terminals_own_and_the_token_rests_as_a_hash(shared: Deployment) -> None:
    box, token = await a_registered_box(shared)
    fingerprint = shared.domain.authority.root_fingerprint_sha256
    enrolled = await asyncio.to_thread(box.enroll, token, root_fingerprint=fingerprint)

    (key,) = box.state.rglob("key.pem")
    secrets = (token.encode(), key.read_bytes().splitlines()[1])
    written = {path: path.read_bytes() for path in shared.data_dir.rglob("*") if path.is_file()}
    assert enrolled.code == 0
    assert key.stat().st_mode & 0o777 == 0o600
    assert [path for path, content in written.items() if any(secret in content for secret in secrets)] == []
    assert token not in shared.log


def test_a_wrong_root_fingerprint_stops_the_terminal_before_it_sends_its_token(shared: Deployment) -> None:
    box = a_box(shared)
    done = box.enroll("a-token-that-is-never-sent-anywhere", root_fingerprint="ab" * 32)

    assert done.code != 0
    assert done.event("failed")["reason"] == "PLATFORM_UNTRUSTED"
    assert not (box.state / "current").exists()


async def test_a_token_works_once(shared: Deployment) -> None:
    _, serial_number, token = await registered(shared)
    async with enrollment_channel(shared) as channel:
        for is_first in (True, False):
            nonce = await nonce_for(channel, serial_number)
            request = signing_request(ec.generate_private_key(ec.SECP256R1()), nonce)
            if is_first:
                await enroll(channel, serial_number, token, request)
            else:
                found = await refused_reason(channel, serial_number, token, request)

    assert found == (grpc.StatusCode.PERMISSION_DENIED, "TOKEN_USED")


async def test_a_token_is_good_for_its_own_serial_number_alone(shared: Deployment) -> None:
    _, _, token = await registered(shared)
    _, other, _ = await registered(shared)
    async with enrollment_channel(shared) as channel:
        request = signing_request(ec.generate_private_key(ec.SECP256R1()), await nonce_for(channel, other))
        found = await refused_reason(channel, other, token, request)

    assert found == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_REFUSED")


async def test_a_signing_request_signed_by_another_key_is_refused(shared: Deployment) -> None:
    _, serial_number, token = await registered(shared)
    async with enrollment_channel(shared) as channel:
        signer, claimed = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        honest = signing_request(signer, await nonce_for(channel, serial_number))
        forged = honest.replace(point(signer), point(claimed))
        found = await refused_reason(channel, serial_number, token, forged)

    assert forged != honest
    assert found == (grpc.StatusCode.INVALID_ARGUMENT, "POSSESSION_UNPROVEN")


async def test_rsa_1024_is_refused(shared: Deployment) -> None:
    _, serial_number, token = await registered(shared)
    async with enrollment_channel(shared) as channel:
        nonce = await nonce_for(channel, serial_number)
        weak = rsa.generate_private_key(65537, 1024)  # noqa: S505 - the weak key is what is refused
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        request = builder.add_attribute(AttributeOID.CHALLENGE_PASSWORD, nonce.hex().encode()).sign(weak, SHA256())
        found = await refused_reason(channel, serial_number, token, request.public_bytes(Encoding.DER))

    assert found == (grpc.StatusCode.INVALID_ARGUMENT, "KEY_TYPE_REFUSED")


async def test_a_nonce_works_once(shared: Deployment) -> None:
    terminal_id, serial_number, token = await registered(shared)
    async with enrollment_channel(shared) as channel:
        nonce = await nonce_for(channel, serial_number)
        await enroll(channel, serial_number, token, signing_request(ec.generate_private_key(ec.SECP256R1()), nonce))
        fresh_token = await token_for(shared, terminal_id)
        replayed = signing_request(ec.generate_private_key(ec.SECP256R1()), nonce)
        found = await refused_reason(channel, serial_number, fresh_token, replayed)

    assert found == (grpc.StatusCode.ABORTED, "NONCE_REFUSED")


async def test_of_many_who_hold_one_token_one_gets_in(shared: Deployment) -> None:
    _, serial_number, token = await registered(shared)
    async with enrollment_channel(shared) as channel:
        requests = [
            signing_request(ec.generate_private_key(ec.SECP256R1()), await nonce_for(channel, serial_number))
            for _ in range(8)
        ]
        tries = [enroll(channel, serial_number, token, request) for request in requests]
        answers = await asyncio.gather(*tries, return_exceptions=True)

    refused = [refusal(answer) for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
    assert len(refused) == 7
    assert [found for found in refused if found.reason not in {"TOKEN_USED", "NONCE_REFUSED"}] == []


async def test_i01_an_expired_certificate_is_refused_at_the_handshake(shared: Deployment) -> None:
    shared_authority = shared.domain.config.authority_dir
    brief = Authority.open(
        shared_authority,
        passphrase=shared.domain.keys.ca_passphrase,
        lifetimes=CertificateLifetimes(terminal=timedelta(seconds=1)),
    )
    key = ec.generate_private_key(ec.SECP256R1())
    a_while_ago = datetime.now(UTC) - timedelta(seconds=2)
    issued = brief.issue_terminal(terminal_id=NOBODY, public_key=key.public_key(), now=a_while_ago)

    await refused_at_the_handshake(shared, key, chain_pem(issued.certificate_chain_der))


async def test_i01_a_certificate_of_a_foreign_authority_is_refused_at_the_handshake(
    shared: Deployment, tmp_path: Path
) -> None:
    foreign = Authority.create(
        tmp_path / "foreign",
        passphrase=b"a passphrase for tests only",
        now=lambda: datetime.now(UTC),
        lifetimes=CertificateLifetimes(),
    )
    real = await a_terminal(shared)
    key = ec.generate_private_key(ec.SECP256R1())
    issued = foreign.issue_terminal(terminal_id=real.terminal_id, public_key=key.public_key(), now=datetime.now(UTC))

    await refused_at_the_handshake(shared, key, chain_pem(issued.certificate_chain_der))


async def refused_at_the_handshake(deployment: Deployment, key: ec.EllipticCurvePrivateKey, chain: bytes) -> None:
    async with channel_to(deployment, key, chain) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await a_look_up(channel)

    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert refusal(caught.value).reason == ""  # no word from the platform: it never got that far


async def test_i01_without_a_certificate_nothing_but_enrollment_is_reachable(shared: Deployment) -> None:
    credentials = grpc.ssl_channel_credentials(root_certificates=shared.root_pem)
    async with grpc.aio.secure_channel(shared.ready.terminal, credentials) as bare, enrollment_channel(shared) as door:
        bundle = await enrollment_pb2_grpc.EnrollmentServiceStub(door).GetTrustBundle(
            enrollment_pb2.GetTrustBundleRequest()
        )
        at_the_terminal_port = [await code_of(bare, number) for number in range(4)]
        at_the_enrollment_port = [await code_of(door, number) for number in range(4)]

    assert len(bundle.root_certificates_der) == 1
    assert at_the_terminal_port == [grpc.StatusCode.UNAVAILABLE] * 4
    assert at_the_enrollment_port == [grpc.StatusCode.UNIMPLEMENTED] * 4


async def code_of(channel: grpc.aio.Channel, number: int) -> grpc.StatusCode:
    """Return how the so-many-th way in ends: a look-up, a renewal, a control stream, a face session."""
    ways = (a_look_up, a_renewal, a_control_stream, a_face_session)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ways[number](channel)
    return caught.value.code()


async def a_look_up(channel: grpc.aio.Channel) -> None:
    await settlement_pb2_grpc.SettlementServiceStub(channel).GetSettlement(
        settlement_pb2.GetSettlementRequest(transaction_id=NOBODY)
    )


async def a_renewal(channel: grpc.aio.Channel) -> None:
    await device_pb2_grpc.DeviceServiceStub(channel).RenewCertificate(
        device_pb2.RenewCertificateRequest(signing_request_der=b"any")
    )


async def a_control_stream(channel: grpc.aio.Channel) -> None:
    raise await control_call(channel).refused()


async def a_face_session(channel: grpc.aio.Channel) -> None:
    raise await face_call(channel).refused()  # without a word: grpc.aio loses the answer to a write under way


def point(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the public key as it lies in a request: 65 bytes."""
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
