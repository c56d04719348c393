"""Are these frames the ones that this terminal's camera took in this session? The chain over them, and its seal.

The chain takes in every frame as it is received, also those that nobody looks at. One value is kept, not one for each
frame: when the seal is asked for, the chain is cut where it stands, and the terminal goes back to that frame.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from google.protobuf.message import DecodeError

from face_pipeline import SealFinding
from server.interceptors.chain import Context
from server.refusals import CertificateMissingError
from shualian.terminal.v1 import face_pb2

CONTEXT: Final = b"shualian-seal-1"
"""First of what the chain begins with: a signature over it is good for nothing else."""
_MICROSECONDS: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealable:
    """What a seal must say: of which session, up to which frame, how many there are, and the chain over them."""

    session_id: str
    last_sequence: int
    frames: int
    chain: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SealCheck:
    """What became of a seal."""

    finding: SealFinding
    terminal_says: bool | None
    """The terminal's own verdict, if it sealed one."""


MISSING: Final = SealCheck(finding=SealFinding.MISSING, terminal_says=None)
NOT_ASKED: Final = SealCheck(finding=SealFinding.NOT_ASKED, terminal_says=None)
_BROKEN: Final = SealCheck(finding=SealFinding.BROKEN, terminal_says=None)


class SealChain:
    """The chain over the frames of one session, as they come."""

    def __init__(self, *, session_id: str, nonce: bytes) -> None:
        self._session_id = session_id
        self._chain = hashlib.sha256(CONTEXT + session_id.encode() + nonce).digest()
        self._frames = 0
        self._last_sequence = 0

    def add(self, frame: face_pb2.Frame) -> None:
        """Take in the next frame; its time is one that exists."""
        described = [frame.sequence.to_bytes(4, "big"), _microseconds(frame).to_bytes(8, "big")]
        for picture in frame.pictures:
            described += [bytes((picture.modality, picture.encoding)), hashlib.sha256(picture.data).digest()]
        self._chain = hashlib.sha256(self._chain + b"".join(described)).digest()
        self._frames += 1
        self._last_sequence = frame.sequence

    @property
    def sealable(self) -> Sealable:
        """What a seal over all frames so far must say."""
        return Sealable(
            session_id=self._session_id, last_sequence=self._last_sequence, frames=self._frames, chain=self._chain
        )


def checked_seal(seal: face_pb2.Seal | None, expected: Sealable, key: EllipticCurvePublicKey) -> SealCheck:
    """Return what a seal is worth; a missing one is no proof, and one that does not fit is worse.

    Args:
        seal: as it came; None when none did.
        expected: what it must say.
        key: of the certificate that the connection was let in with.
    """
    if seal is None:
        return MISSING
    try:
        key.verify(seal.signature, seal.content, ECDSA(SHA256()))
        content = face_pb2.SealContent.FromString(seal.content)
    except (InvalidSignature, DecodeError):
        return _BROKEN
    said = Sealable(
        session_id=content.session_id,
        last_sequence=content.last_sequence,
        frames=content.frames,
        chain=content.chain,
    )
    if said != expected:
        return _BROKEN
    own = content.verdict.live if content.HasField("verdict") else None
    return SealCheck(finding=SealFinding.VERIFIED, terminal_says=own)


def connection_key(context: Context) -> EllipticCurvePublicKey:
    """Return the public key of the certificate that a connection was let in with.

    Raises:
        CertificateMissingError: it has none, or one of a kind that no terminal has.
    """
    pems = list(context.auth_context().get("x509_pem_cert", ()))
    if not pems:
        raise CertificateMissingError
    key = x509.load_pem_x509_certificate(bytes(pems[0])).public_key()
    if not isinstance(key, EllipticCurvePublicKey):
        raise CertificateMissingError
    return key


def _microseconds(frame: face_pb2.Frame) -> int:
    return frame.captured_at.seconds * _MICROSECONDS + frame.captured_at.nanos // 1000
