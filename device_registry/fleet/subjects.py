"""Every terminal as the fleet checks see it, read in one pass: one statement, however many there are."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo

from sqlalchemy import Connection, RowMapping, and_, exists, select

from device_registry.errors import FieldInvalidError
from device_registry.fleet.attacks import CameraPast, FaceAttacksSeen, FaceOnlySeen
from device_registry.fleet.places import OpeningHours, place_from
from device_registry.fleet.subject import Subject
from device_registry.fleet.whereabouts import origins_from, positions_from
from device_registry.makers.approvals import MakerState
from device_registry.model import CertificateStatus, TerminalState
from device_registry.tables import (
    certificates,
    device_models,
    firmware,
    issuers,
    manufacturers,
    sites,
    terminals,
    vitals,
)

_ROWS_AT_ONCE = 1000
_ANY_FIRMWARE = firmware.alias("any_firmware")
_SUBJECTS = (
    select(
        terminals.c.terminal_id,
        terminals.c.state,
        terminals.c.state_since,
        sites.c.latitude,
        sites.c.longitude,
        sites.c.radius_metres,
        sites.c.opening_hours,
        vitals.c.is_connected,
        vitals.c.last_seen_at,
        vitals.c.clock_skew,
        vitals.c.recent_origins,
        vitals.c.recent_positions,
        vitals.c.firmware_version,
        certificates.c.not_before.label("certificate_not_before"),
        certificates.c.not_after.label("certificate_not_after"),
        issuers.c.state.label("issuer_state"),
        device_models.c.certification_expires_on,
        firmware.c.state.label("firmware_state"),
        exists().where(_ANY_FIRMWARE.c.model_id == device_models.c.model_id).label("model_has_firmware"),
    )
    .select_from(terminals)
    .join(sites, sites.c.site_id == terminals.c.site_id)
    .join(vitals, vitals.c.terminal_id == terminals.c.terminal_id)
    .outerjoin(
        certificates,
        and_(certificates.c.terminal_id == terminals.c.terminal_id, certificates.c.status == CertificateStatus.CURRENT),
    )
    .outerjoin(issuers, issuers.c.issuer_id == certificates.c.issuer_id)
    .outerjoin(
        manufacturers,
        and_(manufacturers.c.name == terminals.c.manufacturer, manufacturers.c.state == MakerState.APPROVED),
    )
    .outerjoin(
        device_models,
        and_(
            device_models.c.manufacturer_id == manufacturers.c.manufacturer_id,
            device_models.c.name == terminals.c.model,
            device_models.c.state == MakerState.APPROVED,
        ),
    )
    .outerjoin(
        firmware,
        and_(firmware.c.model_id == device_models.c.model_id, firmware.c.version == vitals.c.firmware_version),
    )
    .where(terminals.c.state != TerminalState.RETIRED)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What is known of the terminals beyond the registry, by terminal."""

    last_uses: Mapping[str, datetime]
    """When they last looked at a face or settled."""
    face_attacks: Mapping[str, FaceAttacksSeen]
    lesser_cameras: Mapping[str, CameraPast]
    face_only: Mapping[str, FaceOnlySeen]


def all_subjects(connection: Connection, *, books: Books, zone: tzinfo) -> Iterator[Subject]:
    """Return every terminal that is not retired.

    Args:
        connection: where to read.
        books: what others know of them.
        zone: of the clocks at the sites.
    """
    rows = connection.execute(_SUBJECTS.execution_options(yield_per=_ROWS_AT_ONCE)).mappings()
    return (_subject(row, books, zone) for row in rows)


def _subject(row: RowMapping, books: Books, zone: tzinfo) -> Subject:
    terminal_id = row["terminal_id"]
    last_used_at = books.last_uses.get(terminal_id)
    return Subject(
        terminal_id=terminal_id,
        state=row["state"],
        state_since=row["state_since"],
        place=place_from(latitude=row["latitude"], longitude=row["longitude"], radius_metres=row["radius_metres"]),
        opening_hours=_hours(row["opening_hours"]),
        is_connected=row["is_connected"],
        last_seen_at=row["last_seen_at"],
        clock_skew=row["clock_skew"],
        origins=tuple(origins_from(row["recent_origins"])),
        positions=tuple(positions_from(row["recent_positions"])),
        certificate_not_before=row["certificate_not_before"],
        certificate_not_after=row["certificate_not_after"],
        issuer_state=row["issuer_state"],
        firmware_version=row["firmware_version"],
        firmware_state=row["firmware_state"],
        model_has_firmware=bool(row["model_has_firmware"]),
        certification_expires_on=row["certification_expires_on"],
        last_used_at=None if last_used_at is None else last_used_at.astimezone(zone),
        face_attacks=books.face_attacks.get(terminal_id),
        camera_past=books.lesser_cameras.get(terminal_id),
        face_only=books.face_only.get(terminal_id),
    )


def _hours(text: str | None) -> OpeningHours | None:
    """Return the hours; a text that nobody can read (written past `SitePlaces`) must not stop the whole audit."""
    try:
        return None if text is None else OpeningHours.from_text(text)
    except FieldInvalidError:
        return None
