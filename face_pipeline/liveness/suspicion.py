"""What has a session seen that speaks against it, whatever face is before the camera by now?"""

from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class Suspicion:
    """Counts over the whole session. Evidence begins anew when the face is lost; this does not: no try is free."""

    passive: list[float] = field(default_factory=list)
    """Live probability of each good frame, whoever was in it."""
    identity_misses: int = 0
    """Frames in a turn or after a jump whose face was not the face at rest; a smeared one may be among them."""
    strangers: int = 0
    """Frames drawn at random whose face was not the face at rest: one is enough, or the draw could be tried again."""
    flat_frames: int = 0
    """Frames that were turned, but flat."""
    restarts: int = 0
    """Presences that ended, after at least one good frame."""
    bad_frames: int = 0
    """Frames that could not be used at all."""

    def passive_low_share(self, passive_min: float) -> float:
        """Return which part of all good frames looked like paper or a screen, 0..1."""
        return sum(live < passive_min for live in self.passive) / max(len(self.passive), 1)
