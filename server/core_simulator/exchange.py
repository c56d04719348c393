"""How does a request meet the script? Worked off, delayed, dropped or garbled, as the rule says that strikes it."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from server.core_simulator.core import Core, Reply
from server.core_simulator.errors import Infcode, RefusedError
from server.core_simulator.script import Fault, Rule, Script

T = TypeVar("T")

BODY_BYTES_MAX: Final = 40 * 1024 * 1024
"""A file of 8 MB, written as JSON numbers."""
HANG_UP: Final = "shualian.hang_up"
"""Extension of the ASGI scope: closes the connection without a word."""
_UNNAMED: Final = "????"
_OVERTAKEN: Final = (Infcode.REVERSED, Infcode.NOT_SIGNED_IN)
"""What the second answer may be instead, when something else came in between."""


class HangUp(Response):
    """No answer at all: the connection closes."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - the base's signature
        """Close it, and wait until the server has seen that."""
        scope["extensions"][HANG_UP]()
        while (await receive())["type"] != "http.disconnect":
            pass


class Exchange:
    """Where requests come in. The core takes turns on one thread; waiting happens here, so that others may overtake."""

    def __init__(self, core: Core, script: Script) -> None:
        self._core: Final = core
        self._writer: Final = ThreadPoolExecutor(max_workers=1, thread_name_prefix="core-books")
        self.script = script
        self.calls: Final[Counter[str]] = Counter()
        """How often each call came."""
        self.faults: Final[Counter[str]] = Counter()
        """How often each fault struck."""
        self.answers: Final[Counter[int]] = Counter()
        """How often each infcode was answered, dropped answers too."""
        self.contradictions = 0
        """Repeats of `answer_twice` that were answered otherwise than the first, though nothing came between."""

    async def answer(self, request: Request) -> Response:
        """Answer one request of the envelope."""
        received = bytearray()
        async for piece in request.stream():
            received += piece
            if len(received) > BODY_BYTES_MAX:
                return JSONResponse({"code": 999, "msg": "报文过大"}, status_code=413)
        body = bytes(received)
        infno = _infno(body)
        self.calls[infno] += 1
        rule = self.script.next(infno)
        if rule is not None:
            self.faults[rule.fault] += 1
        headers = {name.lower(): value for name, value in request.headers.items()}
        return await self._as_scripted(rule, body, headers)

    async def _as_scripted(self, rule: Rule | None, body: bytes, headers: Mapping[str, str]) -> Response:
        match rule.fault if rule is not None else None:
            case Fault.DOWN:
                return JSONResponse({"code": 999, "msg": "服务不可用"}, status_code=503)
            case Fault.DROP_BEFORE:
                return HangUp()
            case Fault.DELAY if rule is not None:
                await asyncio.sleep(rule.seconds)
        refusal = RefusedError(rule.infcode, rule.err_msg) if rule is not None and rule.fault is Fault.REFUSE else None
        reply = await self._worked_off(body, headers, refusal)
        response = Response(reply.body, media_type=reply.media_type)
        match rule.fault if rule is not None else None:
            case Fault.COMMIT_THEN_DROP:
                return HangUp()
            case Fault.ANSWER_LATE if rule is not None:
                await asyncio.sleep(rule.seconds)
            case Fault.GARBLE:
                return Response(reply.body[: len(reply.body) // 2], media_type=reply.media_type)
            case Fault.ANSWER_TWICE:
                response.background = BackgroundTask(self._once_more, body, headers, reply)
        return response

    async def _worked_off(self, body: bytes, headers: Mapping[str, str], refusal: RefusedError | None) -> Reply:
        reply = await self.on_writer(lambda: self._core.answer(body, headers, refusal=refusal))
        self.answers[reply.infcode] += 1
        return reply

    async def _once_more(self, body: bytes, headers: Mapping[str, str], first: Reply) -> None:
        second = await self._worked_off(body, headers, None)
        self.contradictions += int(second.infcode not in {first.infcode, *_OVERTAKEN})

    async def on_writer(self, work: Callable[[], T]) -> T:
        """Run something on the thread that the books belong to."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, work)

    def close(self) -> None:
        """Let the thread finish what it has begun."""
        self._writer.shutdown()


def _infno(body: bytes) -> str:
    """Return the call's number without trusting the rest."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return _UNNAMED
    named = found.get("infno") if isinstance(found, dict) else None
    return named if isinstance(named, str) and len(named) == len(_UNNAMED) and named.isdigit() else _UNNAMED
