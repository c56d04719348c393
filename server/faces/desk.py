"""What is written down around a face session: consent before, outcome and assertion after, and what may be told."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from device_registry.audit.log import AuditLog
from face_pipeline import Outcome, Template, Verdict
from server import convert
from server.caller import Caller
from server.credentials.activating import ActivationAssertions
from server.credentials.assertion import Assertions, IssuedAssertion
from server.credentials.consent import name_person, record_consent
from server.credentials.errors import RegisterUnavailableError
from server.credentials.identity import masked_id_number, masked_name
from server.credentials.people import InsuredPerson, People
from server.credentials.register import Register, Registered
from server.credentials.relatives import known_person
from server.credentials.staff import StaffAssertions
from server.faces.attendance import Attendance
from server.faces.consents import ConsentBounds
from server.faces.other_ways import PAYMENT_WAYS
from server.faces.outcomes import note_outcome, note_refusal
from server.faces.practitioners import Practitioner
from server.faces.record import audit_details
from server.faces.rules import Limits, SessionRule
from server.store import UnitOfWork
from shualian.terminal.v1 import face_pb2, types_pb2

_BANDS = {
    Outcome.MATCHED: face_pb2.LIVENESS_BAND_CLEAR,
    Outcome.LIVE: face_pb2.LIVENESS_BAND_CLEAR,
    Outcome.NOT_MATCHED: face_pb2.LIVENESS_BAND_CLEAR,
    Outcome.SPOOF_SUSPECTED: face_pb2.LIVENESS_BAND_DOUBTFUL,
    Outcome.INSUFFICIENT: face_pb2.LIVENESS_BAND_UNCLEAR,
}
_YES = frozenset({Outcome.MATCHED, Outcome.LIVE})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Claimant:
    """Who answers to a claim; all None for a claim that nobody answers to, or of whom no face is known.

    In a session that looks for one among many it stays empty until a second factor has settled who it is.
    """

    person: InsuredPerson | None = None
    template: Template | None = None
    practitioner: Practitioner | None = None
    registered: Registered | None = None
    """What the register says of them, in a session that is to activate their credential; `person` is who we know."""


class FaceDesk:
    """The paper work of face sessions."""

    def __init__(
        self,
        *,
        unit_of_work: UnitOfWork,
        people: People,
        attendance: Attendance,
        assertions: Assertions,
        staff_assertions: StaffAssertions,
        activations: ActivationAssertions,
        register: Register,
        audit: AuditLog,
        now: Callable[[], datetime],
        consent: ConsentBounds,
    ) -> None:
        self._unit_of_work = unit_of_work
        self._people = people
        self._attendance = attendance
        self._assertions = assertions
        self._staff_assertions = staff_assertions
        self._activations = activations
        self._register = register
        self._audit = audit
        self._now = now
        self._consent_bounds = consent

    async def consent_refused(self, caller: Caller, session_id: str, start: face_pb2.Start) -> None:
        """Write down that somebody did not agree; not who it was."""
        consent = self._consent(caller, session_id, start.consent, None)

        def write(connection: Connection) -> None:
            consent(connection)
            note_refusal(connection, terminal_id=caller.terminal_id, at=self._now())

        await self._unit_of_work.write(write)

    async def consented(
        self,
        caller: Caller,
        session_id: str,
        start: face_pb2.Start,
        *,
        also: Callable[[Connection], None] = lambda _: None,
        undone: Callable[[Connection], None] = lambda _: None,
    ) -> Claimant:
        """Find who answers to the claim and write the consent down; durable before this returns (I8).

        `also` is written in the same transaction, also that of a refusal; where it raises, nothing is. Before a
        register is asked it is written by itself: who has no try left hears nothing, not even how long the register
        took. `undone` takes that back where the register cannot be asked.

        Raises:
            ConsentStaleError, ConsentTextUnknownError: it is no answer to this session.
            SitePlaceUnknownError, OutsideGeofenceError: a practitioner is not where they must be; written down.
            RegisterUnavailableError: nobody vouches for who is to be activated.
        """
        given_at = convert.moment(start.consent.given_at, "start.consent.given_at")
        self._consent_bounds.check(given_at=given_at, text_version=start.consent.text_version, now=self._now())
        if start.purpose == face_pb2.PURPOSE_ACTIVATE:
            await self._unit_of_work.write(also)
            claimant = await self._to_activate_or(undone, start.claimed_identity)
            also = _nothing
        else:
            claimant = await self._claimant(caller, session_id, start, also)
        consent = self._consent(caller, session_id, start.consent, claimant.person)

        def write(connection: Connection) -> None:
            also(connection)
            consent(connection)

        await self._unit_of_work.write(write)
        return claimant

    async def decided(
        self,
        caller: Caller,
        session_id: str,
        start: face_pb2.Start,
        claimant: Claimant,
        verdict: Verdict,
        *,
        rule: SessionRule,
        also: Callable[[Connection], None] = lambda _: None,
    ) -> face_pb2.Decision:
        """Write the outcome down, with the assertion if there is one, and return what the terminal may know (I9).

        Args:
            caller: the terminal.
            session_id: of the session.
            start: how it was opened.
            claimant: who it is, if the face is theirs; for one among many, whom the second factor settled on.
            verdict: of the pipeline, with what is known of the capture.
            rule: what was asked, and what the face is good for.
            also: what else belongs into the same transaction.
        """
        limits = rule.limits(verdict.assurance)

        def write(connection: Connection) -> tuple[face_pb2.Decision, IssuedAssertion | None]:
            is_them = verdict.outcome in _YES and self._is_known(connection, claimant)
            decision = _decision(verdict, is_them=is_them)
            self._audit.append(
                connection,
                actor=f"terminal:{caller.terminal_id}",
                action="face.decided",
                subject=session_id,
                request_id=caller.request_id,
                details=audit_details(start, verdict, rule, decision.outcome),
            )
            note_outcome(
                connection,
                terminal_id=caller.terminal_id,
                verdict=verdict,
                camera=start.camera,
                is_them=is_them,
                at=self._now(),
            )
            also(connection)
            if not is_them:
                return decision, None
            return decision, self._issued(
                connection,
                caller,
                session_id,
                start,
                claimant=claimant,
                limits=limits,
                proves_holder=rule.proves_holder(verdict.assurance),
            )

        decision, issued = await self._unit_of_work.write(write)
        if issued is None:
            decision.other_ways.extend(PAYMENT_WAYS)
            return decision
        _tell(decision, claimant, issued, limits)
        return decision

    def refusal(self) -> face_pb2.Decision:
        """Return the polite end for somebody who did not agree."""
        return face_pb2.Decision(outcome=face_pb2.DECISION_OUTCOME_CONSENT_REFUSED, other_ways=PAYMENT_WAYS)

    def _is_known(self, connection: Connection, claimant: Claimant) -> bool:
        """Return whether somebody answers to the claim, still: a face that was forgotten meanwhile is nobody's."""
        if claimant.registered is not None and not claimant.registered.is_ours:
            return True
        if claimant.person is not None:
            return self._people.has_face(connection, claimant.person.person_id)
        return claimant.practitioner is not None

    async def _claimant(
        self, caller: Caller, session_id: str, start: face_pb2.Start, also: Callable[[Connection], None]
    ) -> Claimant:
        if start.purpose == face_pb2.PURPOSE_PRACTITIONER:
            return await self._practitioner(caller, session_id, start, also)
        if start.purpose == face_pb2.PURPOSE_IDENTIFY:
            return Claimant()
        claim = start.claimed_identity
        return await self._unit_of_work.read(lambda connection: self._claimed(connection, claim.id_number, claim.name))

    async def _practitioner(
        self, caller: Caller, session_id: str, start: face_pb2.Start, also: Callable[[Connection], None]
    ) -> Claimant:
        await self._attendance.refuse_elsewhere(caller, session_id, start.location, also=also)
        practitioner, template = await self._attendance.find(caller, start.practitioner_code)
        return Claimant(practitioner=practitioner, template=template)

    async def _to_activate_or(self, undone: Callable[[Connection], None], claim: types_pb2.ClaimedIdentity) -> Claimant:
        try:
            return await self._to_activate(claim.id_number, claim.name)
        except RegisterUnavailableError:
            await self._unit_of_work.write(undone)
            raise

    async def _to_activate(self, id_number: str, name: str) -> Claimant:
        registered = await self._register.find(id_number=id_number, name=name, with_face=True)

        def work(connection: Connection) -> Claimant:
            """Look for them among our people, also for nobody: how long it takes must not tell which."""
            if registered is None:
                self._people.id_by_number(connection, id_number)
                return Claimant()
            person_id = known_person(connection, self._people, registered)
            person = None if person_id is None else self._people.get(connection, person_id)
            return Claimant(person=person, template=registered.template, registered=registered)

        return await self._unit_of_work.read(work)

    def _claimed(self, connection: Connection, id_number: str, name: str) -> Claimant:
        person = self._people.by_claim(connection, id_number=id_number, name=name)
        template = self._people.template(connection, person.person_id) if person else None
        return Claimant(person=person, template=template)

    def _issued(
        self,
        connection: Connection,
        caller: Caller,
        session_id: str,
        start: face_pb2.Start,
        *,
        claimant: Claimant,
        limits: Limits,
        proves_holder: bool,
    ) -> IssuedAssertion | None:
        if claimant.practitioner is not None:
            return self._staff_assertions.issue(
                connection,
                terminal_id=caller.terminal_id,
                session_id=session_id,
                practitioner_id=claimant.practitioner.practitioner_id,
                business_type=int(start.business_type),
            )
        if start.purpose == face_pb2.PURPOSE_ACTIVATE:
            return self._to_be_activated(connection, caller, session_id, start, claimant)
        if claimant.person is None or limits.amount_limit_fen == 0:  # a face that pays nothing gets no promise
            return None
        if start.purpose == face_pb2.PURPOSE_IDENTIFY:
            name_person(connection, session_id=session_id, person_id=claimant.person.person_id)
        return self._assertions.issue(
            connection,
            terminal_id=caller.terminal_id,
            session_id=session_id,
            person_id=claimant.person.person_id,
            purpose=face_pb2.Purpose.Name(start.purpose),
            business_type=int(start.business_type),
            amount_limit_fen=limits.amount_limit_fen,
            pin_free_limit_fen=limits.pin_free_limit_fen,
            staff_may_confirm=limits.staff_may_confirm,
            proves_holder=proves_holder,
        )

    def _to_be_activated(
        self, connection: Connection, caller: Caller, session_id: str, start: face_pb2.Start, claimant: Claimant
    ) -> IssuedAssertion | None:
        if claimant.registered is None:
            return None
        return self._activations.issue(
            connection,
            terminal_id=caller.terminal_id,
            session_id=session_id,
            person_id=claimant.person.person_id if claimant.person else None,
            business_type=int(start.business_type),
            registered=claimant.registered,
        )

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


