"""What people answered when asked whether their face may be used: written down before the first frame (I8)."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, insert, select, update

from server.store.tables.people import consents


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentCount:
    """How people at one site answered; many refusals where no other way is offered want a visit."""

    site_id: str
    granted: int
    refused: int


def record_consent(
    connection: Connection,
    *,
    session_id: str,
    terminal_id: str,
    site_id: str,
    person_id: str | None,
    granted: bool,
    text_version: str,
    given_at: datetime,
    recorded_at: datetime,
) -> None:
    """Write down one answer, once per session; a refusal is kept without the person, whoever that was.

    Args:
        connection: of the transaction.
        session_id: the face session that asked.
        terminal_id: where.
        site_id: where.
        person_id: who, if known.
        granted: the answer.
        text_version: which text was shown.
        given_at: when, on the terminal's clock.
        recorded_at: when, on ours.
    """
    connection.execute(
        insert(consents).values(
            session_id=session_id,
            terminal_id=terminal_id,
            site_id=site_id,
            person_id=person_id if granted else None,
            granted=granted,
            text_version=text_version,
            given_at=given_at,
            recorded_at=recorded_at,
        )
    )


def name_person(connection: Connection, *, session_id: str, person_id: str) -> None:
    """Write down whose consent it was, once that is known: somebody who was looked for among many is named last."""
    connection.execute(update(consents).where(consents.c.session_id == session_id).values(person_id=person_id))


def consent_counts(connection: Connection, *, since: datetime) -> list[ConsentCount]:
    """Return how people answered since then, site by site."""
    rows = connection.execute(
        select(consents.c.site_id, consents.c.granted, func.count().label("times"))
        .where(consents.c.recorded_at >= since)
        .group_by(consents.c.site_id, consents.c.granted)
    ).all()
    times = {(row.site_id, row.granted): row.times for row in rows}
    return [
        ConsentCount(site_id=site, granted=times.get((site, True), 0), refused=times.get((site, False), 0))
        for site in sorted({row.site_id for row in rows})
    ]
