"""What belongs to one face session under way, from accepted to the decision?"""

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from face_pipeline import FaceSession
from face_pipeline.liveness.replay import ReplaySearch
from server.caller import Caller
from server.faces.desk import Claimant
from server.faces.inbox import FrameInbox
from server.faces.rules import SessionRule
from server.faces.stream import FaceStream
from server.interceptors.chain import Context
from shualian.terminal.v1 import face_pb2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Visit:
    """One person before one terminal."""

    session_id: str
    caller: Caller
    start: face_pb2.Start
    rule: SessionRule
    """What is asked of the face, and what it is good for."""
    claimant: Claimant
    key: EllipticCurvePublicKey
    """Of the certificate of this connection."""
    pipeline_session: FaceSession
    replay_search: ReplaySearch
    inbox: FrameInbox
    stream: FaceStream
    context: Context
    deadline: float
    """On the monotonic clock, as the next."""
    began: float

    @property
    def purpose(self) -> str:
        """What the face is for, without the prefix."""
        return face_pb2.Purpose.Name(self.start.purpose).removeprefix("PURPOSE_")
