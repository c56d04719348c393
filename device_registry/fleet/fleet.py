"""The fleet audit: look at every terminal with every rule, write down what is wrong, and do what policy says.

Looking only reads, so that it can run beside the calls; recording writes, in one short transaction. What the rules do
by themselves is bounded: over the bound they only notify, and say so.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Protocol

import uuid_utils
from sqlalchemy import Connection, bindparam, delete, func, insert, select

from device_registry.errors import FieldInvalidError, IllegalTransitionError
from device_registry.fleet.attacks import CameraPast, FaceAttacksSeen, FaceOnlySeen
from device_registry.fleet.finding import Finding, FindingKind, Mitigation, Severity, Sighting
from device_registry.fleet.finding_rows import FLEET
from device_registry.fleet.findings import Findings, rule_actor
from device_registry.fleet.risk import ALLOWED
from device_registry.fleet.risk_policy import RiskPolicy
from device_registry.fleet.subjects import Books, all_subjects
from device_registry.model import Terminal
from device_registry.tables import fleet_audits
from device_registry.wording import refuse_actor

AUDITS_KEPT = timedelta(days=30)
USES_WITHIN = timedelta(days=1)
"""How far back an audit looks for the last use of a terminal."""
_HOUR = timedelta(hours=1)

_LAST_RUN = select(func.max(fleet_audits.c.run_at))
_NOTE = insert(fleet_audits)
_FORGET = delete(fleet_audits).where(fleet_audits.c.run_at < bindparam("before"))


class Activity(Protocol):
    """Who knows how terminals are used."""

    def last_uses(self, connection: Connection, *, since: datetime) -> Mapping[str, datetime]:
        """Return when each terminal of a site with opening hours last looked at a face or settled, since a moment."""

    def face_attacks(self, connection: Connection, *, since: datetime) -> Mapping[str, FaceAttacksSeen]:
        """Return how face sessions ended at the terminals where an attack was suspected since a moment."""

    def lesser_cameras(self, connection: Connection) -> Mapping[str, CameraPast]:
        """Return the terminals whose camera once promised more than it does now."""

    def face_only(self, connection: Connection, *, since: datetime) -> Mapping[str, FaceOnlySeen]:
        """Return the terminals where faces were refused since a moment, at sites where nothing else was shown."""


class Decide(Protocol):
    """One of the registry's decisions about a terminal."""

    def __call__(
        self, connection: Connection, *, terminal_id: str, reason: str, actor: str, request_id: str = ""
    ) -> Terminal:
        """Change the terminal's state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What an audit saw, before anything is written down."""

    at: datetime
    terminals: int
    sightings: Sequence[Sighting]


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetReport:
    """What came of an audit."""

    run_at: datetime
    terminals: int
    """Looked at."""
    seen: int
    """Things that are wrong."""
    opened: int
    """Findings that are new or began again."""
    cleared: int
    """Findings whose condition holds no more."""
    mitigated: Sequence[Finding]
    """What was acted on in this run."""
    held_back: int
    """What should have been acted on and was not, because of the bound."""


