"""The questions asked of the findings' table, and how a row becomes a record."""

import json
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, bindparam, func, insert, select, update

from device_registry.fleet.finding import (
    Finding,
    FindingFilter,
    FindingKind,
    FindingState,
    Mitigation,
    Severity,
    Sighting,
)
from device_registry.fleet.subject import IN_SERVICE
from device_registry.tables import findings, terminals

FLEET = "fleet"
"""The subject of what is not about one terminal."""
_SUBJECTS_AT_ONCE_MAX = 500  # more of them, and all findings of their kinds are read instead
_ASKS_FOR_SOMEBODY = (FindingState.OPEN, FindingState.ACKNOWLEDGED)
_NOT_FIELDS = frozenset({"subject", "details", "terminal_state"})

_NOT_CLOSED = (
    select(findings, terminals.c.state.label("terminal_state"))
    .outerjoin(terminals, terminals.c.terminal_id == findings.c.subject)
    .where(findings.c.state != FindingState.CLOSED, findings.c.kind.in_(bindparam("kinds", expanding=True)))
)
_CLOSED_AT = (
    select(findings.c.kind, findings.c.subject, func.max(findings.c.state_since))
    .where(findings.c.state == FindingState.CLOSED, findings.c.kind.in_(bindparam("kinds", expanding=True)))
    .group_by(findings.c.kind, findings.c.subject)
)
_OF_SUBJECTS = findings.c.subject.in_(bindparam("subjects", expanding=True))
_ADD = insert(findings)
_REPEAT = (
    update(findings)
    .where(findings.c.finding_id == bindparam("which"))
    .values(
        severity=bindparam("how_bad"),
        details=bindparam("what"),
        last_seen=bindparam("seen"),
        times=bindparam("count"),
        state=bindparam("target"),
        state_since=bindparam("since"),
        state_by=bindparam("whom"),
    )
)
_MOVE = (
    update(findings)
    .where(findings.c.finding_id == bindparam("which"), findings.c.state != FindingState.CLOSED)
    .values(
        state=bindparam("target"),
        state_since=bindparam("at"),
        state_by=bindparam("whom"),
        state_reason=bindparam("why"),
    )
)
_MITIGATED = (
    update(findings)
    .where(findings.c.finding_id == bindparam("which"), findings.c.state != FindingState.CLOSED)
    .values(
        state=FindingState.MITIGATED,
        state_since=bindparam("at"),
        state_by=bindparam("whom"),
        state_reason=bindparam("why"),
        mitigation=bindparam("how"),
        mitigated_by=bindparam("whom"),
        mitigated_at=bindparam("at"),
    )
)
_ONE = select(findings).where(findings.c.finding_id == bindparam("finding_id"))
_OPEN_COUNTS = (
    select(findings.c.kind, findings.c.severity, func.count())
    .where(findings.c.state.in_(_ASKS_FOR_SOMEBODY))
    .group_by(findings.c.kind, findings.c.severity)
)
_MITIGATED_BY_RULES_SINCE = select(func.count()).where(
    findings.c.mitigated_at > bindparam("since"), findings.c.mitigated_by.like("risk:%")
)


_ASKING = select(findings).where(
    findings.c.state.in_(_ASKS_FOR_SOMEBODY), findings.c.kind.in_(bindparam("kinds", expanding=True))
)
_TO_ACT_ON = (
    select(findings)
    .join(terminals, terminals.c.terminal_id == findings.c.subject)
    .where(
        findings.c.state == FindingState.OPEN,
        findings.c.kind.in_(bindparam("kinds", expanding=True)),
        terminals.c.state.in_(sorted(IN_SERVICE)),
    )
    .order_by(findings.c.finding_id)
)


def finding_from(row: RowMapping) -> Finding:
    """Return a row as a record."""
    known = {key: value for key, value in row.items() if key not in _NOT_FIELDS}
    subject = row["subject"]
    return Finding(**known, terminal_id=None if subject == FLEET else subject, details=json.loads(row["details"]))


def not_closed(connection: Connection, sightings: Sequence[Sighting]) -> dict[tuple[FindingKind, str], RowMapping]:
    """Return the open files on what was seen, each with the state its terminal is in."""
    kinds, subjects = _about(sightings)
    rows = connection.execute(_narrowed(_NOT_CLOSED, subjects), _asked(kinds, subjects)).mappings()
    return {(row["kind"], row["subject"]): row for row in rows}


def closed_at(connection: Connection, sightings: Sequence[Sighting]) -> dict[tuple[FindingKind, str], datetime]:
    """Return when files on what was seen were last closed."""
    dated = [sighting for sighting in sightings if sighting.seen_at is not None]
    if not dated:
        return {}
    kinds, subjects = _about(dated)
    rows = connection.execute(_narrowed(_CLOSED_AT, subjects), _asked(kinds, subjects))
    return {(kind, subject): at for kind, subject, at in rows}


