"""How is a claim booked at the core? Written down, sent once, believed only when it is what was quoted."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection

from server.settlement.errors import InsurerRefusedError
from server.settlement.insurers import Booking, Claim
from server.settlement.insurers.fsi import calls
from server.settlement.insurers.fsi.calls import Settled
from server.settlement.insurers.fsi.envelope import GOOD, Call
from server.settlement.insurers.fsi.errors import (
    AnswerForeignError,
    AnswerGarbledError,
    CoreRefusedError,
    FieldUnfitError,
    FsiError,
    LineBrokenError,
    MessageIdsExhaustedError,
    NotSentError,
    OutcomeDisagreesError,
)
from server.settlement.insurers.fsi.looking import can_look
from server.settlement.insurers.fsi.means import Means
from server.settlement.insurers.fsi.outcome import check_quoted, check_sums
from server.settlement.insurers.fsi.quoting import entitled
from server.settlement.insurers.fsi.records import Message, Purpose, Visit, VisitState, claim_digest
from server.settlement.model import Shares

_CLOCKS_APART_MAX: Final = timedelta(days=1)
"""How far a booking's time may be from its quote's: minutes, and what two clocks differ by."""


class Bookings:
    """Settles, and looks for what was settled."""

    def __init__(self, means: Means, *, on_disagreement: Callable[[str], None]) -> None:
        """Take what it works with; `on_disagreement` is told of a booking that is not what was quoted: the field."""
        self._means: Final = means
        self._on_disagreement: Final = on_disagreement

    async def settle(self, *, transaction_id: str, claim: Claim, quoted: Shares) -> Booking:
        """Book a claim as quoted; see the port."""
        kind, shown = self._means.kinds.of_bill(claim.bill), entitled(claim)
        institution = self._means.institutions.of_site(claim.site_id)
        try:
            await self._means.errands.sign_in(institution)
        except FsiError as error:
            raise InsurerRefusedError(code=NotSentError.reason) from error
        try:
            visit, message, is_new = await self._means.unit_of_work.write(
                lambda connection: self._written(connection, transaction_id, claim, quoted, infno=kind.settle)
            )
        except MessageIdsExhaustedError as error:
            raise InsurerRefusedError(code=error.reason) from error
        if not is_new:
            return await self._asked_before(transaction_id)
        form = self._means.profile.envelope.amounts
        call = calls.money(kind.settle, kind, institution, visit, shown, form=form)
        settled = await self._sent(call, visit, message)
        return await self._booked(visit, message, settled, quoted)

    async def query(self, transaction_id: str) -> Booking | None:
        """Return what was booked as quoted; what was booked otherwise is to be reversed, so it is None, too."""
        visit, messages = await self._means.unit_of_work.read(
            lambda connection: self._means.records.history_of(connection, transaction_id)
        )
        msgids = [message.msgid for message in messages if message.purpose is Purpose.SETTLE]
        if visit is None or not msgids or not can_look(visit):
            return None
        found = await self._means.looks.at(visit, msgids=msgids)
        if found is None or found.is_undone:
            return None
        await self._note_numbers(visit, found)
        try:
            check_sums(found, visit, self._means.profile.answer)
            if visit.quoted is not None:
                check_quoted(found, visit.quoted)
        except OutcomeDisagreesError as error:
            self._on_disagreement(error.field)
            return None
        return _booking(visit, found)

    def _written(
        self, connection: Connection, transaction_id: str, claim: Claim, quoted: Shares, *, infno: str
    ) -> tuple[Visit, Message, bool]:
        """Bind the visit to the transaction and number the message; whatever comes later can name both.

        Raises:
            InsurerRefusedError: it was reversed before, or there is no such quote any more.
        """
        taken, messages = self._means.records.history_of(connection, transaction_id)
        if taken is not None:
            return taken, next(each for each in messages if each.purpose is Purpose.SETTLE), False
        if self._means.records.is_shut(connection, transaction_id):
            raise InsurerRefusedError(code="REVERSED")
        visit = self._means.records.open_visit(connection, claim_digest(claim))
        if visit is None or visit.quoted is None:
            raise InsurerRefusedError(code="QUOTE_UNKNOWN")
        agreed = (quoted.pooled_fund_fen, quoted.personal_account_fen)
        if (visit.pooled_fund_fen, visit.personal_account_fen) != agreed:
            raise InsurerRefusedError(code="QUOTE_OUTDATED")
        self._means.records.change_visit(connection, visit, state=VisitState.TAKEN, transaction_id=transaction_id)
        message = self._means.records.write_message(
            connection,
            infno=infno,
            purpose=Purpose.SETTLE,
            transaction_id=transaction_id,
            institution=visit.institution,
            person_id=visit.person_id,
        )
        return replace(visit, state=VisitState.TAKEN, transaction_id=transaction_id), message, True

    async def _asked_before(self, transaction_id: str) -> Booking:
        booking = await self.query(transaction_id)
        if booking is None:
            raise LineBrokenError  # it may still be under way
        return booking

    async def _sent(self, call: Call, visit: Visit, message: Message) -> Settled:
        """Send the message once and return what the core says it booked.

        Raises:
            InsurerRefusedError: certainly not booked.
            FsiError: nobody knows.
        """
        try:
            answer = await self._means.errands.send(call, msgid=message.msgid, is_safe=False)
        except (NotSentError, FieldUnfitError) as error:
            await self._note(visit, message, infcode=None)
            raise InsurerRefusedError(code=error.reason) from error
        except CoreRefusedError as error:
            if await self._is_there_all_the_same(visit, message):
                raise OutcomeDisagreesError(field="infcode") from error
            await self._note(visit, message, infcode=error.infcode, err_msg=error.err_msg)
            raise self._means.refusal_of(error) from error
        settled = self._means.looks.read(answer)
        if settled is None:
            raise AnswerGarbledError(what="setlinfo")
        return settled

    async def _is_there_all_the_same(self, visit: Visit, message: Message) -> bool:
        if not self._means.profile.answer.check_refusals or not can_look(visit):
            return False
        found = await self._means.looks.at(visit, msgids=[message.msgid])
        return found is not None and not found.is_undone

    async def _booked(self, visit: Visit, message: Message, settled: Settled, quoted: Shares) -> Booking:
        if settled.medins_setl_id and settled.medins_setl_id != message.msgid:
            raise AnswerForeignError(what="medins_setl_id")
        try:
            check_sums(settled, visit, self._means.profile.answer)
            check_quoted(settled, quoted)
        except OutcomeDisagreesError as error:
            self._on_disagreement(error.field)
            raise
        if not settled.setl_id:
            raise AnswerGarbledError(what="setl_id")
        await self._note_numbers(visit, settled, msgid=message.msgid)
        return _booking(visit, settled)

    async def _note_numbers(self, visit: Visit, settled: Settled, *, msgid: str | None = None) -> None:
        def work(connection: Connection) -> None:
            mdtrt_id = visit.mdtrt_id or settled.mdtrt_id
            self._means.records.change_visit(connection, visit, setl_id=settled.setl_id, mdtrt_id=mdtrt_id)
            if msgid is not None:
                self._means.records.note_answer(connection, msgid, infcode=GOOD)

        await self._means.unit_of_work.write(work)

    async def _note(self, visit: Visit, message: Message, *, infcode: str | None, err_msg: str = "") -> None:
        """Note that a message booked nothing: refused, or never sent. Its visit is nobody's any more."""

        def work(connection: Connection) -> None:
            self._means.records.note_answer(
                connection, message.msgid, infcode=infcode, err_msg=err_msg, may_have_arrived=infcode is not None
            )
            self._means.records.change_visit(connection, visit, state=VisitState.RELEASED)

        await self._means.unit_of_work.write(work)


def _booking(visit: Visit, settled: Settled) -> Booking:
    """Return what was booked; a time by the core's clock that cannot be is left out."""
    at = settled.booked_at
    is_likely = at is not None and abs(at - visit.made_at) <= _CLOCKS_APART_MAX
    return Booking(personal_account_balance_fen=settled.balance_fen, booked_at=at if is_likely else None)
