"""What has a session seen that speaks against it, whatever face is before the camera by now?"""

from dataclasses import dataclass

from face_pipeline.evidence import Reason
from face_pipeline.policy import FacePolicy


@dataclass(slots=True, kw_only=True)
class Suspicion:
    """Counts over the whole session. Evidence begins anew when the face is lost; this does not: no try is free."""

    good_frames: int = 0
    passive_low: int = 0
    """Good frames whose live probability was low."""
    identity_misses: int = 0
    """Frames in a turn or after a jump whose face was not the face at rest; a smeared one may be among them."""
    strangers: int = 0
    """Frames drawn at random whose face was not the face at rest: one is enough, or the draw could be tried again."""
    flat_frames: int = 0
    """Frames that were turned, but flat."""
    restarts: int = 0
    """Presences that ended, after at least one good frame."""

    def judged(self, live_probability: float, policy: FacePolicy) -> None:
        """Count one good frame."""
        self.good_frames += 1
        self.passive_low += live_probability < policy.passive_min

    def mostly_paper(self, frames_min: int, policy: FacePolicy) -> bool:
        """Return whether too many of at least `frames_min` frames looked like paper or a screen."""
        return self.good_frames >= frames_min and self.passive_low > policy.passive_low_share_max * self.good_frames

    def ground(self, policy: FacePolicy) -> Reason | None:
        """Return why the session must end here; None while it may go on."""
        if self.strangers or self.identity_misses > policy.continuity_misses_max:
            return Reason.IDENTITY_CHANGED
        if self.mostly_paper(policy.spoof_frames_min, policy):
            return Reason.PASSIVE_LOW
        if self.flat_frames >= policy.flat_frames_max:
            return Reason.FLAT_TURN
        if self.restarts > policy.restarts_max:
            return Reason.PRESENCE_BROKEN
        return None
