"""What is approved: frozen records of manufacturers, their models and their firmware."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum

from device_registry.model import TerminalClass


class MakerState(StrEnum):
    """Whether a manufacturer or a model is approved."""

    APPROVED = "APPROVED"
    WITHDRAWN = "WITHDRAWN"


class FirmwareState(StrEnum):
    """What is thought of a firmware."""

    APPROVED = "APPROVED"
    FLAGGED = "FLAGGED"
    """It has a known finding: nobody is offered it any more, and who runs it should update."""
    WITHDRAWN = "WITHDRAWN"
    """Nobody may be offered it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manufacturer:
    """A maker of terminals."""

    manufacturer_id: str
    name: str
    state: MakerState
    state_reason: str
    state_since: datetime
    added_at: datetime
    firmware_key_der: bytes | None = field(repr=False)
    """SubjectPublicKeyInfo of the key that signs its firmware manifests; None when it has none."""
    root_certificates_der: tuple[bytes, ...] = field(repr=False)
    """Trust anchors of its factory identities."""
    root_fingerprints: tuple[str, ...]
    """SHA-256 of each of them, lower-case hex."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceModel:
    """A certified model of terminal."""

    model_id: str
    manufacturer_id: str
    manufacturer: str
    """The manufacturer's name."""
    name: str
    terminal_class: TerminalClass
    """The highest class a terminal of this model may have."""
    certification_number: str
    certification_expires_on: date
    """The last day, UTC, on which a terminal of this model may enroll."""
    state: MakerState
    state_reason: str
    state_since: datetime
    added_at: datetime

    def certification_has_lapsed(self, now: datetime) -> bool:
        """Return whether the certification's last day is over."""
        return now.astimezone(UTC).date() > self.certification_expires_on


@dataclass(frozen=True, slots=True, kw_only=True)
class Firmware:
    """A firmware that its maker has signed and somebody here has approved."""

    firmware_id: str
    model_id: str
    manufacturer: str
    """The manufacturer's name."""
    model: str
    """The model's name."""
    version: str
    sha256: str
    """Of the image, lower-case hex."""
    size_bytes: int
    manifest: bytes = field(repr=False)
    """As the maker signed it; what it says is in the fields above."""
    signature: bytes = field(repr=False)
    """By the maker's firmware key, see manifests.py."""
    state: FirmwareState
    finding: str
    """What is wrong with it; empty while it is APPROVED."""
    state_since: datetime
    added_at: datetime
