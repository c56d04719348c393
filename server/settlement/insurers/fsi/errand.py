"""How does one of our questions become a message? Numbered, signed in, asked; again after a new sign-in."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from server.settlement.insurers.fsi.core import Core
from server.settlement.insurers.fsi.envelope import Answer, Call, Institution
from server.settlement.insurers.fsi.errors import CoreRefusedError
from server.settlement.insurers.fsi.records import Records
from server.settlement.insurers.fsi.session import Sessions
from server.store.unit_of_work import UnitOfWork

T = TypeVar("T")


class Errands:
    """Asks the core in the name of an institution."""

    def __init__(self, *, unit_of_work: UnitOfWork, core: Core, sessions: Sessions, records: Records) -> None:
        """Take what it works with.

        Args:
            unit_of_work: where messages are numbered.
            core: whom to ask.
            sessions: under which number.
            records: keep what a core writes beside a refusal.
        """
        self._unit_of_work: Final = unit_of_work
        self._core: Final = core
        self._sessions: Final = sessions
        self._records: Final = records

    async def sign_in(self, institution: Institution) -> None:
        """Make sure that there is a session.

        Raises:
            FsiError: there is none to be had.
        """
        await self._sessions.sign_no(institution)

    async def sign_out(self, institution: Institution) -> None:
        """End the session.

        Raises:
            FsiError: the core said no or did not answer.
        """
        await self._sessions.sign_out(institution)

    async def look(self, call: Call, *, person_id: str | None = None) -> Answer:
        """Ask something that moves nothing, under a new number; its refusal is kept.

        Raises:
            CoreRefusedError: the core said no.
            FsiError: nobody knows.
        """
        msgid = await self._new_msgid(call)
        try:
            return await self.send(call, msgid=msgid, is_safe=True)
        except CoreRefusedError as error:
            infcode, err_msg = error.infcode, error.err_msg
            await self._unit_of_work.write(
                lambda connection: self._records.note_refusal(
                    connection, msgid=msgid, infno=call.infno, person_id=person_id, infcode=infcode, err_msg=err_msg
                )
            )
            raise

    async def fetch(self, call: Call) -> bytes:
        """Ask for a file.

        Raises:
            FsiError: there is none.
        """
        msgid = await self._new_msgid(call)
        return await self._signed_in(call, lambda sign_no: self._core.fetch(call, msgid=msgid, sign_no=sign_no))

    async def send(self, call: Call, *, msgid: str, is_safe: bool) -> Answer:
        """Send a numbered message; again, with the same number, when only our session was over.

        Raises:
            CoreRefusedError: the core said no.
            FsiError: nobody knows; NotSentError: certainly nothing has arrived.
        """
        return await self._signed_in(
            call, lambda sign_no: self._core.ask(call, msgid=msgid, sign_no=sign_no, is_safe=is_safe)
        )

    async def _signed_in(self, call: Call, ask: Callable[[str], Awaitable[T]]) -> T:
        """Ask under our session, and once more under a new one when the core says that it is over."""
        sign_no = await self._sessions.sign_no(call.institution)
        try:
            return await ask(sign_no)
        except CoreRefusedError as error:
            if not self._sessions.says_sign_in_again(error):
                raise
        return await ask(await self._sessions.sign_in_again(call.institution, worn=sign_no))

    async def _new_msgid(self, call: Call) -> str:
        return await self._unit_of_work.write(
            lambda connection: self._records.new_msgid(connection, call.institution.code)
        )
