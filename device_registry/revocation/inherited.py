"""What a database knew before it had issuing authorities and a log of revocations: taken over once, at the adoption."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sqlalchemy import Connection, bindparam, select, update

from device_registry.model import CertificateStatus, TerminalState
from device_registry.revocation import revocation_entries as log
from device_registry.revocation.revoked import Revocation, RevocationKind, RevocationReason, rechained
from device_registry.tables import certificates, microseconds_from_time, terminals

_KINDS: Mapping[TerminalState, RevocationKind] = MappingProxyType(
    {
        TerminalState.SUSPENDED: RevocationKind.SUSPENSION,
        TerminalState.QUARANTINED: RevocationKind.QUARANTINE,
        TerminalState.REVOKED: RevocationKind.TERMINAL,
        TerminalState.RETIRED: RevocationKind.TERMINAL,  # nothing else led there
    }
)
_NAME_ISSUER = (
    update(certificates).where(certificates.c.issuer_id.is_(None)).values(issuer_id=bindparam("first_issuer_id"))
)
_SHUT_OUT = select(terminals).where(terminals.c.state.in_(tuple(_KINDS)))
_REVOKED = select(certificates).where(certificates.c.status == CertificateStatus.REVOKED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inherited:
    """What was taken over."""

    certificates: int
    """That are now known to come from the first issuing authority."""
    revocations: int
    """That are now in the log."""
    last_entry_id: int


def take_over_inherited(connection: Connection, *, issuer_id: str) -> Inherited:
    """Give each certificate its issuer, and write into an empty log what was revoked before there was one.

    The entries depend on the rows alone, so that the same old database gives the same log again, also after a restore.
    """
    named = connection.execute(_NAME_ISSUER, {"first_issuer_id": issuer_id}).rowcount
    if log.head(connection)[0]:
        return Inherited(certificates=named, revocations=0, last_entry_id=0)
    written: list[Revocation] = []
    for entry in sorted(_entries(connection), key=lambda entry: (entry.recorded_at, entry.subject, entry.fingerprint)):
        written.append(rechained(written[-1] if written else None, entry))
    if written:
        log.add(connection, written)
    return Inherited(certificates=named, revocations=len(written), last_entry_id=len(written))


def _entries(connection: Connection) -> list[Revocation]:
    """Return an entry for each revocation that is in force, as yet without place and hash."""
    of_terminals = [
        Revocation(
            entry_id=0,
            recorded_at=microseconds_from_time(row.state_since),
            kind=_KINDS[row.state].value,
            subject=row.terminal_id,
            code=RevocationReason.UNSPECIFIED.value,
            serial_number=row.serial_number,
            factory_key_sha256=row.factory_key_sha256 or "",
            issuer_id="",
            certificate_serial="",
            fingerprint="",
            not_after=0,
            entry_hash="",
        )
        for row in connection.execute(_SHUT_OUT)
    ]
    of_certificates = [
        Revocation(
            entry_id=0,
            recorded_at=microseconds_from_time(row.status_since),
            kind=RevocationKind.CERTIFICATE.value,
            subject=row.terminal_id,
            code=RevocationReason.UNSPECIFIED.value,
            serial_number="",
            factory_key_sha256="",
            issuer_id=row.issuer_id,
            certificate_serial=row.certificate_serial,
            fingerprint=row.fingerprint,
            not_after=microseconds_from_time(row.not_after),
            entry_hash="",
        )
        for row in connection.execute(_REVOKED)
    ]
    return of_terminals + of_certificates
