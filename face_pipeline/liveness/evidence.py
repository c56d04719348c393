"""What has a session seen so far that speaks for or against a living person?"""

import secrets
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from face_pipeline.frames import Box, Image
from face_pipeline.liveness.continuity import Thumbnail
from face_pipeline.policy import FacePolicy


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

    passive: list[float] = field(default_factory=list)
    """Live probability of each good frame."""
    last_crop: Image | None = None
    """Of the last good frame."""
    last_look: Thumbnail | None = None
    """The same, small."""
    last_box: Box | None = None
    lost_frames: int = 0
    began_at: datetime | None = None
    """Capture time of the first good frame."""
    seen_at: datetime | None = None
    """Capture time of the last good frame."""

    def judged(self, live_probability: float, at: datetime) -> None:
        """Take in one good frame."""
        self.passive.append(live_probability)
        self.began_at, self.seen_at = self.began_at or at, at

    @property
    def span(self) -> timedelta:
        """How long this face was seen, from first to last good frame."""
        if self.began_at is None or self.seen_at is None:
            return timedelta()
        return self.seen_at - self.began_at

    def is_watched(self, policy: FacePolicy) -> bool:
        """Return whether a face that is asked for nothing was seen in enough frames, over a long enough time."""
        return self.good_frames >= policy.unmoved_frames_min and self.span >= policy.unmoved_span

    def looks_alive(self, live_probability: float, minimum: float, policy: FacePolicy) -> bool:
        """Return whether one frame pleases the passive model enough to be built on.

        Cameras and rooms differ in what the model makes of a living face. Where it calls the whole presence doubtful, a
        frame need not be much better than that; it must not be the one dead picture among living ones.

        Args:
            live_probability: of the frame.
            minimum: what is enough anywhere.
            policy: what share of its own median is enough for a presence that was seen long enough.
        """
        median = self.passive_median
        if median is not None and median < minimum and self.good_frames >= policy.passive_frames_min:
            return live_probability >= policy.passive_own_share * median
        return live_probability >= minimum

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

    def stage(self, name: str) -> "_Lap":
        """Time one stage."""
        return _Lap(self._seconds, name)

    @property
    def milliseconds(self) -> dict[str, float]:
        """Time by stage so far."""
        return {name: round(1000 * seconds, 3) for name, seconds in self._seconds.items()}


class _Lap:
    """One stage being timed. A class: `contextlib` takes three times as long, and a frame has six stages."""

    __slots__ = ("_name", "_seconds", "_started")

    def __init__(self, seconds: dict[str, float], name: str) -> None:
        self._seconds, self._name = seconds, name

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._seconds[self._name] = self._seconds.get(self._name, 0.0) + time.perf_counter() - self._started
