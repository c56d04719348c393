"""How is a booking undone at the core? On request (2208, 2103), or because nobody knows whether there is one (2601)."""

from typing import Final

from sqlalchemy import Connection

from server.settlement.insurers.fsi import calls
from server.settlement.insurers.fsi.envelope import GOOD, Call
from server.settlement.insurers.fsi.errors import CoreRefusedError, ReversalUnprovenError, VisitUnknownError
from server.settlement.insurers.fsi.looking import can_look
from server.settlement.insurers.fsi.means import Means
from server.settlement.insurers.fsi.records import Message, Purpose, Visit, VisitState


class Undoings:
    """Cancels and reverses."""

    def __init__(self, means: Means) -> None:
        self._means: Final = means

    async def cancel(self, transaction_id: str) -> None:
        """Undo a booking on request; see the port.

        Whatever the core answers, its books decide: a refusal may be that of a repetition that came second.
        """
        visit, messages = await self._means.unit_of_work.read(
            lambda connection: self._means.records.history_of(connection, transaction_id)
        )
        kind = None if visit is None else self._means.kinds.of(visit.business_type)
        if visit is None or kind is None or not visit.setl_id:
            raise VisitUnknownError
        message = await self._written(visit, messages, Purpose.CANCEL, infno=kind.undo)
        call = calls.undo(kind, self._means.institutions.with_code(visit.institution), visit)
        refusal = await self._answered(call, message)
        if refusal is None and not self._means.profile.reversal.look_after:
            return await self._release(visit)
        if await self._is_gone(visit, messages, when_blind=refusal is None):
            return await self._release(visit)
        if refusal is None:
            raise ReversalUnprovenError
        raise self._means.refusal_of(refusal) from refusal

    async def reverse(self, transaction_id: str) -> bool:
        """Make sure that nothing is and nothing will be booked; see the port.

        From here on nothing of this transaction is sent any more, and what may have been sent is reversed by its
        number: a core remembers that, also for a message that it has not seen yet.
        """
        visit, messages = await self._means.unit_of_work.write(
            lambda connection: self._shut(connection, transaction_id)
        )
        settles = [message for message in messages if message.purpose is Purpose.SETTLE]
        sent = [message for message in settles if message.may_have_arrived]
        if visit is None or not settles or not (sent or can_look(visit)):
            return False
        # A refusal is believed where a look shows nothing; where nobody can look, it is undone like what is in doubt.
        doubtful = [message for message in sent if message.infcode in {None, GOOD} or not can_look(visit)]
        had_moved, was_seen = bool(visit.setl_id), False
        if can_look(visit):
            found = await self._means.looks.at(visit, msgids=_msgids(messages))
            had_moved = had_moved or found is not None
            if found is not None and found.is_undone:
                await self._release(visit)
                return True
            if found is None and _was_reversed(messages):  # by a try before, which came no further than its answer
                await self._release(visit)
                return had_moved
            if found is not None:  # also what the core refused, or never got as we thought: it stands all the same
                doubtful, was_seen = settles, True
        for message in doubtful:
            await self._reverse(visit, message, messages, was_seen=was_seen)
        await self._release(visit)
        return had_moved

    def _shut(self, connection: Connection, transaction_id: str) -> tuple[Visit | None, list[Message]]:
        self._means.records.shut(connection, transaction_id)
        return self._means.records.history_of(connection, transaction_id)

    async def _reverse(self, visit: Visit, original: Message, messages: list[Message], *, was_seen: bool) -> None:
        institution = self._means.institutions.with_code(visit.institution)
        message = await self._written(visit, messages, Purpose.REVERSE, infno=calls.REVERSE)
        call = calls.reverse(institution, visit, msgid=original.msgid, infno=original.infno)
        refusal = await self._answered(call, message)
        settings = self._means.profile.reversal
        if refusal is not None and refusal.infcode in settings.unknown_codes and not was_seen:
            if settings.remembers or abs(self._means.now() - original.written_at) >= settings.arrival_max:
                return
            raise ReversalUnprovenError
        if refusal is None and (not settings.look_after or await self._is_gone(visit, messages, when_blind=True)):
            return
        # Refused, and nothing is there: what it was refused for is unknown, and the original may yet arrive.
        if refusal is None or not await self._was_undone(visit, messages):
            raise ReversalUnprovenError

    async def _answered(self, call: Call, message: Message) -> CoreRefusedError | None:
        """Send a message, the same one as often as it is asked for; return the core's refusal, if it was one."""
        refusal = None
        try:
            await self._means.errands.send(call, msgid=message.msgid, is_safe=True)
        except CoreRefusedError as error:
            refusal = error
        infcode, err_msg = (GOOD, "") if refusal is None else (refusal.infcode, refusal.err_msg)
        await self._means.unit_of_work.write(
            lambda connection: self._means.records.note_answer(
                connection, message.msgid, infcode=infcode, err_msg=err_msg
            )
        )
        return refusal

    async def _written(self, visit: Visit, messages: list[Message], purpose: Purpose, *, infno: str) -> Message:
        """Return the message to send: one whose answer never came, or a new one, written down first."""
        unanswered = [each for each in messages if each.purpose is purpose and each.infcode is None]
        if unanswered:
            return unanswered[-1]
        return await self._means.unit_of_work.write(
            lambda connection: self._means.records.write_message(
                connection,
                infno=infno,
                purpose=purpose,
                transaction_id=visit.transaction_id or "",
                institution=visit.institution,
                person_id=visit.person_id,
            )
        )

    async def _is_gone(self, visit: Visit, messages: list[Message], *, when_blind: bool) -> bool:
        """Return whether the core's books have nothing for a visit; where nobody can look, `when_blind` counts."""
        if not can_look(visit):
            return when_blind
        found = await self._means.looks.at(visit, msgids=_msgids(messages))
        return found is None or found.is_undone

    async def _was_undone(self, visit: Visit, messages: list[Message]) -> bool:
        found = await self._means.looks.at(visit, msgids=_msgids(messages)) if can_look(visit) else None
        return found is not None and found.is_undone

    async def _release(self, visit: Visit) -> None:
        await self._means.unit_of_work.write(
            lambda connection: self._means.records.change_visit(connection, visit, state=VisitState.RELEASED)
        )


def _was_reversed(messages: list[Message]) -> bool:
    return any(message.purpose is Purpose.REVERSE and message.infcode == GOOD for message in messages)


def _msgids(messages: list[Message]) -> list[str]:
    return [message.msgid for message in messages if message.purpose is Purpose.SETTLE]
