"""What is suspicious about a terminal's face sessions? Four more rules, in the form of those in risk.py.

Who stands before a camera decides whether a session looks like an attack. So what anybody at a window can bring about
only notifies: an attacker must not be able to switch off a hospital's terminal. A broken seal is another matter: nobody
but the device itself, or who has its key, can make one.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from device_registry.fleet.finding import FindingKind, Severity, Sighting
from device_registry.fleet.subject import Subject

_PERCENT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceAttacks:
    """Attacks on the face check were suspected again and again."""

    kind: ClassVar[FindingKind] = FindingKind.FACE_ATTACKS
    passes: ClassVar[bool] = False
    window: timedelta
    """What is counted lies within this time."""
    attacks_min: int
    """Fewer are no finding: the odd honest session looks like one."""
    sessions_min: int
    """From so many sessions on, their share counts."""
    share_percent_min: int
    """From this share of all sessions on it is MEDIUM, below LOW."""

    def look(self, subject: Subject, now: datetime) -> Sighting | None:  # noqa: ARG002 - the port's signature
        """Compare the suspected attacks with all sessions."""
        seen = subject.face_attacks
        if seen is None or seen.attacks < max(self.attacks_min, 1):
            return None
        percent = _PERCENT * seen.attacks // max(seen.sessions, 1)
        is_common = seen.sessions >= self.sessions_min and percent >= self.share_percent_min
        return Sighting(
            kind=self.kind,
            terminal_id=subject.terminal_id,
            severity=Severity.MEDIUM if is_common else Severity.LOW,
            details={"attacks": seen.attacks, "sessions": seen.sessions, "percent": percent},
            seen_at=seen.last_attack_at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SealBroken:
    """Frames came that the terminal's own signature does not cover: the device, or its firmware, is not what it was."""

    kind: ClassVar[FindingKind] = FindingKind.SEAL_BROKEN
    passes: ClassVar[bool] = False

    def look(self, subject: Subject, now: datetime) -> Sighting | None:  # noqa: ARG002 - the port's signature
        """Look for broken seals; one is enough. Counted within the window of FACE_ATTACKS."""
        seen = subject.face_attacks
        if seen is None or seen.seals_broken == 0:
            return None
        return Sighting(
            kind=self.kind,
            terminal_id=subject.terminal_id,
            severity=Severity.HIGH,
            details={"seals_broken": seen.seals_broken, "sessions": seen.sessions},
            seen_at=seen.last_seal_broken_at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceOnlySite:
    """Who refuses their face, or is not recognised, seems to be offered nothing else at this site (I8)."""

    kind: ClassVar[FindingKind] = FindingKind.FACE_ONLY_SITE
    passes: ClassVar[bool] = True
    window: timedelta
    """What is counted lies within this time."""
    refusals_min: int
    """Refused consents and faces that paid nothing, at all terminals of a site; fewer may have gone to the counter."""

    def look(self, subject: Subject, now: datetime) -> Sighting | None:  # noqa: ARG002 - the port's signature
        """Compare how often another way was needed with whether one was ever shown."""
        seen = subject.face_only
        if seen is None or seen.at_site < max(self.refusals_min, 1):
            return None
        return Sighting(
            kind=self.kind,
            terminal_id=subject.terminal_id,
            severity=Severity.LOW,
            details={
                "refused_consents": seen.refused_consents,
                "failed_faces": seen.failed_faces,
                "at_site": seen.at_site,
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraDowngraded:
    """The camera used to promise infrared or depth and does so no more: broken, covered, or taken out of the game."""

    kind: ClassVar[FindingKind] = FindingKind.CAMERA_DOWNGRADED
    passes: ClassVar[bool] = True
    solid_sessions_min: int
    """It must have promised it in so many sessions: a test at the bench is no habit."""
    lacking_sessions_min: int
    """So many sessions in a row without it are no accident."""

    def look(self, subject: Subject, now: datetime) -> Sighting | None:  # noqa: ARG002 - the port's signature
        """Compare what it promises with what it ever did."""
        past = subject.camera_past
        if past is None or past.solid_sessions < self.solid_sessions_min:
            return None
        if past.lacking_sessions < max(self.lacking_sessions_min, 1):
            return None
        return Sighting(
            kind=self.kind,
            terminal_id=subject.terminal_id,
            severity=Severity.MEDIUM,
            details={"promised": ",".join(past.modalities), "lacking_sessions": past.lacking_sessions},
        )
