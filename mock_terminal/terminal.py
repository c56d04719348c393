"""How a terminal gets its identity: a first certificate for a one-time token, then one after the other."""

from datetime import UTC
from typing import Final

from grpc import aio

from mock_terminal.client import CALL_SECONDS_MAX, call, enrollment_channel
from mock_terminal.folder import Folder
from mock_terminal.keystore import Identity, StagedKey
from shualian.terminal.v1 import device_pb2, device_pb2_grpc, enrollment_pb2, enrollment_pb2_grpc

ENDED_FOR_GOOD: Final = frozenset(
    {
        "TERMINAL_REVOKED",
        "TERMINAL_RETIRED",
        "CERTIFICATE_REVOKED",
        "CERTIFICATE_RETIRED",
        "CERTIFICATE_EXPIRED",
        "CERTIFICATE_UNKNOWN",
    }
)
"""Why the platform will never again take the certificate it was shown."""


async def enroll(folder: Folder, *, address: str, serial_number: str, token: str, roots_pem: bytes) -> Identity:
    """Trade a one-time token for a first certificate.

    Raises:
        PlatformRefusedError: the token, the nonce or the request was refused.
        UnreachableError: no answer; the token may be used up.
    """
    with folder.changing_identity():
        staged = folder.keys.stage()
        async with enrollment_channel(address, roots_pem=roots_pem) as channel:
            stub = enrollment_pb2_grpc.EnrollmentServiceStub(channel)
            ask = enrollment_pb2.GetChallengeRequest(serial_number=serial_number)
            challenge = await call(lambda: stub.GetChallenge(ask, timeout=CALL_SECONDS_MAX))
            request = enrollment_pb2.EnrollRequest(
                serial_number=serial_number,
                token=token,
                signing_request_der=staged.signing_request_der(nonce=challenge.nonce),
            )
            # Once only: an Enroll whose answer got lost has used the token up; asking again would say so misleadingly.
            answer = await call(lambda: stub.Enroll(request, timeout=CALL_SECONDS_MAX), attempts_max=1)
        folder.trust(roots_pem)
        return folder.keys.adopt(
            staged, chain_der=answer.certificate_chain_der, renew_after=answer.renew_after.ToDatetime(UTC)
        )


async def renew(folder: Folder, channel: aio.Channel) -> Identity:
    """Trade the current certificate for one with a new key; the old one is good until the new one is first used.

    Raises:
        PlatformRefusedError: no new certificate; the current one stays.
        UnreachableError: no answer.
        StateError: another process is at it, or the answer was no good.
    """
    stub = device_pb2_grpc.DeviceServiceStub(channel)

    async def ask() -> tuple[StagedKey, device_pb2.RenewCertificateResponse]:
        # A new key for each attempt: one whose answer got lost may have had its certificate, and is refused then.
        staged = folder.keys.stage()
        request = device_pb2.RenewCertificateRequest(signing_request_der=staged.signing_request_der())
        return staged, await stub.RenewCertificate(request, timeout=CALL_SECONDS_MAX)

    with folder.changing_identity():
        staged, answer = await call(ask)
        return folder.keys.adopt(
            staged, chain_der=answer.certificate_chain_der, renew_after=answer.renew_after.ToDatetime(UTC)
        )
