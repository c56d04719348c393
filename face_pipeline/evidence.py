"""What has a session seen so far that speaks for or against a living person?"""

import secrets
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from face_pipeline.continuity import Thumbnail
from face_pipeline.frames import Box, Embedding, Image


class Reason(StrEnum):
    """Why a session ended as it did; a closed set, fit for a metric's label."""

    PASSIVE_LOW = "passive_low"
    """the frames look like paper or a screen"""
    FLAT_TURN = "flat_turn"
    """something was turned, and it was flat"""
    IDENTITY_CHANGED = "identity_changed"
    """the face in the turn is not the face at rest"""
    PRESENCE_BROKEN = "presence_broken"
    """the face went away, jumped or froze again and again"""
    WRONG_TURN = "wrong_turn"
    """the head turned to the side that was not asked"""
    NO_FACE = "no_face"
    """hardly a usable frame"""
    FEW_GOOD_FRAMES = "few_good_frames"
    """not enough frames for the passive model"""
    CHALLENGE_NOT_DONE = "challenge_not_done"
    """the turns were not made in time"""
    BAD_FRAMES = "bad_frames"
    """too many frames did not decode or came out of order"""


class Witness:
    """One frame out of many, each as likely as the other: whoever shows two faces cannot know which one is asked."""

    def __init__(self, draw: Callable[[int], int] = secrets.randbelow) -> None:
        """Begin without a frame.

        Args:
            draw: returns a number in [0, n) that nobody foresees.
        """
        self._draw = draw
        self._offered = 0
        self.crop: Image | None = None

    def offer(self, crop: Image) -> None:
        """Take the crop instead of the one kept, with the chance that is its due."""
        self._offered += 1
        if self._draw(self._offered) == 0:
            self.crop = crop

    def begin_again(self) -> None:
        """Forget what was offered."""
        self._offered, self.crop = 0, None


@dataclass(slots=True, kw_only=True)
class Evidence:
    """One unbroken presence of one face. When the face is lost, everything here is forgotten (see `Suspicion`)."""

    witness: Witness
    """Of the frames since the last turn that are neither anchor nor turn."""
    passive: list[float] = field(default_factory=list)
    """Live probability of each good frame."""
    anchor: Image | None = None
    """Crop of the best frame at rest: what the others are held against, and what is matched."""
    anchor_score: float = 0.0
    anchor_embedding: Embedding | None = None
    continuity: list[float] = field(default_factory=list)
    """Cosine of each accepted turn and of each witness to the anchor."""
    last_look: Thumbnail | None = None
    last_box: Box | None = None
    lost_frames: int = 0

    @property
    def good_frames(self) -> int:
        """Frames that passed every quality check."""
        return len(self.passive)

    @property
    def passive_median(self) -> float | None:
        """Median live probability; None before the first good frame."""
        return statistics.median(self.passive) if self.passive else None


class Stopwatch:
    """Adds up the time spent by stage."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time one stage."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - started

    @property
    def milliseconds(self) -> dict[str, float]:
        """Time by stage so far."""
        return {name: round(1000 * seconds, 3) for name, seconds in self._seconds.items()}
