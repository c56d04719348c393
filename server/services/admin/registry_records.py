"""Registry records to the messages of registry.proto and back."""

from datetime import timedelta

from device_registry import model as registry
from device_registry.fleet.places import Place, place_from
from device_registry.imports import ImportResult, ImportRow
from device_registry.roster import RosterFilter, TerminalView
from server.refusals import FieldViolation, InvalidRequestError
from server.services.admin import convert
from shualian.admin.v1 import registry_pb2 as pb

_MILLISECOND = timedelta(milliseconds=1)


def site_kind(value: int) -> registry.SiteKind:
    """Return what a site is; validation has refused UNSPECIFIED where one is needed."""
    kind = convert.word_of(pb.SiteKind, "SITE_KIND", value, registry.SiteKind)
    if kind is None:
        raise InvalidRequestError(violations=(FieldViolation(field="kind", rule="must be given"),))
    return kind


def terminal_class(value: int) -> registry.TerminalClass:
    """Return a class; validation has refused UNSPECIFIED where one is needed."""
    found = convert.word_of(pb.TerminalClass, "TERMINAL_CLASS", value, registry.TerminalClass)
    if found is None:
        raise InvalidRequestError(violations=(FieldViolation(field="terminal_class", rule="must be given"),))
    return found


def roster_filter(message: pb.TerminalFilter) -> RosterFilter:
    """Return which terminals are asked for."""
    return RosterFilter(
        state=convert.word_of(pb.TerminalState, "TERMINAL_STATE", message.state, registry.TerminalState),
        region=message.region or None,
        site_id=message.site_id or None,
        terminal_class=convert.word_of(
            pb.TerminalClass, "TERMINAL_CLASS", message.terminal_class, registry.TerminalClass
        ),
        manufacturer=message.manufacturer or None,
        model=message.model or None,
        serial_number=message.serial_number or None,
        firmware_version=message.firmware_version or None,
        expiring_before=convert.moment(message.expiring_before) if message.HasField("expiring_before") else None,
        issuer_id=message.issuer_id or None,
        presence=convert.word_of(pb.Presence, "PRESENCE", message.presence, registry.Presence),
    )


def place_of(request: pb.AddSiteRequest | pb.UpdateSiteRequest) -> Place | None:
    """Return where a site is said to stand."""
    if not request.HasField("place"):
        return None
    place = request.place
    return Place(latitude=place.latitude, longitude=place.longitude, radius_metres=place.radius_metres)


def place_in(record: registry.Site) -> Place | None:
    """Return where a site stands, as far as it is known."""
    return place_from(latitude=record.latitude, longitude=record.longitude, radius_metres=record.radius_metres)


def import_row(message: pb.ImportRow) -> ImportRow:
    """Return one line of an import; a class that is none of ours is a mistake of this line alone."""
    is_known = message.terminal_class in pb.TerminalClass.values()
    return ImportRow(
        line=message.line,
        serial_number=message.serial_number,
        site_id=message.site_id,
        manufacturer=message.manufacturer,
        model=message.model,
        terminal_class=convert.word_of(
            pb.TerminalClass, "TERMINAL_CLASS", message.terminal_class, registry.TerminalClass
        )
        if is_known
        else None,
        certification_number=message.certification_number,
        record_number=message.record_number,
    )


def import_result(record: ImportResult) -> pb.ImportResult:
    """Return what became of one line."""
    return pb.ImportResult(
        line=record.line,
        outcome=convert.enum_of(pb.ImportOutcome, "IMPORT_OUTCOME", record.outcome),
        terminal_id=record.terminal_id,
        reason=record.reason,
        field=record.field,
        detail=record.detail,
    )


def view(record: TerminalView) -> pb.TerminalView:
    """Return a terminal as a list shows it."""
    return pb.TerminalView(
        terminal=terminal(record.terminal),
        presence=convert.enum_of(pb.Presence, "PRESENCE", record.presence),
        last_seen_at=convert.when(record.last_seen_at),
        firmware_version=record.firmware_version,
        certificate_not_after=convert.when(record.certificate_not_after),
        issuer_id=record.issuer_id,
    )


def site(record: registry.Site) -> pb.Site:
    """Return a site."""
    return pb.Site(
        site_id=record.site_id,
        name=record.name,
        region=record.region,
        kind=convert.enum_of(pb.SiteKind, "SITE_KIND", record.kind),
        added_at=convert.when(record.added_at),
        place=_place(record),
        opening_hours=record.opening_hours or "",
    )


def terminal(record: registry.Terminal) -> pb.Terminal:
    """Return a terminal."""
    return pb.Terminal(
        terminal_id=record.terminal_id,
        serial_number=record.serial_number,
        manufacturer=record.manufacturer,
        model=record.model,
        terminal_class=convert.enum_of(pb.TerminalClass, "TERMINAL_CLASS", record.terminal_class),
        site_id=record.site_id,
        region=record.region,
        certification_number=record.certification_number,
        record_number=record.record_number,
        state=convert.enum_of(pb.TerminalState, "TERMINAL_STATE", record.state),
        state_reason=record.state_reason,
        state_since=convert.when(record.state_since),
        registered_at=convert.when(record.registered_at),
    )


def certificate(record: registry.CertificateRecord) -> pb.Certificate:
    """Return a certificate."""
    return pb.Certificate(
        fingerprint=record.fingerprint,
        certificate_serial=record.certificate_serial,
        public_key_sha256=record.public_key_sha256,
        issued_at=convert.when(record.issued_at),
        not_before=convert.when(record.not_before),
        not_after=convert.when(record.not_after),
        good_until=convert.when(record.good_until),
        status=convert.enum_of(pb.CertificateStatus, "CERTIFICATE_STATUS", record.status),
        status_since=convert.when(record.status_since),
        first_used_at=convert.when(record.first_used_at),
    )


def vitals(record: registry.Vitals) -> pb.Vitals:
    """Return how a terminal does."""
    return pb.Vitals(
        presence=convert.enum_of(pb.Presence, "PRESENCE", record.presence),
        last_seen_at=convert.when(record.last_seen_at),
        firmware_version=record.firmware_version or "",
        camera_state=convert.enum_of(pb.CameraState, "CAMERA_STATE", record.camera_state),
        temperature_celsius=record.temperature_celsius,
        queue_length=record.queue_length,
        clock_skew_ms=None if record.clock_skew is None else record.clock_skew // _MILLISECOND,
        certificate_not_after=convert.when(record.certificate_not_after),
        certificate_days_left=record.certificate_days_left,
        presence_until=convert.when(record.presence_until),
    )


def token(record: registry.EnrollmentToken, root_fingerprint_sha256: str) -> pb.EnrollmentToken:
    """Return a token, in clear for the only time, with what its terminal knows the platform by."""
    return pb.EnrollmentToken(
        token=record.token,
        terminal_id=record.terminal_id,
        serial_number=record.serial_number,
        site_id=record.site_id,
        expires_at=convert.when(record.expires_at),
        root_fingerprint_sha256=root_fingerprint_sha256,
    )


def _place(record: registry.Site) -> pb.Place | None:
    place = place_in(record)
    if place is None:
        return None
    return pb.Place(latitude=place.latitude, longitude=place.longitude, radius_metres=place.radius_metres)
