"""What can speak for or against a living person, and what did it say?"""

from dataclasses import dataclass
from enum import StrEnum


class Cue(StrEnum):
    """What is asked; each is independent of the others, as far as an attack goes."""

    DELIVERY = "delivery"
    """Frames that could be read at all."""
    FRAMES = "frames"
    """Good frames of one presence."""
    CHALLENGE = "challenge"
    """The head did what it was asked to do."""
    WATCHED = "watched"
    """Nothing was asked, and the face was seen long enough instead."""
    PASSIVE = "passive"
    """What the passive model makes of the one face that is decided on."""
    PASSIVE_SHARE = "passive_share"
    """What it makes of the whole session, whoever was in it."""
    IDENTITY = "identity"
    """One and the same face all the time."""
    PRESENCE = "presence"
    """An unbroken visit."""
    FLATNESS = "flatness"
    """Something was turned, and it was flat."""
    INFRARED = "infrared"
    """A face in near infrared, at rest."""
    INFRARED_MOVED = "infrared_moved"
    """The same in each action of the challenge."""
    DEPTH = "depth"
    """Relief in the depth picture, at rest."""
    DEPTH_MOVED = "depth_moved"
    """The same in each action of the challenge."""
    SEAL = "seal"
    """The terminal's signature over its frames."""
    REPLAY = "replay"
    """Frames that were shown in another session."""
    TERMINAL = "terminal"
    """The terminal's own liveness check."""


class CueSays(StrEnum):
    """What a cue says."""

    FOR = "for"
    AGAINST = "against"
    SILENT = "silent"


class Reason(StrEnum):
    """Why a session ended as it did; a closed set, fit for a metric's label."""

    PASSIVE_LOW = "passive_low"
    """the frames look like paper or a screen"""
    FLAT_TURN = "flat_turn"
    """something was turned, and it was flat"""
    IDENTITY_CHANGED = "identity_changed"
    """the face in an action is not the face at rest"""
    PRESENCE_BROKEN = "presence_broken"
    """the face went away, jumped or froze again and again"""
    WRONG_TURN = "wrong_turn"
    """the head turned to the side that was not asked"""
    NO_FACE = "no_face"
    """hardly a usable frame"""
    FEW_GOOD_FRAMES = "few_good_frames"
    """not enough frames for the passive model"""
    PASSIVE_UNCLEAR = "passive_unclear"
    """the passive model had not seen enough to speak for the person"""
    CHALLENGE_NOT_DONE = "challenge_not_done"
    """the actions were not made in time"""
    WATCHED_TOO_SHORT = "watched_too_short"
    """a face that is asked for nothing was not seen for long enough"""
    BAD_FRAMES = "bad_frames"
    """too many frames did not decode, came out of order or without a picture that was promised"""
    NOTHING_IN_INFRARED = "nothing_in_infrared"
    """no living face in near infrared"""
    INFRARED_MISSING = "infrared_missing"
    """infrared was promised, and never good enough to judge by"""
    NO_RELIEF = "no_relief"
    """no relief of a head in depth"""
    DEPTH_MISSING = "depth_missing"
    """depth was promised, and never good enough to judge by"""
    SEAL_MISSING = "seal_missing"
    """the terminal did not sign its frames"""
    SEAL_BROKEN = "seal_broken"
    """the signature does not cover these frames"""
    REPLAYED = "replayed"
    """frames of an earlier session were shown again"""
    TERMINAL_DOUBTS = "terminal_doubts"
    """the terminal's own check suspects an attack"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CueReading:
    """What one cue said, and why."""

    name: Cue
    says: CueSays
    value: float | None
    """What was measured, in the unit of the threshold; None when there was nothing to measure."""
    threshold: float | None
    """Where it turns; None for what is simply so or not."""
    reason: Reason | None = None
    """What it is called when it keeps the session from being live."""
    needed: bool = False
    """Whether nobody is live without it."""


class SealFinding(StrEnum):
    """What became of the terminal's signature over its frames."""

    NOT_ASKED = "not_asked"
    VERIFIED = "verified"
    MISSING = "missing"
    """It was asked for and did not come."""
    BROKEN = "broken"
    """It came, and does not fit the frames, the session or the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureFindings:
    """How the frames came to us; known to those who hold keys and the memory of other sessions."""

    seal: SealFinding
    replayed_frames: int
    """Good frames that are near duplicates of another session's."""
    terminal_says: bool | None
    """The terminal's own verdict; None when it has no check of its own."""
