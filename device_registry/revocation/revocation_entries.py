"""The questions that the log of revocations asks its table."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, or_, select

from device_registry.revocation.revoked import (
    FIRST_HASH,
    Revocation,
    RevocationKind,
    RevocationReason,
    RevokedCertificate,
)
from device_registry.tables import microseconds_from_time, revocations, time_from_microseconds

_ROWS_AT_ONCE = 1000

# Built once: SQLAlchemy finds the compiled form by the statement's identity instead of walking it anew.
_HEAD = select(revocations.c.entry_id, revocations.c.entry_hash).order_by(revocations.c.entry_id.desc()).limit(1)
_HASH = select(revocations.c.entry_hash).where(revocations.c.entry_id == bindparam("entry_id"))
_APPEND = insert(revocations)
_CUT = delete(revocations).where(revocations.c.entry_id > bindparam("after"))
_AFTER = select(revocations).where(revocations.c.entry_id > bindparam("after")).order_by(revocations.c.entry_id)
_BANS = (
    select(revocations.c.kind, revocations.c.subject)
    .where(revocations.c.kind.in_((RevocationKind.BAN, RevocationKind.UNBAN)))
    .order_by(revocations.c.entry_id.desc())
    .limit(1)
)
_BAN_OF_SERIAL = _BANS.where(revocations.c.serial_number == bindparam("wanted"))
_BAN_OF_KEY = _BANS.where(revocations.c.factory_key_sha256 == bindparam("wanted"))
_LISTED = select(revocations).where(
    revocations.c.kind == RevocationKind.CERTIFICATE,
    # Those from before there were several issuers name none: they are on everybody's list, where they do no harm.
    or_(revocations.c.issuer_id == bindparam("issuer_id"), revocations.c.issuer_id == ""),
    revocations.c.not_after > bindparam("now"),
)
_RECORDED = (
    select(revocations.c.subject, func.max(revocations.c.recorded_at))
    .where(revocations.c.subject.in_(bindparam("subjects", expanding=True)))
    .group_by(revocations.c.subject)
)


def add(connection: Connection, entries: Sequence[Revocation]) -> None:
    """Write entries as they are."""
    connection.execute(_APPEND, [asdict(entry) for entry in entries])


def cut(connection: Connection, *, after: int) -> None:
    """Remove the entries after a number; only for those that the witness contradicts."""
    connection.execute(_CUT, {"after": after})


def all_after(connection: Connection, number: int) -> Iterator[Revocation]:
    """Yield the entries after a number, oldest first."""
    # Closed by hand: whoever stops half way leaves a cursor open on the server otherwise.
    with connection.execute(_AFTER.execution_options(yield_per=_ROWS_AT_ONCE), {"after": number}) as rows:
        for row in rows:
            yield _revocation(row)


def head(connection: Connection) -> tuple[int, str]:
    """Return number and hash of the last entry; 0 and zeros of an empty log."""
    row = connection.execute(_HEAD).first()
    return (row.entry_id, row.entry_hash) if row is not None else (0, FIRST_HASH)


def hash_at(connection: Connection, number: int) -> str | None:
    """Return the hash of an entry, None when there is no such entry."""
    return connection.scalar(_HASH, {"entry_id": number})


def banned_subject(connection: Connection, *, serial_number: str, factory_key_sha256: str | None) -> str | None:
    """Return the terminal under whose name a device is banned, None when it is not."""
    for statement, wanted in ((_BAN_OF_SERIAL, serial_number), (_BAN_OF_KEY, factory_key_sha256)):
        last = connection.execute(statement, {"wanted": wanted}).first() if wanted else None
        if last is not None and last.kind == RevocationKind.BAN:
            return str(last.subject)
    return None


def listed(connection: Connection, issuer_id: str, now: datetime) -> list[RevokedCertificate]:
    """Return an issuer's revoked certificates whose time is not over."""
    rows = connection.execute(_LISTED, {"issuer_id": issuer_id, "now": microseconds_from_time(now)})
    found = {
        row.certificate_serial: RevokedCertificate(
            certificate_serial=row.certificate_serial,
            revoked_at=time_from_microseconds(row.recorded_at),
            code=RevocationReason(row.code),
        )
        for row in rows
    }
    return list(found.values())


def recorded_at(connection: Connection, subjects: Sequence[str]) -> dict[str, datetime]:
    """Return when the last entry about each of these was recorded."""
    rows = connection.execute(_RECORDED, {"subjects": list(subjects)}).tuples() if subjects else ()
    return {subject: time_from_microseconds(at) for subject, at in rows}


def _revocation(row: Row[tuple[object, ...]]) -> Revocation:
    return Revocation(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
