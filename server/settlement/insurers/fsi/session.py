"""Under which number do we speak? Sign-in (9001), kept for all replicas, renewed before it lapses."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, delete, insert, select

from server.credentials.sealing import FieldSeal
from server.settlement.insurers.fsi.calls import sign_in, sign_no_from, sign_out
from server.settlement.insurers.fsi.core import Core
from server.settlement.insurers.fsi.envelope import Institution
from server.settlement.insurers.fsi.errors import CoreRefusedError
from server.settlement.insurers.fsi.profile import SessionSettings
from server.settlement.insurers.fsi.records import Records
from server.store.tables.fsi import fsi_sessions
from server.store.unit_of_work import UnitOfWork

_SIGN_NO: Final = "sign_no"


@dataclass(frozen=True, slots=True)
class _Session:
    sign_no: str = field(repr=False)
    signed_in_at: datetime


class Sessions:
    """One session for each institution we speak for."""

    def __init__(
        self,
        *,
        unit_of_work: UnitOfWork,
        core: Core,
        records: Records,
        seal: FieldSeal,
        settings: SessionSettings,
        opter: str,
        now: Callable[[], datetime],
    ) -> None:
        """Take what it works with.

        Args:
            unit_of_work: where the numbers rest, sealed.
            core: whom to sign in with.
            records: number the messages.
            seal: for the numbers.
            settings: how long a session is good, and how a refusal says that it is not.
            opter: who signs in.
            now: the clock.
        """
        self._unit_of_work: Final = unit_of_work
        self._core: Final = core
        self._records: Final = records
        self._seal: Final = seal
        self._settings: Final = settings
        self._opter: Final = opter
        self._now: Final = now
        self._held: Final[dict[str, _Session]] = {}
        self._signing_in: Final[dict[str, asyncio.Lock]] = {}

    async def sign_no(self, institution: Institution) -> str:
        """Return a number that is good, signing in where there is none.

        Raises:
            FsiError: the core would not let us in, or did not answer.
        """
        held = self._held.get(institution.code)
        if held is not None and not self._is_old(held):
            return held.sign_no
        async with self._signing_in.setdefault(institution.code, asyncio.Lock()):
            return (await self._renewed(institution, worn="")).sign_no

    async def sign_in_again(self, institution: Institution, *, worn: str) -> str:
        """Return another number than the one that a core refused.

        Raises:
            FsiError: as above.
        """
        async with self._signing_in.setdefault(institution.code, asyncio.Lock()):
            return (await self._renewed(institution, worn=worn)).sign_no

    def says_sign_in_again(self, error: CoreRefusedError) -> bool:
        """Return whether a refusal means nothing but that our session is over."""
        is_code = error.infcode in self._settings.again_codes
        return is_code or any(text in error.err_msg for text in self._settings.again_texts)

    async def sign_out(self, institution: Institution) -> None:
        """End the session, if there is one.

        Raises:
            FsiError: the core said no or did not answer; the number is forgotten all the same.
        """
        session = await self._unit_of_work.read(lambda connection: self._kept(connection, institution.code))
        self._held.pop(institution.code, None)
        if session is None:
            return
        msgid = await self._unit_of_work.write(lambda connection: self._ended(connection, institution.code))
        call = sign_out(institution, sign_no=session.sign_no, opter=self._opter)
        await self._core.ask(call, msgid=msgid, sign_no=session.sign_no, is_safe=True)

    async def _renewed(self, institution: Institution, *, worn: str) -> _Session:
        """Take what another task or replica has signed in with meanwhile; else sign in."""
        session = await self._unit_of_work.read(lambda connection: self._kept(connection, institution.code))
        if session is None or session.sign_no == worn or self._is_old(session):
            session = await self._signed_in(institution)
        self._held[institution.code] = session
        return session

    async def _signed_in(self, institution: Institution) -> _Session:
        msgid = await self._unit_of_work.write(lambda connection: self._records.new_msgid(connection, institution.code))
        call = sign_in(institution, opter=self._opter)
        answer = await self._core.ask(call, msgid=msgid, sign_no="", is_safe=True)
        session = _Session(sign_no_from(answer), self._now())
        await self._unit_of_work.write(lambda connection: self._keep(connection, institution.code, session))
        return session

    def _is_old(self, session: _Session) -> bool:
        return abs(self._now() - session.signed_in_at) >= self._settings.lifetime  # abs: a clock set back

    def _kept(self, connection: Connection, institution: str) -> _Session | None:
        columns = fsi_sessions.c
        found = connection.execute(select(fsi_sessions).where(columns.institution == institution)).one_or_none()
        if found is None:
            return None
        sign_no = self._seal.open(found.sign_no_sealed, field=_SIGN_NO, person_id=institution)
        return _Session(sign_no, found.signed_in_at)

    def _keep(self, connection: Connection, institution: str, session: _Session) -> None:
        connection.execute(delete(fsi_sessions).where(fsi_sessions.c.institution == institution))
        connection.execute(
            insert(fsi_sessions).values(
                institution=institution,
                sign_no_sealed=self._seal.seal(session.sign_no, field=_SIGN_NO, person_id=institution),
                signed_in_at=session.signed_in_at,
            )
        )

    def _ended(self, connection: Connection, institution: str) -> str:
        connection.execute(delete(fsi_sessions).where(fsi_sessions.c.institution == institution))
        return self._records.new_msgid(connection, institution)
