"""How is the core asked one thing? Signed in, numbered, sent, tried again where that is safe, counted.

A call that moves nothing may be repeated with the same msgid until its tries are used up. One that moves money is sent
once, unless nothing of it can have left: whoever asked for it looks at what became of it later.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import perf_counter
from typing import Final, TypeVar

from server.settlement.insurers.fsi.breaker import Breaker
from server.settlement.insurers.fsi.client import CoreLine
from server.settlement.insurers.fsi.envelope import Answer, Call, Envelope
from server.settlement.insurers.fsi.errors import (
    AnswerForeignError,
    AnswerGarbledError,
    CoreDoubtfulError,
    CoreRefusedError,
    FsiError,
    LineBrokenError,
    NotSentError,
)
from server.settlement.insurers.fsi.profile import PathSettings

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How often, and how fast."""

    tries_max: int
    """Tries of one call in all."""
    pause: timedelta
    """Rest before the second; doubled before each further one."""


class Core:
    """One provincial core, asked message by message."""

    def __init__(
        self,
        *,
        line: CoreLine,
        envelope: Envelope,
        breaker: Breaker,
        paths: PathSettings,
        retries: Retries,
        now: Callable[[], datetime],
        on_call: Callable[[str, str, float], None] = lambda _infno, _result, _seconds: None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Take what it works with.

        Args:
            line: the HTTP end.
            envelope: writes requests, reads answers.
            breaker: keeps us from asking a core that is down.
            paths: where each call goes.
            retries: how often a safe call is tried.
            now: the clock.
            on_call: told of each try: infno, GOOD or the reason it failed with, seconds.
            pause: waits between tries.
        """
        self._line: Final = line
        self._envelope: Final = envelope
        self._breaker: Final = breaker
        self._paths: Final = paths
        self._retries: Final = retries
        self._now: Final = now
        self._on_call: Final = on_call
        self._pause: Final = pause

    async def ask(self, call: Call, *, msgid: str, sign_no: str, is_safe: bool) -> Answer:
        """Send a call and return the good answer.

        Args:
            call: what to ask.
            msgid: its id, the same for every try.
            sign_no: of the session.
            is_safe: whether it may be sent again when nobody knows what became of it.

        Raises:
            CoreRefusedError: the core said no.
            NotSentError: the core heard nothing of it.
            FieldUnfitError: nothing was sent, it does not fit.
            FsiError: nobody knows.
        """

        async def once() -> Answer:
            body = self._envelope.request(call, msgid=msgid, sign_no=sign_no, now=self._now())
            return self._envelope.answer(await self._sent(call.infno, body), msgid=msgid)

        return await self._tried(call.infno, once, is_safe=is_safe)

    async def fetch(self, call: Call, *, msgid: str, sign_no: str) -> bytes:
        """Send a call whose good answer is a file; return the bytes, which may still be a refusal in JSON.

        Raises:
            FsiError: as `ask`.
        """

        async def once() -> bytes:
            body = self._envelope.request(call, msgid=msgid, sign_no=sign_no, now=self._now())
            content = await self._sent(call.infno, body)
            if content[:1] == b"{":
                self._envelope.answer(content, msgid=msgid)  # raises what it says; a good one is no file
                raise AnswerGarbledError(what="no file")
            return content

        return await self._tried(call.infno, once, is_safe=True)

    async def close(self) -> None:
        """Close the connections."""
        await self._line.close()

    async def _sent(self, infno: str, body: bytes) -> bytes:
        return await self._line.post(self._paths.of(infno), body)

    async def _tried(self, infno: str, once: Callable[[], Awaitable[T]], *, is_safe: bool) -> T:
        pause = self._retries.pause.total_seconds()
        has_left = False
        for left in reversed(range(self._retries.tries_max)):
            try:
                return await self._counted(infno, once)
            except NotSentError as error:
                if not left:
                    raise (LineBrokenError() if has_left else error) from error
            except (LineBrokenError, AnswerGarbledError, CoreDoubtfulError):
                has_left = True
                if not is_safe or not left:
                    raise
            await self._pause(pause)
            pause *= 2
        raise NotSentError  # no tries at all

    async def _counted(self, infno: str, once: Callable[[], Awaitable[T]]) -> T:
        if not self._breaker.let_pass():
            self._on_call(infno, "BREAKER_OPEN", 0.0)
            raise NotSentError
        began = perf_counter()
        result = "LEFT"
        try:
            answer = await once()
        except CoreRefusedError as error:
            result = error.reason
            self._breaker.succeeded()
            raise
        except AnswerForeignError as error:
            result = error.reason
            self._breaker.failed()
            await self._line.begin_anew()
            raise
        except (LineBrokenError, AnswerGarbledError, CoreDoubtfulError, NotSentError) as error:
            result = error.reason
            self._breaker.failed()
            raise
        except FsiError as error:
            result = error.reason
            self._breaker.left()
            raise
        except BaseException:  # cancelled: whoever asked waits no longer
            self._breaker.failed()
            raise
        else:
            result = "GOOD"
            self._breaker.succeeded()
            return answer
        finally:
            self._on_call(infno, result, perf_counter() - began)
