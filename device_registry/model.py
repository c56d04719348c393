"""What the registry knows: frozen records of sites, terminals, certificates, commands and vitals."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum


class SiteKind(StrEnum):
    """What a designated institution is."""

    HOSPITAL = "HOSPITAL"
    CLINIC = "CLINIC"
    PHARMACY = "PHARMACY"


class TerminalClass(StrEnum):
    """What a terminal is certified for; each class can do what the ones below it can."""

    SCAN = "I"
    CARD = "II"
    FACE = "III"

    def covers(self, needed: "TerminalClass") -> bool:
        """Return whether a terminal of this class can do what one of the other class can."""
        order = list(TerminalClass)
        return order.index(self) >= order.index(needed)


class TerminalState(StrEnum):
    """Where a terminal stands in its life; the legal ways are in lifecycle.py."""

    REGISTERED = "REGISTERED"
    ENROLLED = "ENROLLED"
    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    QUARANTINED = "QUARANTINED"
    REVOKED = "REVOKED"
    BANNED = "BANNED"
    RETIRED = "RETIRED"


class CertificateStatus(StrEnum):
    """Whether a certificate still opens the door."""

    CURRENT = "CURRENT"
    """The newest one of its terminal."""
    SUPERSEDED = "SUPERSEDED"
    """A newer one was issued and not used yet; good until that happens or the grace period ends."""
    RETIRED = "RETIRED"
    """Replaced in good order."""
    REVOKED = "REVOKED"
    """Withdrawn."""


OPEN_STATUSES = (CertificateStatus.CURRENT, CertificateStatus.SUPERSEDED)
"""Those of certificates that open the door, as long as their time lasts."""


class Presence(StrEnum):
    """What can be said of a terminal's control stream; derived from times, never stored."""

    UNSEEN = "UNSEEN"
    CONNECTED = "CONNECTED"
    DISCONNECTED = "DISCONNECTED"
    FLAPPING = "FLAPPING"
    OVERDUE = "OVERDUE"


class CameraState(StrEnum):
    """State of a camera as the terminal sees it."""

    READY = "READY"
    DEGRADED = "DEGRADED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryPolicy:
    """The registry's choices: how long things live and how many of them there may be."""

    token_lifetime: timedelta = timedelta(hours=1)
    """How long an enrollment token is good: long enough to walk to the terminal, too short to lie in a drawer."""
    nonce_lifetime: timedelta = timedelta(minutes=5)
    """How long an enrollment nonce is good."""
    nonces_open_max: int = 10_000
    """How many enrollment nonces may be open at once, over all serial numbers."""
    renewal_grace: timedelta = timedelta(days=7)
    """How long a superseded certificate stays good when its successor is never used."""
    certificates_per_day_max: int = 24
    """How many certificates one terminal may get within 24 hours."""
    heartbeat_interval: timedelta = timedelta(seconds=30)
    """How often a terminal is asked to send a heartbeat."""
    overdue_after: timedelta = timedelta(seconds=90)
    """A terminal is OVERDUE when nothing was heard from it for this long: three heartbeats."""
    flapping_connects: int = 5
    """A terminal is FLAPPING when it connected this many times within the window below."""
    flapping_window: timedelta = timedelta(minutes=10)
    """See `flapping_connects`."""
    commands_open_max: int = 32
    """How many unanswered commands one terminal may have."""
    grace_class_i: timedelta = timedelta(days=30)
    """How long after its end a certificate of a class I terminal may be renewed once, at the enrollment port."""
    grace_class_ii: timedelta = timedelta(days=14)
    """The same for class II."""
    grace_class_iii: timedelta = timedelta(days=7)
    """The same for class III: what can look at faces may be lost for less long."""

    def grace_after_expiry(self, terminal_class: TerminalClass) -> timedelta:
        """Return how long after its end a certificate may be renewed once."""
        return {
            TerminalClass.SCAN: self.grace_class_i,
            TerminalClass.CARD: self.grace_class_ii,
            TerminalClass.FACE: self.grace_class_iii,
        }[terminal_class]


DEFAULT_POLICY = RegistryPolicy()


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A designated institution."""

    site_id: str
    name: str
    region: str
    kind: SiteKind
    added_at: datetime
    latitude: float | None = None
    """Degrees north of the equator; None when nobody said where the site stands."""
    longitude: float | None = None
    """Degrees east of Greenwich."""
    radius_metres: int | None = None
    """How far from there its terminals may be."""
    opening_hours: str | None = None
    """`07:00-21:00` by the clock of settlements; None when nobody said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """A registered terminal and where it stands."""

    terminal_id: str
    serial_number: str
    manufacturer: str
    model: str
    terminal_class: TerminalClass
    site_id: str
    region: str
    certification_number: str
    record_number: str
    state: TerminalState
    state_reason: str
    state_since: datetime
    registered_at: datetime
    factory_key_sha256: str | None = None
    """SHA-256 of its factory identity's public key, pinned at the first enrollment with it; None: none so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentToken:
    """A one-time token, in clear text for the only time; the registry keeps its hash."""

    token: str = field(repr=False)
    terminal_id: str
    serial_number: str
    site_id: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentChallenge:
    """A nonce for one enrollment."""

    nonce: bytes
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrollment:
    """A terminal's new operational identity."""

    terminal_id: str
    certificate_chain_der: tuple[bytes, ...]
    """Leaf first, root left out."""
    renew_after: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedCertificate:
    """A certificate fresh from the authority."""

    certificate_chain_der: tuple[bytes, ...]
    """Leaf first, root left out."""
    certificate_serial: str
    """Lower-case hex."""
    fingerprint: str
    """SHA-256 of the leaf's DER, lower-case hex."""
    issuer_id: str
    """The issuing authority that signed it."""
    issued_at: datetime
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRecord:
    """A certificate as the registry remembers it."""

    fingerprint: str
    certificate_serial: str
    terminal_id: str
    public_key_sha256: str
    issued_at: datetime
    not_before: datetime
    not_after: datetime
    good_until: datetime
    """`not_after`, or the end of the grace period when that comes first."""
    status: CertificateStatus
    status_since: datetime
    first_used_at: datetime | None
    issuer_id: str | None = None
    """The issuing authority that signed it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """All that decides whether the holder of a certificate may come in."""

    terminal_id: str
    site_id: str
    region: str
    serial_number: str
    terminal_class: TerminalClass
    state: TerminalState
    certificate_status: CertificateStatus
    fingerprint: str
    not_after: datetime
    """After this moment the certificate is refused: its own end, or that of the grace period when superseded."""
    renew_after: datetime
    first_use_pending: bool
    """True until `Registry.first_use`, which whoever lets the caller in must call then."""
    state_since: datetime | None = None
    """When the terminal came into its state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatReport:
    """What a terminal says about itself."""

    terminal_time: datetime
    camera_state: CameraState
    temperature_celsius: float
    queue_length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedHeartbeat:
    """A heartbeat with its sender and time of arrival, for writing many at once."""

    terminal_id: str
    report: HeartbeatReport
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """How a terminal does, as far as it told."""

    terminal_id: str
    presence: Presence
    presence_until: datetime | None
    """When the presence changes by itself unless something is heard; None when it cannot."""
    last_seen_at: datetime | None
    firmware_version: str | None
    camera_state: CameraState | None
    temperature_celsius: float | None
    queue_length: int | None
    clock_skew: timedelta | None
    """Terminal's clock minus the platform's."""
    certificate_not_after: datetime | None
    certificate_days_left: int | None
    """Whole days; negative once it lapsed."""
