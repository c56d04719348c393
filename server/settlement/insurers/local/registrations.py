"""Who has filed for treatment out of the region (备案), and who is registered for which chronic disease (慢特病)?"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from sqlalchemy import Connection, Table, insert, or_, select, update

from device_registry.audit.log import AuditLog
from server.settlement.insurers.local.errors import PeriodInvalidError
from server.store.tables.benefits import chronic_registrations, out_of_region_filings


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """Something that a person is registered for, for a time."""

    subject: str
    """A region, or the key of a disease."""
    from_day: date
    until_day: date | None
    """The last day; None: until further notice."""


class Registrations:
    """Both registers, written by operators. Which disease it is stays out of the audit log, which is kept for ever."""

    def __init__(self, *, audit: AuditLog) -> None:
        self._audit: Final = audit

    def file_out_of_region(
        self, connection: Connection, *, person_id: str, region: str, from_day: date, until_day: date | None, actor: str
    ) -> None:
        """Write down that a person wants to be treated in another region; the same first day again changes the last.

        Raises:
            PeriodInvalidError: it ends before it begins.
        """
        key = {"person_id": person_id, "region": region, "from_day": from_day}
        _write(connection, out_of_region_filings, key, until_day)
        details = {"region": region, **_period(from_day, until_day)}
        self._audit.append(
            connection, actor=actor, action="person_filed_out_of_region", subject=person_id, details=details
        )

    def register_chronic(
        self,
        connection: Connection,
        *,
        person_id: str,
        disease: str,
        from_day: date,
        until_day: date | None,
        actor: str,
    ) -> None:
        """Write down that a person has a chronic disease; the same first day again changes the last.

        Raises:
            PeriodInvalidError: it ends before it begins.
        """
        key = {"person_id": person_id, "disease": disease, "from_day": from_day}
        _write(connection, chronic_registrations, key, until_day)
        details = _period(from_day, until_day)
        self._audit.append(
            connection, actor=actor, action="person_registered_chronic", subject=person_id, details=details
        )


def is_filed(connection: Connection, *, person_id: str, region: str, day: date) -> bool:
    """Return whether a person has filed for treatment in a region on a day."""
    return _holds(connection, out_of_region_filings, "region", person_id=person_id, subject=region, day=day)


def is_registered(connection: Connection, *, person_id: str, disease: str, day: date) -> bool:
    """Return whether a person is registered for a disease on a day."""
    return _holds(connection, chronic_registrations, "disease", person_id=person_id, subject=disease, day=day)


def filings_of(connection: Connection, person_id: str) -> list[Registration]:
    """Return what a person has filed for, the earliest first."""
    return _of(connection, out_of_region_filings, "region", person_id)


def diseases_of(connection: Connection, person_id: str) -> list[Registration]:
    """Return what a person is registered for, the earliest first."""
    return _of(connection, chronic_registrations, "disease", person_id)


def _write(connection: Connection, table: Table, key: Mapping[str, object], until_day: date | None) -> None:
    from_day = key["from_day"]
    if until_day is not None and isinstance(from_day, date) and until_day < from_day:
        raise PeriodInvalidError
    is_this = [table.c[name] == value for name, value in key.items()]
    if connection.execute(update(table).where(*is_this).values(until_day=until_day)).rowcount == 0:
        connection.execute(insert(table).values(**key, until_day=until_day))


def _holds(connection: Connection, table: Table, about: str, *, person_id: str, subject: str, day: date) -> bool:
    found = connection.scalar(
        select(table.c.from_day)
        .where(
            table.c.person_id == person_id,
            table.c[about] == subject,
            table.c.from_day <= day,
            or_(table.c.until_day.is_(None), table.c.until_day >= day),
        )
        .limit(1)
    )
    return found is not None


def _of(connection: Connection, table: Table, about: str, person_id: str) -> list[Registration]:
    rows = connection.execute(
        select(table.c[about], table.c.from_day, table.c.until_day)
        .where(table.c.person_id == person_id)
        .order_by(table.c.from_day, table.c[about])
    ).all()
    return [Registration(subject=subject, from_day=first, until_day=last) for subject, first, last in rows]


def _period(from_day: date, until_day: date | None) -> dict[str, str]:
    return {"from": from_day.isoformat(), "until": until_day.isoformat() if until_day else ""}
