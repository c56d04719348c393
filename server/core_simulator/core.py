"""How is one message answered? Checked, looked up by its msgid, worked off and remembered, all in one commit."""

import itertools
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from server.core_simulator import settling, statements, visits
from server.core_simulator.books import Books, Remembered
from server.core_simulator.desk import Desk
from server.core_simulator.envelope import SIGN_IN, Message, envelope_from, message_from
from server.core_simulator.errors import Infcode, RefusedError
from server.core_simulator.people import People
from server.core_simulator.seals import Seals, canonical
from server.core_simulator.settlements import Settlements

Handler = Callable[[Desk, Message], dict[str, Any] | bytes]

READS: Final[Mapping[str, Handler]] = {
    "1101": visits.person,
    "2206": settling.quote,
    "2101": settling.quote_pharmacy,
    "5203": settling.look_up,
    "3201": statements.totals,
    "9102": statements.download,
}
"""Calls that move nothing: a repeat is worked off anew."""

WRITES: Final[Mapping[str, Handler]] = {
    "9001": visits.sign_in,
    "9002": visits.sign_out,
    "2201": visits.register,
    "2202": visits.unregister,
    "2207": settling.settle,
    "2208": settling.cancel,
    "2102": settling.settle_pharmacy,
    "2103": settling.cancel,
    "2601": settling.reverse,
    "3202": statements.details,
    "9101": statements.upload,
}
"""Calls that change something: their answer is kept under the msgid, and a repeat gets that very answer."""

_REFERENCES_AT_ONCE: Final = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreSettings:
    """How this core differs from another province's."""

    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Asia/Shanghai"))
    """Whose days settlements are counted in."""
    makes_people_up: bool = True
    """Whether a credential or card nobody has seen gets a made-up person, the same one each time."""
    sign_in_lifetime: timedelta = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What goes back over HTTP."""

    body: bytes
    media_type: str = "application/json"
    infcode: int = 0


class Core:
    """The core itself. Its methods take turns: one thread, one transaction at a time."""

    def __init__(self, *, books: Books, seals: Seals, settings: CoreSettings, now: Callable[[], datetime]) -> None:
        """Take what it works with."""
        self._books: Final = books
        self._seals: Final = seals
        self._settings: Final = settings
        self._now: Final = now
        self.people: Final = People(books, makes_up=settings.makes_people_up)
        self._desk: Final = Desk(
            books=books,
            people=self.people,
            settlements=Settlements(books),
            now=now,
            zone=settings.zone,
            sign_in_lifetime=settings.sign_in_lifetime,
        )
        self._references: Final = itertools.count(secrets.randbelow(_REFERENCES_AT_ONCE))

    def answer(self, body: bytes, headers: Mapping[str, str], *, refusal: RefusedError | None = None) -> Reply:
        """Work one request off and return the answer; everything it changes is on the disk by then.

        Args:
            body: the request.
            headers: its headers, by lower-case name.
            refusal: refuse it with this, once the envelope has been found good; nothing is booked.
        """
        received = self._now()
        envelope: dict[str, Any] = {}
        try:
            envelope = envelope_from(body)
            self._seals.check_headers(headers, now=received)
            self._seals.check_signature(envelope)
            message = message_from(envelope, self._seals.opened(envelope))
            with self._books.transaction():
                return self._worked_off(message, envelope, received, refusal)
        except RefusedError as error:
            return self._refused(error, envelope, received)

    def _worked_off(
        self, message: Message, envelope: Mapping[str, Any], received: datetime, refusal: RefusedError | None
    ) -> Reply:
        handler = READS.get(message.infno) or WRITES.get(message.infno)
        if handler is None:
            raise RefusedError(Infcode.CALL_UNKNOWN, detail=message.infno)
        if message.infno != SIGN_IN:
            visits.check_signed_in(self._desk, message)
        if self._books.is_reversed(message.msgid):
            raise RefusedError(Infcode.REVERSED)
        earlier = self._books.message(message.msgid)
        if earlier is not None:
            if earlier.digest != message.digest:
                raise RefusedError(Infcode.MSGID_REUSED)
            return Reply(body=earlier.answer, infcode=earlier.infcode)
        reply = self._handled(handler, message, envelope, received, refusal)
        if message.infno in WRITES:
            self._remember(message, reply)
        return reply

    def _handled(
        self, handler: Handler, message: Message, envelope: Mapping[str, Any], received: datetime,
        refusal: RefusedError | None,
    ) -> Reply:  # fmt: skip
        try:
            with self._books.attempt():
                if refusal is not None:
                    raise refusal
                output = handler(self._desk, message)
        except RefusedError as error:
            if not error.is_final:
                raise
            return self._refused(error, envelope, received)
        if isinstance(output, bytes):
            return Reply(body=output, media_type="application/octet-stream")
        return self._told(Infcode.GOOD, "", output, envelope, received)

    def _remember(self, message: Message, reply: Reply) -> None:
        named = next((part["psn_no"] for part in message.input.values() if _names_person(part)), "")
        remembered = Remembered(
            msgid=message.msgid,
            infno=message.infno,
            digest=message.digest,
            psn_no=named,
            infcode=reply.infcode,
            answer=reply.body,
        )
        self._books.remember(remembered, at=self._now())

    def _refused(self, error: RefusedError, envelope: Mapping[str, Any], received: datetime) -> Reply:
        return self._told(error.infcode, error.err_msg, None, envelope, received)

    def _told(
        self, infcode: int, err_msg: str, output: dict[str, Any] | None, envelope: Mapping[str, Any],
        received: datetime,
    ) -> Reply:  # fmt: skip
        here, was = self._desk.here(), received.astimezone(self._settings.zone)
        region = str(envelope.get("mdtrtarea_admvs") or "000000")[:6]
        reference = next(self._references) % 10**10
        answer = {
            "infcode": int(infcode),
            "inf_refmsgid": f"{region}{here:%Y%m%d%H%M%S}{reference:010d}",
            "refmsg_time": f"{was:%Y%m%d%H%M%S}{was.microsecond // 1000:03d}",
            "respond_time": f"{here:%Y%m%d%H%M%S}{here.microsecond // 1000:03d}",
            "err_msg": err_msg,
            "warn_msg": "",
            "cainfo": "",
            "signtype": "",
            "output": output,
        }
        return Reply(body=canonical(self._seals.sealed(answer, envelope)).encode(), infcode=int(infcode))


def _names_person(part: object) -> bool:
    return isinstance(part, Mapping) and isinstance(part.get("psn_no"), str)
