"""Who may come in right now: the in-memory view of terminals and certificates, and the one rule for all."""

import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from types import MappingProxyType

from sqlalchemy import Connection, RowMapping, and_, bindparam, select

from device_registry.authority.issuer_states import IssuerState
from device_registry.enrollment.issuance import renew_after
from device_registry.errors import (
    CertificateExpiredError,
    CertificateRefusedError,
    CertificateRetiredError,
    CertificateRevokedError,
    CertificateUnknownError,
    TerminalBannedError,
    TerminalNotEnrolledError,
    TerminalQuarantinedError,
    TerminalRefusedError,
    TerminalRetiredError,
    TerminalRevokedError,
    TerminalSuspendedError,
)
from device_registry.model import CertificateStatus, Standing, TerminalState
from device_registry.tables import certificates, issuers, sites, terminals

_STANDINGS = (
    select(
        terminals.c.terminal_id,
        terminals.c.site_id,
        sites.c.region,
        terminals.c.serial_number,
        terminals.c.terminal_class,
        terminals.c.state,
        terminals.c.state_since,
        certificates.c.status,
        certificates.c.fingerprint,
        certificates.c.issued_at,
        certificates.c.not_after,
        certificates.c.good_until,
        certificates.c.first_used_at,
        issuers.c.state_since.label("tainted_at"),
    )
    .join(certificates, certificates.c.terminal_id == terminals.c.terminal_id)
    .join(sites, sites.c.site_id == terminals.c.site_id)
    .join(
        issuers,
        and_(issuers.c.issuer_id == certificates.c.issuer_id, issuers.c.state == IssuerState.TAINTED),
        isouter=True,
    )
)
# Revoked ones stay in memory: they come back again and again. Retired ones do not; nobody should have them any more.
_KNOWN = _STANDINGS.where(certificates.c.status != CertificateStatus.RETIRED)
_KNOWN_OF_TERMINALS = _KNOWN.where(terminals.c.terminal_id.in_(bindparam("terminal_ids", expanding=True)))
_BY_FINGERPRINT = _STANDINGS.where(certificates.c.fingerprint == bindparam("fingerprint"))

_STATE_REFUSALS: Mapping[TerminalState, Callable[..., TerminalRefusedError]] = MappingProxyType(
    {
        TerminalState.REGISTERED: TerminalNotEnrolledError,
        TerminalState.SUSPENDED: TerminalSuspendedError,
        TerminalState.QUARANTINED: TerminalQuarantinedError,
        TerminalState.REVOKED: TerminalRevokedError,
        TerminalState.BANNED: TerminalBannedError,
        TerminalState.RETIRED: TerminalRetiredError,
    }
)
_CERTIFICATE_REFUSALS: Mapping[CertificateStatus, Callable[..., CertificateRefusedError]] = MappingProxyType(
    {
        CertificateStatus.RETIRED: CertificateRetiredError,
        CertificateStatus.REVOKED: CertificateRevokedError,
    }
)
_ADMITTED = frozenset({TerminalState.ENROLLED, TerminalState.ACTIVE})


def admit(standing: Standing, now: datetime) -> None:
    """Return when the holder of a certificate may come in, else raise why not.

    An ENROLLED terminal is let in with the certificate it has never used: that use is what makes it ACTIVE, so the
    caller calls `Registry.first_use` before anything else whenever `first_use_pending` is set. Revoked outranks
    suspended outranks expired. Who was evicted is told that the certificate is revoked: enrolling again helps.
    """
    if standing.state is TerminalState.REGISTERED and standing.certificate_status is CertificateStatus.REVOKED:
        raise CertificateRevokedError(fingerprint=standing.fingerprint)
    if standing.state not in _ADMITTED:
        raise _STATE_REFUSALS[standing.state](terminal_id=standing.terminal_id)
    if refusal := _CERTIFICATE_REFUSALS.get(standing.certificate_status):
        raise refusal(fingerprint=standing.fingerprint)
    if now >= standing.not_after:
        if standing.certificate_status is CertificateStatus.SUPERSEDED:
            raise CertificateRetiredError(fingerprint=standing.fingerprint)
        raise CertificateExpiredError(fingerprint=standing.fingerprint, platform_time=now, not_after=standing.not_after)
    if standing.state is TerminalState.ENROLLED and not standing.first_use_pending:
        raise TerminalNotEnrolledError(terminal_id=standing.terminal_id)


def refuse_state(state: TerminalState, *, terminal_id: str) -> None:
    """Raise when a terminal in this state is not let in, whatever it shows."""
    if state not in _ADMITTED:
        raise _STATE_REFUSALS[state](terminal_id=terminal_id)


