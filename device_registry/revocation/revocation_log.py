"""What was taken from whom, in an order nobody can change: the log of revocations.

Whatever shuts a terminal out, or lets it in again, is an entry that carries the hash of the one before. Entries are
written in the transaction that makes the change. After the commit they are copied to the witness, a file that only
grows (`testimony.py`). A database that lacks what the witness has was restored from a backup or changed by hand; it
must not serve terminals until the revocations are applied again (`restoration.py`).
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from sqlalchemy import Connection

from device_registry import store
from device_registry.errors import TerminalBannedError
from device_registry.model import CertificateStatus
from device_registry.operators.roles import Role
from device_registry.revocation import revocation_entries as log
from device_registry.revocation.inherited import Inherited, take_over_inherited
from device_registry.revocation.revoked import (
    Revocation,
    RevocationKind,
    RevocationReason,
    RevokedCertificate,
    entry_hash,
)
from device_registry.revocation.testimony import Testimony
from device_registry.revocation.witness import WitnessFile
from device_registry.tables import microseconds_from_time

TOPIC_REVOCATION = "revocation"


class Revocations:
    """The log: whoever takes something from somebody writes here in the same transaction."""

    def __init__(
        self,
        *,
        now: Callable[[], datetime],
        announce: Callable[[Connection, str, str], None],
        witness: WitnessFile | None = None,
    ) -> None:
        """Take what it works with; `witness` is the file outside the database, None where none is kept."""
        self._now = now
        self._announce = announce
        self.testimony = Testimony(witness) if witness is not None else None

    def note_revoked(
        self,
        connection: Connection,
        *,
        kind: RevocationKind,
        subject: str,
        code: RevocationReason | Role = RevocationReason.UNSPECIFIED,
        serial_number: str = "",
        factory_key_sha256: str | None = None,
        issuer_id: str | None = None,
        certificate_serial: str = "",
        fingerprint: str = "",
        not_after: datetime | None = None,
    ) -> Revocation:
        """Write one entry, in the transaction of the change.

        Raises:
            RevocationsRolledBackError: the database is not the one the witness knows; another entry would fork the log.
        """
        if self.testimony is not None:
            self.testimony.refuse_fork(connection)
        number, previous = log.head(connection)
        fields = {
            "entry_id": number + 1,
            "recorded_at": microseconds_from_time(self._now()),
            "kind": kind.value,
            "subject": subject,
            "code": code.value,
            "serial_number": serial_number,
            "factory_key_sha256": factory_key_sha256 or "",
            "issuer_id": issuer_id or "",
            "certificate_serial": certificate_serial,
            "fingerprint": fingerprint,
            "not_after": microseconds_from_time(not_after) if not_after is not None else 0,
        }
        entry = Revocation(**fields, entry_hash=entry_hash(previous, fields))  # type: ignore[arg-type] # as written above
        log.add(connection, [entry])
        self._announce(connection, TOPIC_REVOCATION, str(entry.entry_id))
        return entry

    def close_certificates(
        self, connection: Connection, *, terminal_id: str, code: RevocationReason, at: datetime
    ) -> int:
        """Revoke a terminal's open certificates, each with an entry; return how many."""
        still_open = store.list_open_certificates(connection, terminal_id)
        if not still_open:
            return 0
        closed = store.close_certificates(connection, terminal_id=terminal_id, status=CertificateStatus.REVOKED, at=at)
        for certificate in still_open:
            self.note_revoked(
                connection,
                kind=RevocationKind.CERTIFICATE,
                subject=terminal_id,
                code=code,
                issuer_id=certificate.issuer_id,
                certificate_serial=certificate.certificate_serial,
                fingerprint=certificate.fingerprint,
                not_after=certificate.not_after,
            )
        return closed

    def inherit(self, connection: Connection, *, issuer_id: str) -> Inherited:
        """Take over the certificates and revocations of a database from before there were issuers and this log.

        Raises:
            WitnessUnwritableError: there are revocations, and the file for them cannot be made.
        """
        inherited = take_over_inherited(connection, issuer_id=issuer_id)
        if inherited.revocations:
            if self.testimony is not None and not self.testimony.witness.exists():
                # Before the commit: entries without a file look like a lost witness. Once, when nobody is served yet.
                self.testimony.witness.create()
            self._announce(connection, TOPIC_REVOCATION, str(inherited.last_entry_id))
        return inherited

    def refuse_banned(
        self, connection: Connection, *, serial_number: str, factory_key_sha256: str | None = None
    ) -> None:
        """Raise when a device is banned, by its serial number or by its factory key."""
        banned = log.banned_subject(connection, serial_number=serial_number, factory_key_sha256=factory_key_sha256)
        if banned is not None:
            raise TerminalBannedError(terminal_id=banned)

    def entries(self, connection: Connection, *, after: int = 0) -> Iterator[Revocation]:
        """Yield the entries after a number, oldest first."""
        return log.all_after(connection, after)

    def head(self, connection: Connection) -> tuple[int, str]:
        """Return number and hash of the last entry; 0 and zeros of an empty log."""
        return log.head(connection)

    def revoked_certificates(self, connection: Connection, issuer_id: str, now: datetime) -> list[RevokedCertificate]:
        """Return what an issuer's revocation list has: its revoked certificates whose time is not over."""
        return log.listed(connection, issuer_id, now)

    def recorded_at(self, connection: Connection, subjects: Sequence[str]) -> dict[str, datetime]:
        """Return when something was last taken from, or given back to, each of these."""
        return log.recorded_at(connection, subjects)