def asking(connection: Connection, kinds: Sequence[FindingKind]) -> list[Finding]:
    """Return the findings of these kinds that ask for somebody."""
    return [finding_from(row) for row in connection.execute(_ASKING, {"kinds": list(kinds)}).mappings()]


def to_act_on(connection: Connection, kinds: Sequence[FindingKind]) -> list[Finding]:
    """Return the OPEN findings of these kinds whose terminal is in service, oldest first."""
    return [finding_from(row) for row in connection.execute(_TO_ACT_ON, {"kinds": list(kinds)}).mappings()]


def one(connection: Connection, finding_id: str) -> Finding | None:
    """Return a finding, None when there is none."""
    row = connection.execute(_ONE, {"finding_id": finding_id}).mappings().first()
    return None if row is None else finding_from(row)


def some(connection: Connection, where: FindingFilter) -> list[Finding]:
    """Return the findings a filter asks for, newest first."""
    wanted = {findings.c.kind: where.kind, findings.c.subject: where.terminal_id, findings.c.state: where.state}
    query = select(findings).where(*(column == value for column, value in wanted.items() if value is not None))
    if where.severity_min is not None:
        query = query.where(findings.c.severity.in_([s for s in Severity if s.rank >= where.severity_min.rank]))
    if where.is_closed is not None:
        is_closed = findings.c.state == FindingState.CLOSED
        query = query.where(is_closed if where.is_closed else ~is_closed)
    if where.before is not None:
        query = query.where(findings.c.finding_id < where.before)
    rows = connection.execute(query.order_by(findings.c.finding_id.desc()).limit(where.limit)).mappings()
    return [finding_from(row) for row in rows]


def open_counts(connection: Connection) -> dict[tuple[FindingKind, Severity], int]:
    """Return how many findings ask for somebody, by kind and severity."""
    return {(kind, severity): count for kind, severity, count in connection.execute(_OPEN_COUNTS)}


def mitigated_by_rules_since(connection: Connection, since: datetime) -> int:
    """Return how many findings the rules acted on since a moment."""
    return connection.execute(_MITIGATED_BY_RULES_SINCE, {"since": since}).scalar_one()


def add(connection: Connection, fresh: Sequence[Finding]) -> None:
    """Write new findings with one statement."""
    if fresh:
        connection.execute(_ADD, [_columns(finding) for finding in fresh])


def repeat(connection: Connection, seen: Sequence[Finding]) -> None:
    """Write what was seen again with one statement."""
    if seen:
        connection.execute(_REPEAT, [_repeat(finding) for finding in seen])


def move(
    connection: Connection, finding_ids: Sequence[str], target: FindingState, *, at: datetime, actor: str, reason: str
) -> None:
    """Change the state of findings."""
    values = {"target": target, "at": at, "whom": actor, "why": reason}
    connection.execute(_MOVE, [{"which": finding_id, **values} for finding_id in finding_ids])


def mitigated(
    connection: Connection, finding_id: str, mitigation: Mitigation, *, at: datetime, actor: str, reason: str
) -> None:
    """Write down what was done about a finding."""
    connection.execute(_MITIGATED, {"which": finding_id, "how": mitigation, "at": at, "whom": actor, "why": reason})


def _about(sightings: Sequence[Sighting]) -> tuple[list[FindingKind], list[str]]:
    kinds = {sighting.kind for sighting in sightings}
    return sorted(kinds), sorted({sighting.terminal_id or FLEET for sighting in sightings})


def _narrowed(query: Select[*tuple[Any, ...]], subjects: Sequence[str]) -> Select[*tuple[Any, ...]]:
    return query.where(_OF_SUBJECTS) if len(subjects) <= _SUBJECTS_AT_ONCE_MAX else query


def _asked(kinds: Sequence[FindingKind], subjects: Sequence[str]) -> dict[str, Sequence[str]]:
    return {"kinds": kinds, **({"subjects": subjects} if len(subjects) <= _SUBJECTS_AT_ONCE_MAX else {})}


def _columns(finding: Finding) -> dict[str, object]:
    same = {field.name: getattr(finding, field.name) for field in fields(finding) if field.name != "terminal_id"}
    return {**same, "subject": finding.terminal_id or FLEET, "details": _written(finding)}


def _repeat(finding: Finding) -> dict[str, object]:
    return {
        "which": finding.finding_id,
        "how_bad": finding.severity,
        "what": _written(finding),
        "seen": finding.last_seen,
        "count": finding.times,
        "target": finding.state,
        "since": finding.state_since,
        "whom": finding.state_by,
    }


def _written(finding: Finding) -> str:
    return json.dumps(dict(finding.details), ensure_ascii=False, sort_keys=True, allow_nan=False)
