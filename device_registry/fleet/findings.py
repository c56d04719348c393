"""What is wrong in the fleet and what became of it: sightings are merged into findings, and people close them.

A finding that is not closed is there once for each kind and terminal; the same seen again only raises its count. What
an audit sees for the first time it writes down in a handful of statements, however many terminals it is about.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from types import MappingProxyType

import uuid_utils
from sqlalchemy import Connection, RowMapping

from device_registry.audit.log import AuditLog
from device_registry.errors import FindingStateError, FindingUnknownError
from device_registry.fleet import finding_rows
from device_registry.fleet.finding import (
    Detail,
    Finding,
    FindingFilter,
    FindingKind,
    FindingState,
    Mitigation,
    Severity,
    Sighting,
)
from device_registry.fleet.finding_rows import FLEET, finding_from
from device_registry.fleet.subject import IN_SERVICE
from device_registry.wording import refuse_actor, refuse_reason

_NOTHING: Mapping[str, Detail] = MappingProxyType({})
_ALL = FindingFilter()
_WAYS: Mapping[FindingState, frozenset[FindingState]] = {
    FindingState.OPEN: frozenset({FindingState.ACKNOWLEDGED, FindingState.CLOSED}),
    FindingState.ACKNOWLEDGED: frozenset({FindingState.CLOSED}),
    FindingState.MITIGATED: frozenset({FindingState.CLOSED}),
    FindingState.CLOSED: frozenset(),
}


def rule_actor(kind: FindingKind) -> str:
    """Return how a rule is named in the audit log when it acts by itself."""
    return f"risk:{kind.lower()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What became of many sightings."""

    opened: Sequence[Finding]
    """New ones, and those that began again."""
    repeated: int
    """Added to a finding that was there."""


