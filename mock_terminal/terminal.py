"""How a terminal gets its identity: by token or factory identity, then one after the other, and after a lapse."""

from datetime import UTC

from grpc import aio

from mock_terminal.birth import GRACE_CONTEXT, FactoryIdentity, to_be_signed
from mock_terminal.client import CALL_SECONDS_MAX, call, enrollment_channel
from mock_terminal.folder import Enrollment, Folder
from mock_terminal.keystore import Identity, StagedKey
from shualian.terminal.v1 import device_pb2, device_pb2_grpc, enrollment_pb2, enrollment_pb2_grpc


async def enroll(
    folder: Folder,
    *,
    address: str,
    serial_number: str,
    token: str = "",
    installer: enrollment_pb2.Installer | None = None,
    roots_pem: bytes,
) -> Identity:
    """Trade a one-time token, or without one the factory identity, for a certificate.

    An attempt that fails leaves the identity in use as it is.

    Raises:
        PlatformRefusedError: the token, the factory identity, the nonce or the request was refused.
        UnreachableError: no answer; the token may be used up.
        StateError: there is neither a token nor a factory identity.
    """
    birth = None if token else FactoryIdentity.read(folder.path)
    with folder.changing_identity():
        staged = folder.keys.stage()
        async with enrollment_channel(address, roots_pem=roots_pem) as channel:
            stub = enrollment_pb2_grpc.EnrollmentServiceStub(channel)
            challenge = await call(lambda: stub.GetChallenge(_ask(serial_number), timeout=CALL_SECONDS_MAX))
            signing_request = staged.signing_request_der(nonce=challenge.nonce)
            request = enrollment_pb2.EnrollRequest(
                serial_number=serial_number, token=token, signing_request_der=signing_request, installer=installer
            )
            if birth is not None:
                proof = birth.proof(nonce=challenge.nonce, signing_request_der=signing_request)
                request.factory_proof.CopyFrom(proof)
            # Once only: an Enroll whose answer got lost has used the token up; asking again would say so misleadingly.
            answer = await call(lambda: stub.Enroll(request, timeout=CALL_SECONDS_MAX), attempts_max=1)
        folder.trust(roots_pem)
        folder.remember(Enrollment(serial_number=serial_number, address=address))
        return folder.keys.adopt(
            staged, chain_der=answer.certificate_chain_der, renew_after=answer.renew_after.ToDatetime(UTC)
        )


async def renew_expired(folder: Folder, *, address: str, serial_number: str) -> Identity:
    """Trade a certificate that has lapsed for a new one, by its key; the platform does this until that one is used.

    Raises:
        PlatformRefusedError: not lapsed, lapsed too long ago, or not let in.
        UnreachableError: no answer; ask again.
    """
    with folder.changing_identity():
        lapsed, staged = folder.keys.identity(), folder.keys.stage()
        async with enrollment_channel(address, roots_pem=folder.roots_pem) as channel:
            stub = enrollment_pb2_grpc.EnrollmentServiceStub(channel)
            challenge = await call(lambda: stub.GetChallenge(_ask(serial_number), timeout=CALL_SECONDS_MAX))
            signing_request = staged.signing_request_der(nonce=challenge.nonce)
            content = to_be_signed(context=GRACE_CONTEXT, nonce=challenge.nonce, signing_request_der=signing_request)
            request = enrollment_pb2.RenewExpiredRequest(
                certificate_der=lapsed.leaf_der, signing_request_der=signing_request, signature=lapsed.sign(content)
            )
            answer = await call(lambda: stub.RenewExpired(request, timeout=CALL_SECONDS_MAX), attempts_max=1)
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


def _ask(serial_number: str) -> enrollment_pb2.GetChallengeRequest:
    return enrollment_pb2.GetChallengeRequest(serial_number=serial_number)