def _nothing(_connection: Connection) -> None:
    """Write nothing more: it is written."""


def _decision(verdict: Verdict, *, is_them: bool) -> face_pb2.Decision:
    """Return the coarse truth. A band follows from the outcome alone: there is no score to climb on.

    Whether the challenge was passed is told of live people only; after a suspected spoof it would be a hint to the
    attacker. Somebody alive whom nobody was found to be is not matched: which of the two it was is not told.
    """
    is_spoof = verdict.outcome is Outcome.SPOOF_SUSPECTED
    outcome = verdict.outcome
    if outcome in _YES:
        outcome = Outcome.MATCHED if is_them else Outcome.NOT_MATCHED
    return face_pb2.Decision(
        outcome=convert.decision_outcome(outcome),
        liveness=face_pb2.LivenessSummary(
            band=_BANDS[verdict.outcome], challenge_passed=verdict.liveness.challenge_passed and not is_spoof
        ),
        frames_used=verdict.frames_used,
    )


def _tell(decision: face_pb2.Decision, claimant: Claimant, issued: IssuedAssertion, limits: Limits) -> None:
    """Put in what only somebody hears who was recognised; of a practitioner the masked name, and no amounts."""
    decision.assertion = issued.token
    decision.assertion_expires_at.CopyFrom(convert.timestamp(issued.expires_at))
    if claimant.practitioner is not None:
        decision.person.name = claimant.practitioner.masked_name
        return
    if claimant.registered is not None:
        decision.person.name = masked_name(claimant.registered.name)
        decision.person.id_number = masked_id_number(claimant.registered.id_number)
        return
    if claimant.person is not None:
        decision.person.name = claimant.person.masked_name
        decision.person.id_number = claimant.person.masked_id_number
    decision.amount_limit_fen = limits.amount_limit_fen
    decision.pin_free_limit_fen = limits.pin_free_limit_fen
    decision.staff_may_confirm = limits.staff_may_confirm
