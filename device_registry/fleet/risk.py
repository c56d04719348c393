"""What is suspicious about a terminal? Each rule is one small pure class over what the database says of one terminal.

A rule knows its kind, what may be done about it, and its thresholds; `risk_policy.toml` gives the values. A rule whose
finding describes a state that passes (a wrong clock) is closed by the next audit that no longer sees it; one that
describes something that happened (a certificate called from two places) stays until a person closes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from types import MappingProxyType
from typing import ClassVar, Protocol

from device_registry.fleet.face_risk import CameraDowngraded, FaceAttacks, FaceOnlySite, SealBroken
from device_registry.fleet.finding import Detail, FindingKind, Mitigation, Severity, Sighting
from device_registry.fleet.places import metres_between
from device_registry.fleet.subject import Subject
from device_registry.makers.approvals import FirmwareState
from device_registry.model import TerminalState

_K = FindingKind
_NOTIFY = frozenset({Mitigation.NOTIFY})
_PAUSE = _NOTIFY | {Mitigation.SUSPEND}
_KEEP_OUT = _PAUSE | {Mitigation.QUARANTINE}
_SECOND = timedelta(seconds=1)

ALLOWED: Mapping[FindingKind, frozenset[Mitigation]] = MappingProxyType(
    {
        _K.SHARED_CERTIFICATE: _KEEP_OUT | {Mitigation.EVICT},
        _K.CLONE: _KEEP_OUT | {Mitigation.EVICT},
        _K.DUPLICATE_SERIAL: _KEEP_OUT,
        _K.SHARED_FACTORY_KEY: _KEEP_OUT,
        _K.REVOKED_CONNECTED: _NOTIFY,  # it is out of service already: what failed is ours
        _K.OLD_CERTIFICATE: _PAUSE | {Mitigation.EVICT},
        _K.CERTIFICATE_LAPSED: _NOTIFY,  # it cannot call anyway
        _K.DISTRUSTED_ISSUER: _KEEP_OUT | {Mitigation.EVICT},
        _K.CLOCK_SKEW: _PAUSE,
        _K.WRONG_PLACE: _KEEP_OUT,
        _K.POSITION_JUMP: _KEEP_OUT,
        _K.FIRMWARE_FLAGGED: _KEEP_OUT,
        _K.FIRMWARE_UNKNOWN: _KEEP_OUT,
        _K.CERTIFICATION_LAPSING: _NOTIFY,
        _K.CERTIFICATION_LAPSED: _PAUSE,
        _K.OFF_HOURS_USE: _KEEP_OUT,
        _K.FACE_ATTACKS: _NOTIFY,  # whoever stands before the camera brings it about: it must not switch a window off
        _K.SEAL_BROKEN: _KEEP_OUT,
        _K.CAMERA_DOWNGRADED: _PAUSE,
        _K.FACE_ONLY_SITE: _NOTIFY,  # shutting it would leave its people with still less
        _K.MITIGATION_BOUND: _NOTIFY,
    }
)
"""What may be done about each kind; a policy that wants something else is refused."""

_NEVER_IN = frozenset({TerminalState.REGISTERED})


class Rule(Protocol):
    """One question about a terminal."""

    kind: ClassVar[FindingKind]
    passes: ClassVar[bool]
    """Whether the finding is a state that passes, rather than something that happened."""

    def look(self, subject: Subject, now: datetime) -> Sighting | None:
        """Return what is wrong with the terminal, None when nothing is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedCertificate:
    """The same certificate called from one place, then another, then the first again, within minutes.

    A terminal has one place. Two devices with the same key throw each other off the control stream and both come back
    at once, so the places alternate again and again; a single return is also what a changed network cable looks like.
    """

    kind: ClassVar[FindingKind] = _K.SHARED_CERTIFICATE
    passes: ClassVar[bool] = False
    window: timedelta
    """The changes that count lie within this time."""
    returns_min: int
    """This many returns to an earlier place are CRITICAL; fewer are MEDIUM."""

    def look(self, subject: Subject, now: datetime) -> Sighting | None:  # noqa: ARG002 - the port's signature
        """Count the returns among the latest changes."""
        if not subject.origins:
            return None
        newest = subject.origins[0].at
        recent = [change for change in subject.origins if newest - change.at <= self.window]
        returns = sum(
            change.origin in {earlier.origin for earlier in subject.origins[index + 1 :]}
            for index, change in enumerate(recent)
        )
        if returns == 0 or len(recent) == 1:  # one change alone: the stay in between was long
            return None
        severity = Severity.CRITICAL if returns >= self.returns_min else Severity.MEDIUM
        places = len({change.origin for change in recent})
        return _seen(self, subject, severity, newest, returns=returns, places=places)


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokedConnected:
    """A terminal that is out of service was heard from after it was put there: the platform's own door failed."""

    kind: ClassVar[FindingKind] = _K.REVOKED_CONNECTED
    passes: ClassVar[bool] = False
    tolerance: timedelta
    """What is heard within this time after the change is what was under way."""

    def look(self, subject: Subject, now: datetime) -> Sighting | None:  # noqa: ARG002 - the port's signature
        """Compare when it was put out with when it was last heard."""
        if subject.is_in_service or subject.state in _NEVER_IN or subject.last_seen_at is None:
            return None
        after = subject.last_seen_at - subject.state_since
        if after <= self.tolerance:
            return None
        return _seen(
            self,
            subject,
            Severity.CRITICAL,
            subject.last_seen_at,
            state=subject.state.value,
            seconds_after=round(after / _SECOND, 1),
            is_connected=int(subject.is_connected),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OldCertificate:
    """The current certificate is older than policy allows: its key was in use for too long."""

    kind: ClassVar[FindingKind] = _K.OLD_CERTIFICATE
    passes: ClassVar[bool] = True
    age_max: timedelta
    """How old a current certificate may be, whatever it says itself."""

    def look(self, subject: Subject, now: datetime) -> Sighting | None:
        """Compare the certificate's begin with now."""
        begin = subject.certificate_not_before
        if not subject.is_in_service or begin is None or now - begin <= self.age_max:
            return None
        return _seen(self, subject, Severity.MEDIUM, days=(now - begin).days)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateLapsed:
    """An ACTIVE terminal's certificate is over: health may look green from its last report, the identity is dead."""

    kind: ClassVar[FindingKind] = _K.CERTIFICATE_LAPSED
    passes: ClassVar[bool] = True

    def look(self, subject: Subject, now: datetime) -> Sighting | None:
        """Compare the certificate's end with now."""
        end = subject.certificate_not_after
        if subject.state is not TerminalState.ACTIVE or (end is not None and now < end):
            return None
        hours = 0 if end is None else int((now - end) / timedelta(hours=1))
        severity = Severity.CRITICAL if subject.is_connected else Severity.HIGH
        return _seen(self, subject, severity, hours=hours, is_connected=int(subject.is_connected))


@dataclass(frozen=True, slots=True, kw_only=True)
class DistrustedIssuer:
    """The current certificate was signed by an authority that is tainted or revoked."""

    kind: ClassVar[FindingKind] = _K.DISTRUSTED_ISSUER
    passes: ClassVar[bool] = True
    _SEVERITIES: ClassVar[Mapping[str, Severity]] = MappingProxyType(
        {"TAINTED": Severity.MEDIUM, "REVOKED": Severity.CRITICAL}
    )

    def look(self, subject: Subject, now: datetime) -> Sighting | None:  # noqa: ARG002 - the port's signature
        """Look at the issuer's state."""
        severity = self._SEVERITIES.get(subject.issuer_state or "")
        if not subject.is_in_service or severity is None:
            return None
        return _seen(self, subject, severity, issuer_state=subject.issuer_state or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSkew:
    """The terminal's clock is wrong: its signatures, nonces and receipts carry times that are not true."""

    kind: ClassVar[FindingKind] = _K.CLOCK_SKEW
    passes: ClassVar[bool] = True
    skew_max: timedelta
    """Farther off than this, either way, is MEDIUM."""
    skew_high: timedelta
    """Farther off than this is HIGH."""

    def look(self, subject: Subject, now: datetime) -> Sighting | None:  # noqa: ARG002 - the port's signature
        """Compare the last skew with policy."""
        skew = subject.clock_skew
        if not subject.is_in_service or skew is None or abs(skew) <= self.skew_max:
            return None
        severity = Severity.HIGH if abs(skew) > self.skew_high else Severity.MEDIUM
        return _seen(self, subject, severity, seconds=round(skew / _SECOND, 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongPlace:
    """The terminal says that it stands farther from its site than the site reaches."""

    kind: ClassVar[FindingKind] = _K.WRONG_PLACE
    passes: ClassVar[bool] = True
    far_metres: int
    """Beyond the site's reach by more than this is HIGH, less is MEDIUM."""

    def look(self, subject: Subject, now: datetime) -> Sighting | None:  # noqa: ARG002 - the port's signature
        """Compare the newest position, in its own favour, with the site's place."""
        if not subject.is_in_service or subject.place is None or not subject.positions:
            return None
        position = subject.positions[0].position
        metres = metres_between(position, subject.place) - position.accuracy_metres
        beyond = metres - subject.place.radius_metres
        if beyond <= 0:
            return None
        severity = Severity.HIGH if beyond > self.far_metres else Severity.MEDIUM
        return _seen(self, subject, severity, metres_beyond=round(beyond))


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionJump:
    """Two positions lie farther apart than anything could have carried the terminal in between."""

    kind: ClassVar[FindingKind] = _K.POSITION_JUMP
    passes: ClassVar[bool] = False
    kilometres_per_hour_max: int
    """Faster than this is a jump."""
    metres_min: int
    """A shorter way is no jump, however fast: positions are not exact."""

    def look(self, subject: Subject, now: datetime) -> Sighting | None:  # noqa: ARG002 - the port's signature
        """Look at each step from one position to the next, the newest first."""
        for later, earlier in zip(subject.positions, subject.positions[1:], strict=False):
            unsure = later.position.accuracy_metres + earlier.position.accuracy_metres
            metres = metres_between(later.position, earlier.position) - unsure
            hours = max((later.at - earlier.at) / timedelta(hours=1), 1 / 3600)
            if metres >= self.metres_min and metres / 1000 / hours > self.kilometres_per_hour_max:
                seconds = round((later.at - earlier.at) / _SECOND)
                return _seen(self, subject, Severity.HIGH, later.at, metres=round(metres), seconds=seconds)
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareFlagged:
    """The firmware has a known finding, or was withdrawn."""

    kind: ClassVar[FindingKind] = _K.FIRMWARE_FLAGGED
    passes: ClassVar[bool] = True
    _SEVERITIES: ClassVar[Mapping[FirmwareState, Severity]] = MappingProxyType(
        {FirmwareState.FLAGGED: Severity.HIGH, FirmwareState.WITHDRAWN: Severity.MEDIUM}
    )

    def look(self, subject: Subject, now: datetime) -> Sighting | None:  # noqa: ARG002 - the port's signature
        """Look at what is thought of the firmware."""
        state = subject.firmware_state
        if not subject.is_in_service or state is None or state not in self._SEVERITIES:
            return None
        return _seen(
            self,
            subject,
            self._SEVERITIES[state],
            firmware_version=subject.firmware_version or "",
            firmware_state=state.value,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareUnknown:
    """The firmware was never approved for the model, which has approved ones."""

    kind: ClassVar[FindingKind] = _K.FIRMWARE_UNKNOWN
    passes: ClassVar[bool] = True

    def look(self, subject: Subject, now: datetime) -> Sighting | None:  # noqa: ARG002 - the port's signature
        """Look whether anybody approved it."""
        is_told = subject.is_in_service and subject.model_has_firmware and subject.firmware_version is not None
        if not is_told or subject.firmware_state is not None:
            return None
        return _seen(self, subject, Severity.MEDIUM, firmware_version=subject.firmware_version or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificationLapsing:
    """The model's certification ends soon; a terminal registered by hand has a number only and is not asked."""

    kind: ClassVar[FindingKind] = _K.CERTIFICATION_LAPSING
    passes: ClassVar[bool] = True
    warning: timedelta
    """From this long before the end it is LOW."""
    urgent: timedelta
    """From this long before the end it is MEDIUM."""

    def look(self, subject: Subject, now: datetime) -> Sighting | None:
        """Count the days that are left; the last day counts as one that is."""
        days = _days_left(subject, now)
        if not subject.is_in_service or days is None or not 0 <= days <= self.warning.days:
            return None
        return _seen(self, subject, Severity.MEDIUM if days <= self.urgent.days else Severity.LOW, days_left=days)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificationLapsed:
    """The model's certification is over."""

    kind: ClassVar[FindingKind] = _K.CERTIFICATION_LAPSED
    passes: ClassVar[bool] = True

    def look(self, subject: Subject, now: datetime) -> Sighting | None:
        """Look whether the last day is over."""
        days = _days_left(subject, now)
        if not subject.is_in_service or days is None or days >= 0:
            return None
        return _seen(self, subject, Severity.HIGH, days_over=-days)


@dataclass(frozen=True, slots=True, kw_only=True)
class OffHoursUse:
    """The terminal looked at a face or settled while its site was closed."""

    kind: ClassVar[FindingKind] = _K.OFF_HOURS_USE
    passes: ClassVar[bool] = False
    margin: timedelta
    """Use this long before opening or after closing is not minded: the last patient was in the queue."""

    def look(self, subject: Subject, now: datetime) -> Sighting | None:  # noqa: ARG002 - the port's signature
        """Compare the last use, by the site's clock, with its hours."""
        used, hours = subject.last_used_at, subject.opening_hours
        if used is None or hours is None:
            return None
        around = (used - self.margin, used, used + self.margin)
        if any(hours.include(_time_of_day(moment)) for moment in around):
            return None
        return _seen(self, subject, Severity.MEDIUM, used, used_at=used.isoformat(timespec="minutes"))


def _time_of_day(moment: datetime) -> time:
    """Return what the clock on the wall said; `Subject.last_used_at` is in the site's zone."""
    return moment.time()


def _days_left(subject: Subject, now: datetime) -> int | None:
    end = subject.certification_expires_on
    return None if end is None else (end - now.astimezone(UTC).date()).days


def _seen(
    rule: Rule, subject: Subject, severity: Severity, seen_at: datetime | None = None, /, **details: Detail
) -> Sighting:
    return Sighting(
        kind=rule.kind, terminal_id=subject.terminal_id, severity=severity, details=details, seen_at=seen_at
    )


RULES: tuple[type[Rule], ...] = (
    SharedCertificate,
    RevokedConnected,
    OldCertificate,
    CertificateLapsed,
    DistrustedIssuer,
    ClockSkew,
    WrongPlace,
    PositionJump,
    FirmwareFlagged,
    FirmwareUnknown,
    CertificationLapsing,
    CertificationLapsed,
    OffHoursUse,
    FaceAttacks,
    SealBroken,
    CameraDowngraded,
    FaceOnlySite,
)
"""Every rule there is; kinds without one (CLONE ...) are reported by whoever sees them."""