def find_standing(connection: Connection, fingerprint: str) -> Standing | None:
    """Return what the database says of a certificate, closed ones included; None when it was never issued."""
    row = connection.execute(_BY_FINGERPRINT, {"fingerprint": fingerprint}).mappings().first()
    return None if row is None else _standing(row)


def standing_of(connection: Connection, fingerprint: str) -> Standing:
    """Return what the database says of a certificate.

    Raises:
        CertificateUnknownError: it was never issued.
    """
    standing = find_standing(connection, fingerprint)
    if standing is None:
        raise CertificateUnknownError(fingerprint=fingerprint)
    return standing


class Standings:
    """The standing of every certificate in use, in memory; follows the database through `refresh`.

    Reads are single dict look-ups and take no lock. Writers take one around query and update, so that an older answer
    of the database never overwrites a newer one; hand them a connection whose transaction has not read anything yet.
    """

    def __init__(self) -> None:
        self._by_fingerprint: dict[str, Standing] = {}
        self._fingerprints: dict[str, frozenset[str]] = {}
        self._writing = threading.Lock()

    def __len__(self) -> int:
        """Return how many certificates are known."""
        return len(self._by_fingerprint)

    def of(self, fingerprint: str) -> Standing | None:
        """Return what memory knows of a certificate; None asks for `find`."""
        return self._by_fingerprint.get(fingerprint)

    def load(self, connection: Connection) -> None:
        """Replace everything by what the database says."""
        with self._writing:
            known = [_standing(row) for row in connection.execute(_KNOWN).mappings()]
            fingerprints: dict[str, set[str]] = {}
            for standing in known:
                fingerprints.setdefault(standing.terminal_id, set()).add(standing.fingerprint)
            self._fingerprints = {terminal_id: frozenset(owned) for terminal_id, owned in fingerprints.items()}
            self._by_fingerprint = {standing.fingerprint: standing for standing in known}

    def refresh(self, connection: Connection, *terminal_ids: str) -> None:
        """Take over what the database says of these terminals; certificates that were retired are forgotten.

        One query for all of them, so that a change to a whole fleet is followed as fast as one to a single terminal.
        """
        with self._writing:
            found: dict[str, list[Standing]] = {terminal_id: [] for terminal_id in terminal_ids}
            for row in connection.execute(_KNOWN_OF_TERMINALS, {"terminal_ids": terminal_ids}).mappings():
                found[row["terminal_id"]].append(_standing(row))
            for terminal_id, standings in found.items():
                self._take_over(terminal_id, standings)

    def find(self, connection: Connection, fingerprint: str) -> Standing | None:
        """Ask the database for a certificate that memory does not know, retired ones included; None when there is none.

        One in use is remembered, so that a terminal's first calls after enrollment need one look-up and not many.
        """
        with self._writing:
            standing = find_standing(connection, fingerprint)
            if standing is not None and standing.certificate_status is not CertificateStatus.RETIRED:
                known = self._fingerprints.get(standing.terminal_id, frozenset())
                self._fingerprints[standing.terminal_id] = known | {fingerprint}
                self._by_fingerprint[fingerprint] = standing
            return standing

    def _take_over(self, terminal_id: str, standings: Iterable[Standing]) -> None:
        fresh = {standing.fingerprint: standing for standing in standings}
        for fingerprint in self._fingerprints.get(terminal_id, frozenset()) - fresh.keys():
            self._by_fingerprint.pop(fingerprint, None)
        self._by_fingerprint.update(fresh)
        if fresh:
            self._fingerprints[terminal_id] = frozenset(fresh)
        else:
            self._fingerprints.pop(terminal_id, None)


def _standing(row: RowMapping) -> Standing:
    superseded = row["status"] is CertificateStatus.SUPERSEDED
    return Standing(
        terminal_id=row["terminal_id"],
        site_id=row["site_id"],
        region=row["region"],
        serial_number=row["serial_number"],
        terminal_class=row["terminal_class"],
        state=row["state"],
        certificate_status=row["status"],
        fingerprint=row["fingerprint"],
        not_after=row["good_until"] if superseded else row["not_after"],
        renew_after=renew_after(
            issued_at=row["issued_at"],
            not_after=row["not_after"],
            fingerprint=row["fingerprint"],
            tainted_at=row["tainted_at"],
        ),
        first_use_pending=row["status"] is CertificateStatus.CURRENT and row["first_used_at"] is None,
        state_since=row["state_since"],
    )