class Findings:
    """The findings; whoever sees something wrong reports it here in its own transaction."""

    def __init__(self, *, now: Callable[[], datetime], audit: AuditLog) -> None:
        self._now = now
        self._audit = audit

    # Reporting -------------------------------------------------------------------------------------

    def report(
        self,
        connection: Connection,
        *,
        kind: FindingKind,
        terminal_id: str | None,
        severity: Severity,
        details: Mapping[str, Detail] = _NOTHING,
        seen_at: datetime | None = None,
    ) -> Finding | None:
        """Write down one thing that is wrong, or add it to the finding that says so already.

        Args:
            connection: the caller's transaction. Where the caller goes on to refuse by raising, report in a
                transaction of its own: this one is rolled back.
            kind: what is wrong.
            terminal_id: with which terminal; None: with the fleet.
            severity: how bad; a finding never becomes less bad by a repeat.
            details: fields for machines; nothing personal.
            seen_at: when the evidence was made; None: it is so now.

        Returns:
            The finding; None when the evidence is older than the last look at this, or than its last close.
        """
        sighting = Sighting(kind=kind, terminal_id=terminal_id, severity=severity, details=details, seen_at=seen_at)
        reported = self.report_all(connection, [sighting])
        if reported.opened:
            return reported.opened[0]
        row = finding_rows.not_closed(connection, [sighting]).get((kind, terminal_id or FLEET))
        return None if row is None else finding_from(row)

    def report_all(self, connection: Connection, sightings: Sequence[Sighting]) -> Reported:
        """Write down everything an audit saw, in a fixed number of statements."""
        if not sightings:
            return Reported(opened=(), repeated=0)
        now = self._now()
        known = finding_rows.not_closed(connection, sightings)
        closed_at = finding_rows.closed_at(connection, sightings)
        added: dict[tuple[FindingKind, str], Finding] = {}
        repeated: dict[str, Finding] = {}
        again: dict[str, Finding] = {}
        for sighting in sightings:
            key = (sighting.kind, sighting.terminal_id or FLEET)
            row = known.get(key)
            if row is None:
                if _is_news(sighting, closed_at.get(key)):
                    added.setdefault(key, _opened(sighting, now))
            elif _is_news(sighting, row["last_seen"], row["mitigated_at"]):
                finding = _seen_again(finding_from(row), sighting, _begins_again(row, sighting), now)
                (repeated if finding.state is row["state"] else again)[finding.finding_id] = finding
        opened = [*added.values(), *again.values()]
        finding_rows.add(connection, list(added.values()))
        finding_rows.repeat(connection, [*repeated.values(), *again.values()])
        self._note_opened(connection, opened)
        return Reported(opened=opened, repeated=len(repeated))

    def clear(
        self, connection: Connection, *, kinds: Sequence[FindingKind], still: frozenset[tuple[FindingKind, str]]
    ) -> int:
        """Close the findings of these kinds whose condition holds no more; return how many."""
        if not kinds:
            return 0
        gone = [
            finding.finding_id
            for finding in finding_rows.asking(connection, kinds)
            if (finding.kind, finding.terminal_id or FLEET) not in still
        ]
        if gone:
            finding_rows.move(
                connection, gone, FindingState.CLOSED, at=self._now(), actor="risk:audit", reason="no longer so"
            )
            self._audit.append(
                connection, actor="risk:audit", action="findings.cleared", subject=FLEET, details={"count": len(gone)}
            )
        return len(gone)

    # Decisions -------------------------------------------------------------------------------------

    def acknowledge(
        self, connection: Connection, finding_id: str, *, reason: str, actor: str, request_id: str = ""
    ) -> Finding:
        """Take a finding on."""
        return self._move(
            connection, finding_id, FindingState.ACKNOWLEDGED, reason=reason, actor=actor, request_id=request_id
        )

    def close(
        self, connection: Connection, finding_id: str, *, reason: str, actor: str, request_id: str = ""
    ) -> Finding:
        """Say that a finding is over; if it is not, the next audit opens a new one."""
        return self._move(
            connection, finding_id, FindingState.CLOSED, reason=reason, actor=actor, request_id=request_id
        )

    def mitigated(
        self,
        connection: Connection,
        finding: Finding,
        *,
        mitigation: Mitigation,
        reason: str,
        actor: str,
        request_id: str = "",
    ) -> Finding:
        """Note what was done about a finding; who does it has it audited with the terminal's change of state."""
        refuse_actor(actor)
        at = self._now()
        finding_rows.mitigated(connection, finding.finding_id, mitigation, at=at, actor=actor, reason=reason)
        self._audit.append(
            connection,
            actor=actor,
            action="finding.mitigated",
            subject=finding.terminal_id or FLEET,
            reason=reason,
            request_id=request_id,
            details={"finding_id": finding.finding_id, "kind": finding.kind, "mitigation": mitigation},
        )
        return replace(
            finding,
            state=FindingState.MITIGATED,
            state_since=at,
            state_by=actor,
            state_reason=reason,
            mitigation=mitigation,
            mitigated_by=actor,
            mitigated_at=at,
        )

    def refuse_closed(self, finding: Finding, *, wanted: str) -> None:
        """Raise when nothing more can be done about a finding."""
        if finding.state is FindingState.CLOSED:
            raise FindingStateError(finding_id=finding.finding_id, state=finding.state, wanted=wanted)

    # Questions -------------------------------------------------------------------------------------

    def finding(self, connection: Connection, finding_id: str) -> Finding:
        """Return one finding."""
        finding = finding_rows.one(connection, finding_id)
        if finding is None:
            raise FindingUnknownError(finding_id=finding_id)
        return finding

    def list(self, connection: Connection, where: FindingFilter = _ALL) -> Sequence[Finding]:
        """Return the findings a filter asks for, newest first."""
        return finding_rows.some(connection, where)

    def open_counts(self, connection: Connection) -> Mapping[tuple[FindingKind, Severity], int]:
        """Return how many findings ask for somebody, by kind and severity."""
        return finding_rows.open_counts(connection)

    def to_act_on(self, connection: Connection, kinds: Sequence[FindingKind]) -> Sequence[Finding]:
        """Return the OPEN findings of these kinds whose terminal is in service, oldest first."""
        return finding_rows.to_act_on(connection, kinds)

    def mitigated_by_rules_since(self, connection: Connection, since: datetime) -> int:
        """Return how many terminals the rules acted on by themselves since a moment."""
        return finding_rows.mitigated_by_rules_since(connection, since)

    # Steps -----------------------------------------------------------------------------------------

    def _note_opened(self, connection: Connection, opened: Sequence[Finding]) -> None:
        """Audit what is new: one finding by its name, many by their number, for the findings are the record."""
        for kind, group in groupby(sorted(opened, key=_kind_of), key=_kind_of):
            first, *others = group
            single = {"finding_id": first.finding_id, "severity": first.severity}
            self._audit.append(
                connection,
                actor=rule_actor(kind),
                action="findings.opened" if others else "finding.opened",
                subject=FLEET if others else first.terminal_id or FLEET,
                details={"kind": kind, **({"count": 1 + len(others)} if others else single)},
            )

    def _move(
        self,
        connection: Connection,
        finding_id: str,
        target: FindingState,
        *,
        reason: str,
        actor: str,
        request_id: str,
    ) -> Finding:
        finding = self.finding(connection, finding_id)
        if target not in _WAYS[finding.state]:
            raise FindingStateError(finding_id=finding_id, state=finding.state, wanted=target)
        refuse_reason(reason)
        refuse_actor(actor)
        at = self._now()
        finding_rows.move(connection, [finding_id], target, at=at, actor=actor, reason=reason)
        self._audit.append(
            connection,
            actor=actor,
            action=f"finding.{target.lower()}",
            subject=finding.terminal_id or FLEET,
            reason=reason,
            request_id=request_id,
            details={"finding_id": finding_id, "kind": finding.kind},
        )
        return replace(finding, state=target, state_since=at, state_by=actor, state_reason=reason)


