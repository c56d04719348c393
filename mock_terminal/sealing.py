"""How does a terminal prove that frames are its own? By a hash chain over all of them, signed with its key.

The chain is that of `Seal` in face.proto, byte for byte. It is kept for every frame that was sent, because the platform
says only later which one was the last that counts, and frames go on being sent meanwhile.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mock_terminal.errors import SealError
from shualian.terminal.v1 import face_pb2

CONTEXT: Final = b"shualian-seal-1"
SEQUENCE_BYTES: Final = 4
TIME_BYTES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """The chain after one frame."""

    frames: int
    chain: bytes


class SealChain:
    """The chain over the frames of one session."""

    def __init__(self, *, session_id: str, nonce: bytes, frames_max: int) -> None:
        """Begin the chain of a session.

        Args:
            session_id: from accepted.
            nonce: of the challenge.
            frames_max: no session has more, so no chain is longer.
        """
        self._session_id: Final = session_id
        self._frames_max: Final = frames_max
        self._links = {0: Link(frames=0, chain=hashlib.sha256(CONTEXT + session_id.encode() + nonce).digest())}
        self._last = 0

    def add(self, frame: face_pb2.Frame) -> None:
        """Chain a frame that is about to be sent; their sequence rises.

        Raises:
            SealError: the sequence does not rise, or there are more than a session has.
        """
        before = self._links[self._last]
        if frame.sequence <= self._last or before.frames >= self._frames_max:
            raise SealError(f"frame {frame.sequence} does not belong behind frame {self._last}")
        chain = hashlib.sha256(before.chain + described(frame)).digest()
        self._links[frame.sequence] = Link(frames=before.frames + 1, chain=chain)
        self._last = frame.sequence

    def seal(
        self,
        last_sequence: int,
        *,
        sign: Callable[[bytes], bytes],
        verdict: face_pb2.TerminalVerdict | None = None,
    ) -> face_pb2.Seal:
        """Return the seal over every frame up to one.

        Args:
            last_sequence: the last one, as the platform asked.
            sign: signs with the key of the connection's certificate; the key itself stays where it is.
            verdict: of the terminal's own liveness check, if it has one.

        Raises:
            SealError: no such frame was sent.
        """
        link = self._links.get(last_sequence)
        if link is None:
            raise SealError(f"the platform asks for a seal up to frame {last_sequence}, which was never sent")
        content = face_pb2.SealContent(
            session_id=self._session_id,
            last_sequence=last_sequence,
            frames=link.frames,
            chain=link.chain,
            verdict=verdict,
        ).SerializeToString()
        return face_pb2.Seal(content=content, signature=sign(content))


def described(frame: face_pb2.Frame) -> bytes:
    """Return what the chain takes in of a frame."""
    pictures = b"".join(
        bytes([picture.modality, picture.encoding]) + hashlib.sha256(picture.data).digest()
        for picture in frame.pictures
    )
    sequence = frame.sequence.to_bytes(SEQUENCE_BYTES, "big")
    return sequence + frame.captured_at.ToMicroseconds().to_bytes(TIME_BYTES, "big") + pictures
