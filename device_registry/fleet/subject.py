"""What does the database say of one terminal, as far as a rule of the fleet checks asks?"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from device_registry.fleet.attacks import CameraPast, FaceAttacksSeen, FaceOnlySeen
from device_registry.fleet.places import OpeningHours, Place
from device_registry.fleet.whereabouts import Origin, Sighted
from device_registry.makers.approvals import FirmwareState
from device_registry.model import TerminalState

IN_SERVICE = frozenset({TerminalState.ENROLLED, TerminalState.ACTIVE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What the database says of one terminal, as far as a rule asks."""

    terminal_id: str
    state: TerminalState
    state_since: datetime
    place: Place | None = None
    """Where its site stands."""
    opening_hours: OpeningHours | None = None
    """When its site is open."""
    is_connected: bool = False
    last_seen_at: datetime | None = None
    clock_skew: timedelta | None = None
    origins: tuple[Origin, ...] = ()
    """Changes of where it called from, newest first."""
    positions: tuple[Sighted, ...] = ()
    """Positions that it gave, newest first."""
    certificate_not_before: datetime | None = None
    """Of the current certificate; None: it has none."""
    certificate_not_after: datetime | None = None
    issuer_state: str | None = None
    """What is thought of the current certificate's issuer: ACTIVE, TAINTED, REVOKED ...; None: nobody wrote it down."""
    firmware_version: str | None = None
    firmware_state: FirmwareState | None = None
    """None: no such firmware was approved for the model."""
    model_has_firmware: bool = False
    """Whether any firmware was ever approved for the model."""
    certification_expires_on: date | None = None
    """None: the model is not among the approved ones; the terminal was registered by hand."""
    last_used_at: datetime | None = None
    """When it last looked at a face or settled, in the zone of the site's clock."""

    face_attacks: FaceAttacksSeen | None = None
    """How its face sessions ended lately; None: no attack was suspected."""
    camera_past: CameraPast | None = None
    """What its camera once promised; None: it promises no less now."""
    face_only: FaceOnlySeen | None = None
    """How often another way than a face was needed; None: never, or another way was shown at its site."""

    @property
    def is_in_service(self) -> bool:
        """Return whether it may call."""
        return self.state in IN_SERVICE