def _is_news(sighting: Sighting, *known: datetime | None) -> bool:
    """Return whether the evidence is younger than everything that was known or done about it."""
    return sighting.seen_at is None or all(at is None or sighting.seen_at > at for at in known)


def _begins_again(row: RowMapping, sighting: Sighting) -> bool:
    """Return whether somebody has to look anew: it got worse, or it came back after it was dealt with."""
    if row["state"] is FindingState.ACKNOWLEDGED:
        known: Severity = row["severity"]
        return sighting.severity.rank > known.rank
    return row["state"] is FindingState.MITIGATED and row["terminal_state"] in IN_SERVICE


def _opened(sighting: Sighting, now: datetime) -> Finding:
    seen_at = sighting.seen_at or now
    return Finding(
        finding_id=str(uuid_utils.uuid7()),
        kind=sighting.kind,
        terminal_id=sighting.terminal_id,
        severity=sighting.severity,
        details=dict(sighting.details),
        first_seen=seen_at,
        last_seen=seen_at,
        times=1,
        state=FindingState.OPEN,
        state_since=now,
        state_by=rule_actor(sighting.kind),
        state_reason="",
        mitigation=None,
        mitigated_by=None,
        mitigated_at=None,
    )


def _seen_again(finding: Finding, sighting: Sighting, begins_again: bool, now: datetime) -> Finding:  # noqa: FBT001 - private
    seen = replace(
        finding,
        severity=max(finding.severity, sighting.severity, key=lambda severity: severity.rank),
        details=dict(sighting.details),
        last_seen=sighting.seen_at or now,
        times=finding.times + 1,
    )
    if not begins_again:
        return seen
    return replace(seen, state=FindingState.OPEN, state_since=now, state_by=rule_actor(finding.kind))


def _kind_of(finding: Finding) -> FindingKind:
    return finding.kind
