"""A register elsewhere, asked over HTTP: bounded in time and bytes; every doubt about its answer is a refusal (I10).

The population register has no public interface; this one is ours (docs/operations/credentials.md), for a gateway that
speaks to the real one. A portrait becomes a template here and is dropped: it is never handed on, written, logged (I7).
"""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from datetime import date, timedelta
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

import httpx
import structlog

from server.credentials.errors import CredentialError, RegisterUnavailableError
from server.credentials.identity import Identity, birth_date_of, id_number_from_text, name_from_text
from server.credentials.register import Registered

if TYPE_CHECKING:
    from face_pipeline.frames import Template

log = structlog.get_logger()

PATH: Final = "/v1/people/find"
ANSWER_BYTES_MAX: Final = 3_145_728
"""A portrait of 2 MiB in base64, and the rest."""
_PLAIN: Final = {"accept-encoding": "identity"}
"""Nothing compressed is taken: what a few kilobytes unpack to is known only when it fills the memory (I11)."""
FORMER_MAX: Final = 8
_REGION_LENGTH_MAX: Final = 32


class HttpRegister:
    """Asks one register."""

    def __init__(
        self,
        *,
        client: httpx.AsyncClient,
        enroll: "Callable[[bytes], Template]",
        executor: Executor,
        at_once_max: int,
        within: timedelta,
        answer_after: timedelta,
        on_asked: Callable[[str, float], None] = lambda _result, _seconds: None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Take what it asks with.

        Args:
            client: with the base address, timeouts and credentials.
            enroll: makes a template of a JPEG; raises FaceError when there is no good face in it.
            executor: where that is done.
            at_once_max: questions under way at once (I11); one more is refused.
            within: how long one question may take, all in all: an answer that drips is none.
            answer_after: whether a face has somebody to be compared with is told no sooner: a portrait takes its time.
            on_asked: told of each question, FOUND, NOT_FOUND or UNAVAILABLE, and how many seconds it took.
            pause: waits that many seconds.
        """
        self._client: Final = client
        self._enroll: Final = enroll
        self._executor: Final = executor
        self._places = at_once_max
        self._within: Final = within
        self._answer_after: Final = answer_after.total_seconds()
        self._on_asked: Final = on_asked
        self._pause: Final = pause

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def find(self, *, id_number: str, name: str, with_face: bool) -> Registered | None:
        """Return who has both; see the port."""
        began = perf_counter()
        found, portrait = await self._found(id_number, name, with_face=with_face, guardian=None)
        if not with_face:
            return found
        if found is not None and portrait is not None:
            found = await self._with_template(found, portrait)
        await self._pause(max(0.0, began + self._answer_after - perf_counter()))
        return found

    async def find_ward(self, *, id_number: str, name: str, guardian: Identity) -> Registered | None:
        """Return the child who has both, if the register says that this is their guardian; see the port."""
        found, _ = await self._found(id_number, name, with_face=False, guardian=guardian)
        return found

    async def _found(
        self, id_number: str, name: str, *, with_face: bool, guardian: Identity | None
    ) -> tuple[Registered | None, bytes | None]:
        number, name = id_number_from_text(id_number), name_from_text(name)
        question: dict[str, object] = {"id_number": number, "name": name, "with_face": with_face}
        said = None if guardian is None else {"id_number": guardian.id_number, "name": guardian.name}
        if said is not None:
            question["guardian"] = said
        began = perf_counter()
        try:
            answer = await self._asked(question)
            found, portrait = _read(answer, number=number, name=name)
            _check_guardian(answer, said)
        except RegisterUnavailableError:
            self._on_asked("UNAVAILABLE", perf_counter() - began)
            raise
        self._on_asked("FOUND" if found else "NOT_FOUND", perf_counter() - began)
        return found, portrait

    async def _asked(self, question: dict[str, object]) -> Any:  # noqa: ANN401 - JSON, read with care right after
        if self._places < 1:
            raise RegisterUnavailableError
        self._places -= 1
        try:
            async with asyncio.timeout(self._within.total_seconds()):
                body = await self._answer(question)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, TimeoutError) as error:
            log.warning("register_unavailable", kind=type(error).__name__)
            raise RegisterUnavailableError from None  # the error's text may name what was asked
        finally:
            self._places += 1
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            log.warning("register_unavailable", kind="garbled")
            raise RegisterUnavailableError from None

    async def _answer(self, question: dict[str, object]) -> bytes:
        body = bytearray()
        async with self._client.stream("POST", PATH, json=question, headers=_PLAIN) as answer:
            if answer.status_code != httpx.codes.OK:
                log.warning("register_unavailable", kind="status", status=answer.status_code)
                raise RegisterUnavailableError
            if "content-encoding" in answer.headers:
                log.warning("register_unavailable", kind="encoded")
                raise RegisterUnavailableError
            async for part in answer.aiter_raw():
                body += part
                if len(body) > ANSWER_BYTES_MAX:
                    log.warning("register_unavailable", kind="too_large")
                    raise RegisterUnavailableError
        return bytes(body)

    async def _with_template(self, found: Registered, portrait: bytes) -> Registered:
        from face_pipeline.errors import FaceError  # noqa: PLC0415 - loads the pipeline, which is there by now

        loop = asyncio.get_running_loop()
        try:
            template = await loop.run_in_executor(self._executor, self._enroll, portrait)
        except FaceError as error:  # a portrait that nobody can be compared with: as good as none
            log.warning("register_portrait_unusable", kind=type(error).__name__)
            return found
        return Registered(
            name=found.name,
            id_number=found.id_number,
            born=found.born,
            region=found.region,
            former_id_numbers=found.former_id_numbers,
            template=template,
        )


def _check_guardian(answer: Any, said: Mapping[str, str] | None) -> None:  # noqa: ANN401 - JSON, read by `_read`
    """Refuse an answer that does not name the guardian it was asked about.

    A register that knows nothing of guardians says of everybody that name and number agree. Its no is refused as well:
    beside a yes that is none, it would tell whose name and number they are.

    Raises:
        RegisterUnavailableError: it names nobody, or somebody else.
    """
    if said is not None and answer.get("guardian") != said:
        log.warning("register_unavailable", kind="guardian")
        raise RegisterUnavailableError


def _read(answer: Any, *, number: str, name: str) -> tuple[Registered | None, bytes | None]:  # noqa: ANN401 - JSON
    """Return what the register says, and the portrait.

    Raises:
        RegisterUnavailableError: it makes no sense, or speaks of somebody else.
    """
    try:
        if answer["agrees"] is False:
            return None, None
        person = answer["person"]
        found = Registered(
            name=name_from_text(person["name"]),
            id_number=id_number_from_text(person["id_number"]),
            born=date.fromisoformat(person["born"]),
            region=person["region"],
            former_id_numbers=tuple(id_number_from_text(former) for former in person.get("former_id_numbers", ())),
        )
        is_sound = (
            answer["agrees"] is True
            and (found.id_number, found.name) == (number, name)
            and found.born == birth_date_of(number)
            and isinstance(found.region, str)
            and 0 < len(found.region) <= _REGION_LENGTH_MAX
            and len(found.former_id_numbers) <= FORMER_MAX
        )
        portrait = person.get("portrait_jpeg")
        picture = None if portrait is None else base64.b64decode(portrait, validate=True)
    except (CredentialError, LookupError, TypeError, ValueError, AttributeError):
        log.warning("register_unavailable", kind="senseless")
        raise RegisterUnavailableError from None
    if not is_sound:
        log.warning("register_unavailable", kind="senseless")
        raise RegisterUnavailableError
    return found, picture
