"""What do the books of faces tell the fleet checks of one terminal? Attacks; a lesser camera; no way but the face."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceAttacksSeen:
    """How the face sessions of a terminal ended lately, of a terminal where at least one attack was suspected."""

    sessions: int
    """That came to a decision."""
    attacks: int
    """Of them, those in which an attack was suspected."""
    seals_broken: int
    """Of those, the ones whose frames are not those that the terminal signed."""
    last_attack_at: datetime | None
    last_seal_broken_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceOnlySeen:
    """People who needed another way to pay than their face, at a terminal of a site where no other was shown."""

    refused_consents: int
    failed_faces: int
    """Sessions that came to a decision nobody could pay with."""
    at_site: int
    """Both together, at all terminals of the site."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraPast:
    """A camera that once promised more than it does now."""

    solid_sessions: int
    """Sessions in which it promised infrared or depth."""
    lacking_sessions: int
    """Sessions in a row, up to now, without something it had promised before."""
    modalities: tuple[str, ...]
    """All that it ever promised beside colour."""