class Fleet:
    """The fleet as the checks see it."""

    def __init__(
        self,
        *,
        now: Callable[[], datetime],
        findings: Findings,
        decisions: Mapping[Mitigation, Decide],
        policy: RiskPolicy,
        activity: Activity,
        zone: tzinfo,
    ) -> None:
        self._now = now
        self._findings = findings
        self._decisions = decisions
        self._policy = policy
        self._activity = activity
        self._zone = zone

    def last_run(self, connection: Connection) -> datetime | None:
        """Return when the last audit was, whoever ran it."""
        last: datetime | None = connection.execute(_LAST_RUN).scalar_one()
        return last

    def look(self, connection: Connection) -> Look:
        """Look at every terminal; only reads."""
        now = self._now()
        books = Books(
            last_uses=self._activity.last_uses(connection, since=now - USES_WITHIN),
            face_attacks=self._activity.face_attacks(connection, since=now - self._policy.attacks_within),
            lesser_cameras=self._activity.lesser_cameras(connection),
            face_only=self._activity.face_only(connection, since=now - self._policy.face_only_within),
        )
        terminals, sightings = 0, []
        for subject in all_subjects(connection, books=books, zone=self._zone):
            terminals += 1
            sightings += [seen for rule in self._policy.rules if (seen := rule.look(subject, now))]
        return Look(at=now, terminals=terminals, sightings=sightings)

    def write_down(self, connection: Connection, sightings: Sequence[Sighting]) -> int:
        """Write down a portion of what was seen, before `record`; return how many findings are new or began again.

        When something is wrong with everybody, one transaction for all of it would keep the payments waiting.
        """
        return len(self._findings.report_all(connection, sightings).opened)

    def record(
        self,
        connection: Connection,
        look: Look,
        *,
        actor: str,
        acts: bool,
        request_id: str = "",
        opened: int | None = None,
    ) -> FleetReport:
        """Write down what was seen, and act on it as policy says.

        Args:
            connection: the transaction.
            look: what `look` returned a moment ago.
            actor: who runs the audit; what the rules do is done in their own names.
            acts: whether the automatic mitigations are carried out.
            request_id: of the call that asked for it.
            opened: how many findings are new, when the sightings were written down before.
        """
        refuse_actor(actor)
        if opened is None:
            opened = self.write_down(connection, look.sightings)
        cleared = self._findings.clear(
            connection,
            kinds=[rule.kind for rule in self._policy.rules if rule.passes],
            still=frozenset((seen.kind, seen.terminal_id or FLEET) for seen in look.sightings),
        )
        mitigated, held_back = self._act(connection, actor, request_id) if acts else ((), 0)
        report = FleetReport(
            run_at=look.at,
            terminals=look.terminals,
            seen=len(look.sightings),
            opened=opened,
            cleared=cleared,
            mitigated=mitigated,
            held_back=held_back,
        )
        self._note(connection, report, actor)
        return report

    def mitigate(
        self,
        connection: Connection,
        finding_id: str,
        *,
        mitigation: Mitigation,
        reason: str,
        actor: str,
        request_id: str = "",
    ) -> Finding:
        """Do what an operator wants done about a finding, out of what its kind allows."""
        finding = self._findings.finding(connection, finding_id)
        decide = self._decisions.get(mitigation)
        if decide is None or mitigation not in ALLOWED[finding.kind] or finding.terminal_id is None:
            allowed = ", ".join(sorted(ALLOWED[finding.kind] - {Mitigation.NOTIFY})) or "nothing but to look into it"
            raise FieldInvalidError(field="mitigation", detail=f"for {finding.kind} there is {allowed}")
        self._findings.refuse_closed(finding, wanted=mitigation)
        decide(connection, terminal_id=finding.terminal_id, reason=reason, actor=actor, request_id=request_id)
        return self._findings.mitigated(
            connection, finding, mitigation=mitigation, reason=reason, actor=actor, request_id=request_id
        )

    # Steps -----------------------------------------------------------------------------------------

    def _act(self, connection: Connection, actor: str, request_id: str) -> tuple[Sequence[Finding], int]:
        """Carry out the automatic mitigations, oldest finding first, up to the bound."""
        kinds = [kind for kind in self._policy.responses if self._acts_on(kind)]
        due = [
            finding
            for finding in self._findings.to_act_on(connection, kinds)
            if self._policy.automatic(finding.kind, finding.severity) in self._decisions
        ]
        if not due:
            return (), 0
        done = self._findings.mitigated_by_rules_since(connection, self._now() - _HOUR)
        left = max(self._policy.automatic_per_hour_max - done, 0)
        tried = [self._acted(connection, finding, actor, request_id) for finding in due[:left]]
        acted = [finding for finding in tried if finding is not None]
        held_back = len(due) - min(len(due), left)
        if held_back:
            self._findings.report(
                connection,
                kind=FindingKind.MITIGATION_BOUND,
                terminal_id=None,
                severity=Severity.CRITICAL,
                details={"held_back": held_back, "automatic_per_hour_max": self._policy.automatic_per_hour_max},
            )
        return acted, held_back

    def _acts_on(self, kind: FindingKind) -> bool:
        return self._policy.automatic(kind, Severity.CRITICAL) is not Mitigation.NOTIFY

    def _acted(self, connection: Connection, finding: Finding, actor: str, request_id: str) -> Finding | None:
        """Do what policy says about one finding; return None when the terminal's state does not allow it."""
        mitigation = self._policy.automatic(finding.kind, finding.severity)
        reason = f"finding {finding.finding_id}: {finding.kind}, {finding.severity}; audit run by {actor}"
        by = rule_actor(finding.kind)
        try:
            self._decisions[mitigation](
                connection, terminal_id=finding.terminal_id or "", reason=reason, actor=by, request_id=request_id
            )
        except IllegalTransitionError:  # never used its certificate yet: the finding stays open for a person
            return None
        return self._findings.mitigated(
            connection, finding, mitigation=mitigation, reason=reason, actor=by, request_id=request_id
        )

    def _note(self, connection: Connection, report: FleetReport, actor: str) -> None:
        connection.execute(
            _NOTE,
            {
                "audit_id": str(uuid_utils.uuid7()),
                "run_at": report.run_at,
                "run_by": actor,
                "terminals": report.terminals,
                "seen": report.seen,
                "opened": report.opened,
                "cleared": report.cleared,
                "mitigated": len(report.mitigated),
            },
        )
        connection.execute(_FORGET, {"before": report.run_at - AUDITS_KEPT})
