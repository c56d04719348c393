"""How a terminal talks to the platform: channels, patience, and errors in words it can act on."""

import asyncio
import hashlib
import re
import secrets
import socket
import ssl
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final, TypeVar

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2
from grpc import aio

from mock_terminal.errors import InputError, PlatformRefusedError, UnreachableError, UntrustedPlatformError
from mock_terminal.keystore import Identity

T = TypeVar("T")
M = TypeVar("M", bound=Message)

DOMAIN: Final = "shualian"
"""`ErrorInfo.domain` of the platform's own answers."""
CALL_SECONDS_MAX: Final = 10.0
ATTEMPTS_MAX: Final = 5
FIRST_WAIT: Final = timedelta(milliseconds=200)
LONGEST_WAIT: Final = timedelta(seconds=5)
LONGEST_TOLD: Final = timedelta(seconds=15)
"""A platform that asks for more patience than this gets its word passed on instead; a person stands there."""
_NOT_THE_PLATFORM: Final = "CERTIFICATE_VERIFY_FAILED"
"""What gRPC's TLS says when the certificate it is shown has lapsed or leads to no root we trust."""
RETRYABLE: Final = frozenset({"UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"})
OPTIONS: Final = [
    ("grpc.keepalive_time_ms", 30_000),  # no faster than the platform permits
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.use_local_subchannel_pool", 1),  # a new identity never meets a connection that the old one opened
]
_HANDSHAKE_SECONDS_MAX: Final = 5.0
_FINGERPRINT: Final = re.compile("[0-9a-f]{64}")


def enrollment_channel(address: str, *, roots_pem: bytes) -> aio.Channel:
    """Return a channel to the enrollment port: the platform proves itself, the terminal cannot yet."""
    return aio.secure_channel(address, grpc.ssl_channel_credentials(roots_pem), options=OPTIONS)


def terminal_channel(address: str, *, roots_pem: bytes, identity: Identity) -> aio.Channel:
    """Return a channel to the terminal port: both sides prove themselves."""
    credentials = grpc.ssl_channel_credentials(roots_pem, identity.key_pem, identity.chain_pem)
    return aio.secure_channel(address, credentials, options=OPTIONS)


def root_with_fingerprint(address: str, fingerprint_sha256: str) -> bytes:
    """Return, as PEM, the root certificate that the platform presents, if it is the one the installer was told.

    The handshake that fetches it trusts nobody; the comparison is what makes the root trustworthy.

    Raises:
        InputError: that is no fingerprint, or no address.
        UntrustedPlatformError: no certificate it presents has that fingerprint.
        UnreachableError: nobody answers there.
    """
    wanted = fingerprint_sha256.lower().replace(":", "")
    if not _FINGERPRINT.fullmatch(wanted):
        raise InputError("a root fingerprint is a SHA-256: 64 hex digits")
    host, port = _host_and_port(address)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    try:
        with (
            socket.create_connection((host, port), timeout=_HANDSHAKE_SECONDS_MAX) as plain,
            context.wrap_socket(plain, server_hostname=host) as secured,
        ):
            presented = _presented_chain(secured)
    except OSError as error:
        raise UnreachableError(f"no TLS answer from {address}") from error
    for der in presented:
        if secrets.compare_digest(hashlib.sha256(der).hexdigest(), wanted):
            return ssl.DER_cert_to_PEM_cert(der).encode()
    raise UntrustedPlatformError(
        f"{address} presents no certificate with that fingerprint: wrong platform, or not safe"
    )


async def call(
    ask: Callable[[], Awaitable[T]],
    *,
    attempts_max: int = ATTEMPTS_MAX,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> T:
    """Await one unary call, again after a while where that makes sense: what is asked must be safe to repeat.

    Raises:
        PlatformRefusedError: the platform said no, or kept saying "later".
        UnreachableError: no answer after all attempts.
    """
    wait = FIRST_WAIT
    attempt = 1
    while True:
        try:
            return await ask()
        except aio.AioRpcError as error:
            refused = refused_from(error)
            refused.attempts = attempt
            told = max(refused.retry_after or timedelta(), timedelta())
            if refused.code not in RETRYABLE or attempt == attempts_max or told > LONGEST_TOLD:
                raise final_from(refused) from error
        # What was told is the least; the jitter comes on top.
        await pause(told.total_seconds() + jittered(wait))
        wait = min(wait * 2, LONGEST_WAIT)
        attempt += 1


def final_from(refused: PlatformRefusedError) -> PlatformRefusedError | UnreachableError:
    """Return what is left to say after the last attempt: the platform's own word, or that there was none."""
    if not refused.is_platforms_word and refused.code in {"UNAVAILABLE", "DEADLINE_EXCEEDED"}:
        return UnreachableError(f"no answer from the platform ({refused.reason})")
    return refused


def refused_from(error: aio.AioRpcError) -> PlatformRefusedError:
    """Return a gRPC error with its google.rpc details in typed fields."""
    code, public = error.code().name, error.details() or ""
    reason = UntrustedPlatformError.reason if _NOT_THE_PLATFORM in public else code
    refused = PlatformRefusedError(code=code, reason=reason, public=public)
    for detail in _details(error):
        if detail.TypeName() == "google.rpc.ErrorInfo":
            info = _unpacked(detail, error_details_pb2.ErrorInfo())
            refused.reason, refused.metadata = info.reason or refused.code, dict(info.metadata)
            refused.is_platforms_word = info.domain == DOMAIN
        elif detail.TypeName() == "google.rpc.RetryInfo":
            refused.retry_after = _unpacked(detail, error_details_pb2.RetryInfo()).retry_delay.ToTimedelta()
        elif detail.TypeName() == "google.rpc.LocalizedMessage":
            refused.cashier = _unpacked(detail, error_details_pb2.LocalizedMessage()).message
        elif detail.TypeName() == "google.rpc.RequestInfo":
            refused.request_id = _unpacked(detail, error_details_pb2.RequestInfo()).request_id
        elif detail.TypeName() == "google.rpc.BadRequest":
            found = _unpacked(detail, error_details_pb2.BadRequest()).field_violations
            refused.violations = {violation.field: violation.description for violation in found}
    return refused


def jittered(pause: timedelta) -> float:
    """Return between half and the whole of a pause, in seconds, so that terminals do not come back in step."""
    return pause.total_seconds() * (0.5 + secrets.randbelow(1000) / 2000)


def _details(error: aio.AioRpcError) -> list[any_pb2.Any]:
    metadata: Any = error.trailing_metadata() or ()  # pairs of text and text or bytes
    for key, value in metadata:
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            try:
                return list(status_pb2.Status.FromString(value).details)
            except DecodeError:  # whoever wrote this is not our platform
                return []
    return []


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()):
        raise InputError(f"{address} is no host:port")
    return host.strip("[]"), int(port)


def _unpacked(detail: any_pb2.Any, message: M) -> M:
    detail.Unpack(message)
    return message


def _presented_chain(secured: ssl.SSLSocket) -> list[bytes]:
    """Return the DER certificates of the peer as it sent them, unverified."""
    public: Callable[[], list[bytes]] | None = getattr(secured, "get_unverified_chain", None)  # Python 3.13
    if public is not None:
        return list(public())
    inner: Any = getattr(secured, "_sslobj")  # noqa: B009  # private: older ones keep it here
    return [ssl.PEM_cert_to_DER_cert(certificate.public_bytes()) for certificate in inner.get_unverified_chain() or ()]
