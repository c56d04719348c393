"""From a token and a fingerprint on paper to a certificate, against a real platform."""

from pathlib import Path

import pytest
import uuid_utils

from mock_terminal.client import call
from mock_terminal.errors import PlatformRefusedError
from mock_terminal.folder import Folder
from mock_terminal.keystore import Identity
from mock_terminal.leaving import Exit
from mock_terminal.terminal import renew
from shualian.terminal.v1 import device_pb2, device_pb2_grpc, settlement_pb2, settlement_pb2_grpc
from tests.integration.mock_terminal.conftest import Box, a_token, left
from tests.support.platform import RunningPlatform, a_registered_terminal


async def options(running: RunningPlatform, state: Path, *, token: str = "") -> tuple[str | Path, ...]:
    terminal = await a_registered_terminal(running)
    return (
        "enroll", "--serial", terminal.serial_number, "--token", token or await a_token(running, terminal),
        "--platform-enroll", running.ready.enrollment, "--state", state,
    )  # fmt: skip


async def test_the_fingerprint_that_the_installer_was_given_leads_to_a_certificate(
    running: RunningPlatform, tmp_path: Path
) -> None:
    enrolling = await options(running, tmp_path / "state")
    fingerprint = running.domain.authority.root_fingerprint_sha256

    done = await left(*enrolling, "--root-fingerprint", fingerprint.upper())

    identity = Folder(path=tmp_path / "state").keys.identity()
    assert done.code == Exit.OK
    assert done.the("enrolled")["terminal_id"] == identity.terminal_id
    assert Folder(path=tmp_path / "state").roots_pem == running.root_pem


async def test_another_fingerprint_means_another_platform_and_nothing_is_sent(
    running: RunningPlatform, tmp_path: Path
) -> None:
    enrolling = await options(running, tmp_path / "state")

    done = await left(*enrolling, "--root-fingerprint", "ab" * 32)

    assert done.code == Exit.REFUSED
    assert done.the("failed")["reason"] == "PLATFORM_UNTRUSTED"
    assert not (tmp_path / "state").exists()
    assert running.counted("enrollments_total", outcome="ENROLLED") == 0


async def test_a_wrong_token_is_refused_with_the_field_to_blame(running: RunningPlatform, tmp_path: Path) -> None:
    root = tmp_path / "root.pem"
    root.write_bytes(running.root_pem)
    enrolling = await options(running, tmp_path / "state", token="no-such-token-no-such-token")

    done = await left(*enrolling, "--root", root)

    failed = done.the("failed")
    assert done.code == Exit.REFUSED
    assert (failed["code"], failed["reason"]) == ("UNAUTHENTICATED", "TOKEN_REFUSED")
    assert "token" in failed["violations"]
    assert failed["request_id"]


async def reason_met(box: Box, identity: Identity) -> str:
    """Ask something harmless with an identity; return the reason of the answer."""
    async with box.folder.channel(box.address, identity) as channel:
        stub = settlement_pb2_grpc.SettlementServiceStub(channel)
        request = settlement_pb2.GetSettlementRequest(transaction_id=str(uuid_utils.uuid7()))
        with pytest.raises(PlatformRefusedError) as caught:
            await call(lambda: stub.GetSettlement(request, timeout=30))
    return caught.value.reason


async def test_the_old_certificate_is_good_until_the_new_one_is_used(box: Box) -> None:
    first = box.folder.keys.identity()
    assert await reason_met(box, first) == "SETTLEMENT_NOT_FOUND"
    async with box.folder.channel(box.address) as channel:
        second = await renew(box.folder, channel)

    met = [await reason_met(box, identity) for identity in (first, second, first)]

    assert first.key_pem != second.key_pem
    assert met == ["SETTLEMENT_NOT_FOUND", "SETTLEMENT_NOT_FOUND", "CERTIFICATE_RETIRED"]


async def test_a_renewal_whose_answer_got_lost_is_tried_with_another_key(box: Box) -> None:
    async with box.folder.channel(box.address) as channel:
        lost = box.folder.keys.stage()
        request = device_pb2.RenewCertificateRequest(signing_request_der=lost.signing_request_der())
        await device_pb2_grpc.DeviceServiceStub(channel).RenewCertificate(request)  # and nobody hears the answer

        identity = await renew(box.folder, channel)

    assert box.folder.keys.identity() == identity
    assert not lost.folder.exists()
    assert await reason_met(box, identity) == "SETTLEMENT_NOT_FOUND"


async def test_a_revoked_terminal_is_told_to_enroll_again(box: Box) -> None:
    await box.revoke()

    done = await left("renew", *box.at)

    assert done.code == Exit.REVOKED
    assert done.the("failed")["reason"] in {"TERMINAL_REVOKED", "CERTIFICATE_REVOKED"}
