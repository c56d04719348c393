"""Which frames does a session look at, and what do their bytes hold?"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from face_pipeline.errors import FrameIncompleteError, FrameOrderError
from face_pipeline.frames import DepthMap, Frame, Gray, Image, Modality
from face_pipeline.liveness.evidence import Stopwatch
from face_pipeline.picture.decode import decode_depth, decode_frame, decode_infrared
from face_pipeline.picture.detection import reduced
from face_pipeline.policy import FacePolicy


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pictures:
    """What the cameras saw at one moment, decoded."""

    at: datetime
    """Capture time."""
    colour: Image
    small: Image
    """The same, at the size in which faces are searched."""
    nir: Gray | None
    """None when infrared was not promised: what nobody asked for is not looked at."""
    depth: DepthMap | None
    """The same for depth."""


class Intake:
    """Takes frames in order, and each picture once."""

    def __init__(self, *, policy: FacePolicy, beside: frozenset[Modality], watch: Stopwatch) -> None:
        self._policy = policy
        self._beside = beside
        self._watch = watch
        self._seen: set[int] = set()
        self._first_at: datetime | None = None
        self._last: tuple[int, datetime] | None = None
        self.frames = 0

    def taken(self, frame: Frame) -> Pictures | None:
        """Return what a frame holds; None when the very same bytes were seen before and prove nothing new.

        Raises:
            FrameOrderError: sequence or capture time do not rise.
            FrameIncompleteError: a picture that was promised is not there.
            FrameUndecodableError, FrameTooLargeError: a picture is none that we take.
        """
        self.frames += 1
        if self._last is not None and (frame.sequence <= self._last[0] or frame.captured_at < self._last[1]):
            raise FrameOrderError(sequence=frame.sequence, sequence_last=self._last[0])
        self._last = frame.sequence, frame.captured_at
        self._first_at = self._first_at or frame.captured_at
        for modality, picture in ((Modality.NIR, frame.nir), (Modality.DEPTH, frame.depth)):
            if modality in self._beside and picture is None:
                raise FrameIncompleteError(missing=modality)
        # Python's own hash: fast, and keyed by the process. Whoever made two pictures collide had only one looked at.
        digests = {hash(picture) for picture in self._read(frame)}
        if not self._seen.isdisjoint(digests):
            return None
        with self._watch.stage("decode"):
            pictures = self._decoded(frame)
        self._seen |= digests
        return pictures

    def time_since_first(self, at: datetime) -> timedelta:
        """Return how long after the first frame a moment is."""
        return at - (self._first_at or at)

    def forget(self) -> None:
        """Keep nothing of the frames."""
        self._seen.clear()
        self._last = None

    def _read(self, frame: Frame) -> list[bytes]:
        """Return the pictures that are looked at. A camera never takes the same one twice: none of them may repeat."""
        pictures = [frame.jpeg]
        if Modality.NIR in self._beside and frame.nir is not None:
            pictures.append(frame.nir)
        if Modality.DEPTH in self._beside and frame.depth is not None:
            pictures.append(frame.depth)
        return pictures

    def _decoded(self, frame: Frame) -> Pictures:
        nir = frame.nir if Modality.NIR in self._beside else None
        depth = frame.depth if Modality.DEPTH in self._beside else None
        colour = decode_frame(frame.jpeg, self._policy)
        return Pictures(
            at=frame.captured_at,
            colour=colour,
            small=reduced(colour, self._policy),
            nir=None if nir is None else decode_infrared(nir, self._policy),
            depth=None if depth is None else decode_depth(depth, self._policy),
        )
