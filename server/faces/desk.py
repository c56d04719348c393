"""What is written down around a face session: consent before, outcome and assertion after, and what may be told."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from device_registry.audit.log import AuditLog
from face_pipeline import Outcome, Template, Verdict
from server import convert
from server.caller import Caller
from server.credentials.assertion import Assertions, IssuedAssertion
from server.credentials.consent import record_consent
from server.credentials.people import InsuredPerson, People
from server.store import UnitOfWork
from shualian.terminal.v1 import face_pb2

OTHER_WAYS = (face_pb2.PAYMENT_WAY_CARD_AND_PIN, face_pb2.PAYMENT_WAY_COUNTER)
"""Every site takes a card with its PIN, and cash; so nobody is ever left with a face only (I8)."""

_BANDS = {
    Outcome.MATCHED: face_pb2.LIVENESS_BAND_CLEAR,
    Outcome.NOT_MATCHED: face_pb2.LIVENESS_BAND_CLEAR,
    Outcome.SPOOF_SUSPECTED: face_pb2.LIVENESS_BAND_DOUBTFUL,
    Outcome.INSUFFICIENT: face_pb2.LIVENESS_BAND_UNCLEAR,
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Claimant:
    """Who answers to a claim; both are None for a claim that nobody answers to, or of whom no face is known."""

    person: InsuredPerson | None
    template: Template | None


class FaceDesk:
    """The paper work of face sessions."""

    def __init__(
        self,
        *,
        unit_of_work: UnitOfWork,
        people: People,
        assertions: Assertions,
        audit: AuditLog,
        now: Callable[[], datetime],
        amount_limit_fen: int,
        pin_free_limit_fen: int,
    ) -> None:
        self._unit_of_work = unit_of_work
        self._people = people
        self._assertions = assertions
        self._audit = audit
        self._now = now
        self._amount_limit_fen = amount_limit_fen
        self._pin_free_limit_fen = pin_free_limit_fen

    async def consent_refused(self, caller: Caller, session_id: str, start: face_pb2.Start) -> None:
        """Write down that somebody did not agree; not who it was."""
        await self._unit_of_work.write(self._consent(caller, session_id, start.consent, None))

    async def consented(self, caller: Caller, session_id: str, start: face_pb2.Start) -> Claimant:
        """Find who answers to the claim and write the consent down; durable before this returns (I8)."""
        claim = start.claimed_identity
        claimant = await self._unit_of_work.read(
            lambda connection: self._claimant(connection, claim.id_number, claim.name)
        )
        await self._unit_of_work.write(self._consent(caller, session_id, start.consent, claimant.person))
        return claimant

    async def decided(
        self, caller: Caller, session_id: str, start: face_pb2.Start, claimant: Claimant, verdict: Verdict
    ) -> face_pb2.Decision:
        """Write the outcome down, with the assertion if there is one, and return what the terminal may know (I9)."""
        person = claimant.person if verdict.outcome is Outcome.MATCHED else None

        def write(connection: Connection) -> IssuedAssertion | None:
            self._audit.append(
                connection,
                actor=f"terminal:{caller.terminal_id}",
                action="face.decided",
                subject=session_id,
                request_id=caller.request_id,
                details={"outcome": verdict.outcome.value, "policy": verdict.policy_version},
            )
            if person is None:
                return None
            return self._assertions.issue(
                connection,
                terminal_id=caller.terminal_id,
                session_id=session_id,
                person_id=person.person_id,
                purpose=face_pb2.Purpose.Name(start.purpose),
                business_type=int(start.business_type),
                amount_limit_fen=self._amount_limit_fen,
            )

        issued = await self._unit_of_work.write(write)
        decision = _decision(verdict)
        if person is None or issued is None:
            decision.other_ways.extend(OTHER_WAYS)
            return decision
        decision.person.CopyFrom(face_pb2.MaskedPerson(name=person.masked_name, id_number=person.masked_id_number))
        decision.assertion = issued.token
        decision.assertion_expires_at.CopyFrom(convert.timestamp(issued.expires_at))
        decision.amount_limit_fen = self._amount_limit_fen
        decision.pin_free_limit_fen = self._pin_free_limit_fen
        return decision

    def refusal(self) -> face_pb2.Decision:
        """Return the polite end for somebody who did not agree."""
        return face_pb2.Decision(outcome=face_pb2.DECISION_OUTCOME_CONSENT_REFUSED, other_ways=OTHER_WAYS)

    def _claimant(self, connection: Connection, id_number: str, name: str) -> Claimant:
        person = self._people.by_claim(connection, id_number=id_number, name=name)
        template = self._people.template(connection, person.person_id) if person else None
        return Claimant(person=person, template=template)

    def _consent(
        self, caller: Caller, session_id: str, consent: face_pb2.Consent, person: InsuredPerson | None
    ) -> Callable[[Connection], None]:
        given_at = convert.moment(consent.given_at, "start.consent.given_at")

        def write(connection: Connection) -> None:
            record_consent(
                connection,
                session_id=session_id,
                terminal_id=caller.terminal_id,
                site_id=caller.site_id,
                person_id=person.person_id if person else None,
                granted=consent.granted,
                text_version=consent.text_version,
                given_at=given_at,
                recorded_at=self._now(),
            )

        return write


def _decision(verdict: Verdict) -> face_pb2.Decision:
    """Return the coarse truth. A band follows from the outcome alone: there is no score to climb on.

    Whether the challenge was passed is told of live people only; after a suspected spoof it would be a hint to the
    attacker.
    """
    is_spoof = verdict.outcome is Outcome.SPOOF_SUSPECTED
    return face_pb2.Decision(
        outcome=convert.decision_outcome(verdict.outcome),
        liveness=face_pb2.LivenessSummary(
            band=_BANDS[verdict.outcome], challenge_passed=verdict.liveness.challenge_passed and not is_spoof
        ),
        frames_used=verdict.frames_used,
    )
