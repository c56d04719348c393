"""What a fleet check says when something is wrong: kinds, severities, and the record of one finding."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

Detail = str | int | float


class FindingKind(StrEnum):
    """What is wrong with a terminal, or with the fleet as a whole."""

    SHARED_CERTIFICATE = "SHARED_CERTIFICATE"
    """The same certificate calls from several places in turn."""
    CLONE = "CLONE"
    """Two devices claim to be the same one."""
    DUPLICATE_SERIAL = "DUPLICATE_SERIAL"
    """Two factory identities carry the same serial number."""
    SHARED_FACTORY_KEY = "SHARED_FACTORY_KEY"
    """Two factory identities have the same key."""
    REVOKED_CONNECTED = "REVOKED_CONNECTED"
    """Was heard from after it was put out of service."""
    OLD_CERTIFICATE = "OLD_CERTIFICATE"
    """The certificate is older, or lives longer, than policy allows."""
    CERTIFICATE_LAPSED = "CERTIFICATE_LAPSED"
    """An ACTIVE terminal's certificate is over: it cannot call, whatever its last health report says."""
    DISTRUSTED_ISSUER = "DISTRUSTED_ISSUER"
    """The certificate is in use and its issuer is tainted or revoked."""
    CLOCK_SKEW = "CLOCK_SKEW"
    """The terminal's clock is wrong."""
    WRONG_PLACE = "WRONG_PLACE"
    """The terminal says it stands farther from its site than the site reaches."""
    POSITION_JUMP = "POSITION_JUMP"
    """The terminal moved faster than anything carries it."""
    FIRMWARE_FLAGGED = "FIRMWARE_FLAGGED"
    """The firmware has a known finding or was withdrawn."""
    FIRMWARE_UNKNOWN = "FIRMWARE_UNKNOWN"
    """The firmware is not one that was approved for the model."""
    CERTIFICATION_LAPSING = "CERTIFICATION_LAPSING"
    """The model's certification ends soon."""
    CERTIFICATION_LAPSED = "CERTIFICATION_LAPSED"
    """The model's certification is over."""
    OFF_HOURS_USE = "OFF_HOURS_USE"
    """The terminal was used while its site was closed."""
    FACE_ATTACKS = "FACE_ATTACKS"
    """Attacks on the face check were suspected again and again."""
    SEAL_BROKEN = "SEAL_BROKEN"
    """Frames came that the terminal's own signature does not cover."""
    CAMERA_DOWNGRADED = "CAMERA_DOWNGRADED"
    """The camera used to promise infrared or depth, and does so no more."""
    FACE_ONLY_SITE = "FACE_ONLY_SITE"
    """Faces were refused again and again at its site, and no other way to pay was ever offered."""
    MITIGATION_BOUND = "MITIGATION_BOUND"
    """The checks wanted to put more terminals out of service than they may within an hour."""


class Severity(StrEnum):
    """How bad a finding is; in rising order."""

    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"
    CRITICAL = "CRITICAL"

    @property
    def rank(self) -> int:
        """Return the place in the order, from 0."""
        return list(Severity).index(self)


class FindingState(StrEnum):
    """How far a finding has come."""

    OPEN = "OPEN"
    """Nobody has looked yet."""
    ACKNOWLEDGED = "ACKNOWLEDGED"
    """Somebody took it on."""
    MITIGATED = "MITIGATED"
    """Something was done against it; what remains is to find out why."""
    CLOSED = "CLOSED"
    """Over. The same again is a new finding."""


class Mitigation(StrEnum):
    """What can be done about a finding."""

    NOTIFY = "NOTIFY"
    """Nothing but to say so: lists, metrics and alerts show it."""
    SUSPEND = "SUSPEND"
    """Keep the terminal out until somebody resumes it."""
    QUARANTINE = "QUARANTINE"
    """Keep the terminal out on suspicion until somebody has looked."""
    EVICT = "EVICT"
    """Withdraw the certificate; the terminal has to enroll anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """Something wrong, seen once; `Findings` makes a finding of it or adds it to one."""

    kind: FindingKind
    terminal_id: str | None
    """None when it is about the fleet as a whole."""
    severity: Severity
    details: Mapping[str, Detail] = field(default_factory=dict)
    """Fields for machines; nothing personal."""
    seen_at: datetime | None = None
    """When the evidence was made, None for a state that holds now: evidence older than the last close is no news."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something wrong and what became of it."""

    finding_id: str
    kind: FindingKind
    terminal_id: str | None
    """None when it is about the fleet as a whole."""
    severity: Severity
    details: Mapping[str, Detail]
    first_seen: datetime
    last_seen: datetime
    times: int
    """How often it was seen."""
    state: FindingState
    state_since: datetime
    state_by: str
    """Who moved it there last."""
    state_reason: str
    mitigation: Mitigation | None
    """What was done, None while nothing was."""
    mitigated_by: str | None
    mitigated_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingFilter:
    """Which findings a list is about; what is None does not matter."""

    kind: FindingKind | None = None
    terminal_id: str | None = None
    state: FindingState | None = None
    severity_min: Severity | None = None
    is_closed: bool | None = None
    """False: those that still ask for somebody; True: those that are over."""
    before: str | None = None
    """Findings whose id is below this one: the last id of the page before, for the newest come first."""
    limit: int = 1000
