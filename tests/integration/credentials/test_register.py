"""A register elsewhere, over HTTP on loopback: what it says is taken, and whatever makes no sense is a refusal."""

import asyncio
import gzip
import json
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import date, timedelta
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from face_pipeline.errors import FrameUndecodableError
from face_pipeline.frames import Template
from server.credentials.errors import IdNumberInvalidError, RegisterUnavailableError
from server.credentials.identity import Identity
from server.credentials.register import Registered
from server.credentials.register.http import ANSWER_BYTES_MAX, PATH, HttpRegister
from server.register_simulator.app import application
from server.register_simulator.people import Mode, Script, SimulatedPerson, SimulatedRegister
from server.settings.credential import RegisterKind, RegisterSettings, register_mistakes
from tests.integration.credentials.made_up import a_template
from tests.support.credentials import an_id_number_of
from tests.support.http import served

PORTRAIT = b"a portrait"
NUMBER, OTHER = an_id_number_of(date(1962, 5, 4)), an_id_number_of(date(1971, 1, 9))
SHEN = SimulatedPerson(id_number=NUMBER, name="沈知秋", region="330100", portrait=PORTRAIT)
LU = SimulatedPerson(id_number=OTHER, name="陆望舒", region="330100")


def enroll(picture: bytes) -> Template:
    """Make a template of the one portrait there is."""
    if picture != PORTRAIT:
        raise FrameUndecodableError(detail="no face")
    return a_template(7)


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=1) as pool:
        yield pool


def asking(
    register: SimulatedRegister,
    executor: ThreadPoolExecutor,
    *,
    token: str = "",
    bears: str = "",
    at_once_max: int = 4,
    within: timedelta = timedelta(seconds=30),
    answer_after: timedelta = timedelta(),
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AbstractAsyncContextManager[HttpRegister]:
    """Serve a register on loopback, and return the port that asks it."""
    return asking_whatever_is_at(
        application(register, token=token),
        executor,
        bears=bears,
        at_once_max=at_once_max,
        within=within,
        answer_after=answer_after,
        pause=pause,
    )


@asynccontextmanager
async def asking_whatever_is_at(
    app: Starlette,
    executor: ThreadPoolExecutor,
    *,
    bears: str = "",
    at_once_max: int = 4,
    within: timedelta = timedelta(seconds=30),
    answer_after: timedelta = timedelta(),
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncIterator[HttpRegister]:
    """Do the same with what is no register."""
    async with served(app) as address:
        headers = {"authorization": f"Bearer {bears}"} if bears else {}
        asks = HttpRegister(
            client=httpx.AsyncClient(base_url=f"http://{address}", headers=headers, trust_env=False),
            enroll=enroll,
            executor=executor,
            at_once_max=at_once_max,
            within=within,
            answer_after=answer_after,
            pause=pause,
        )
        try:
            yield asks
        finally:
            await asks.close()


async def test_it_knows_who_has_both_name_and_number_and_makes_a_template_of_the_portrait(
    executor: ThreadPoolExecutor,
) -> None:
    async with asking(SimulatedRegister((SHEN, LU)), executor) as register:
        found = await register.find(id_number=NUMBER, name=" 沈知秋 ", with_face=True)
        without = await register.find(id_number=NUMBER, name="沈知秋", with_face=False)
        wrong = [
            await register.find(id_number=OTHER, name="沈知秋", with_face=True),
            await register.find(id_number=an_id_number_of(date(1999, 9, 9)), name="沈知秋", with_face=True),
        ]
        with pytest.raises(IdNumberInvalidError):
            await register.find(id_number="990000196205040000", name="沈知秋", with_face=True)

    assert found is not None
    assert without is not None
    assert (found.born, found.region, found.is_ours) == (date(1962, 5, 4), "330100", False)
    assert found.template is not None
    assert without.template is None
    assert wrong == [None, None]
    assert NUMBER not in repr(found)


async def test_a_changed_name_or_number_is_told_with_the_number_of_before(executor: ThreadPoolExecutor) -> None:
    simulated = SimulatedRegister((SHEN,))
    new = an_id_number_of(date(1962, 5, 4))
    async with asking(simulated, executor) as register:
        simulated.put(SimulatedPerson(id_number=new, name="沈知夏", region="330100", former_id_numbers=(NUMBER,)))
        found = await register.find(id_number=new, name="沈知夏", with_face=True)
        gone = await register.find(id_number=NUMBER, name="沈知秋", with_face=True)

    assert found is not None
    assert found.former_id_numbers == (NUMBER,)
    assert found.template is not None
    assert gone is None


GUARDIAN = Identity(id_number=NUMBER, name="沈知秋")
XI = SimulatedPerson(
    id_number=an_id_number_of(date(2018, 6, 1)), name="沈溪", region="330100", guardians=(GUARDIAN.id_number,)
)


async def test_a_child_is_found_for_its_guardian_and_for_nobody_else(executor: ThreadPoolExecutor) -> None:
    simulated = SimulatedRegister((SHEN, LU, XI))
    async with asking(simulated, executor) as register:

        async def ward(guardian: Identity, **changes: str) -> Registered | None:
            asked = {"id_number": XI.id_number, "name": XI.name, **changes}
            return await register.find_ward(**asked, guardian=guardian)

        found = await ward(GUARDIAN)
        refused = [
            await ward(Identity(id_number=OTHER, name="陆望舒")),  # somebody, and not theirs
            await ward(Identity(id_number=NUMBER, name="陆望舒")),  # the right number under another name
            await ward(GUARDIAN, name="沈小溪"),
            await ward(GUARDIAN, id_number=OTHER, name="陆望舒"),  # not a child of theirs
        ]

    assert found is not None
    assert (found.id_number, found.template) == (XI.id_number, None)
    assert refused == [None] * 4
    assert simulated.questions == 5  # each is one question, whatever is wrong


@pytest.mark.parametrize("said", [None, {"id_number": OTHER, "name": "陆望舒"}, True])
@pytest.mark.parametrize("agrees", [True, False])
async def test_i10_a_register_that_does_not_say_whose_guardian_it_means_vouches_for_nobody(
    executor: ThreadPoolExecutor, said: object, *, agrees: bool
) -> None:
    """As one does that knows nothing of guardians: to a stranger it tells by no answer whose name and number agree."""
    person = {"id_number": XI.id_number, "name": XI.name, "born": XI.born, "region": XI.region}
    answer = ({"agrees": True, "person": person} if agrees else {"agrees": False}) | (
        {} if said is None else {"guardian": said}
    )

    async def find(_request: Request) -> Response:
        return Response(json.dumps(answer), media_type="application/json")

    app = Starlette(routes=[Route(PATH, find, methods=["POST"])])
    async with asking_whatever_is_at(app, executor) as register:
        with pytest.raises(RegisterUnavailableError):
            await register.find_ward(id_number=XI.id_number, name=XI.name, guardian=GUARDIAN)


@pytest.mark.parametrize("mode", [Mode.DOWN, Mode.GARBLED, Mode.OTHER_PERSON, Mode.SLOW])
async def test_i10_down_slow_garbled_or_about_somebody_else_vouches_for_nobody(
    executor: ThreadPoolExecutor, mode: Mode
) -> None:
    simulated = SimulatedRegister((SHEN, LU, XI), Script(mode=mode, delay_ms=5_000))
    async with asking(simulated, executor, within=timedelta(seconds=1)) as register:
        with pytest.raises(RegisterUnavailableError):
            await register.find(id_number=NUMBER, name="沈知秋", with_face=True)
        with pytest.raises(RegisterUnavailableError):
            await register.find_ward(id_number=XI.id_number, name=XI.name, guardian=GUARDIAN)


async def test_i10_nobody_there_and_a_refused_token_vouch_for_nobody(executor: ThreadPoolExecutor) -> None:
    async with asking(SimulatedRegister((SHEN,)), executor, token="right", bears="wrong") as register:
        with pytest.raises(RegisterUnavailableError):
            await register.find(id_number=NUMBER, name="沈知秋", with_face=False)
    async with asking(SimulatedRegister((SHEN,)), executor, token="right", bears="right") as register:
        assert await register.find(id_number=NUMBER, name="沈知秋", with_face=False) is not None
        address = str(register._client.base_url)  # noqa: SLF001 - where nobody will listen in a moment
    gone = HttpRegister(
        client=httpx.AsyncClient(base_url=address, trust_env=False),
        enroll=enroll,
        executor=executor,
        at_once_max=1,
        within=timedelta(seconds=30),
        answer_after=timedelta(),
    )
    with pytest.raises(RegisterUnavailableError) as refused:
        await gone.find(id_number=NUMBER, name="沈知秋", with_face=False)
    await gone.close()

    assert NUMBER not in str(refused.value)


async def test_i11_more_questions_at_once_than_it_may_ask_are_refused(executor: ThreadPoolExecutor) -> None:
    slow = SimulatedRegister((SHEN,), Script(mode=Mode.SLOW, delay_ms=200))
    async with asking(slow, executor, at_once_max=2) as register:
        outcomes = await asyncio.gather(
            *(register.find(id_number=NUMBER, name="沈知秋", with_face=False) for _ in range(5)),
            return_exceptions=True,
        )

    assert sum(isinstance(outcome, RegisterUnavailableError) for outcome in outcomes) == 3
    assert slow.questions == 2


async def test_i11_an_answer_that_unpacks_to_more_than_it_is_vouches_for_nobody(executor: ThreadPoolExecutor) -> None:
    packed = gzip.compress(gzip.compress(b" " * 50_000_000))  # some hundred bytes
    encodings: list[str] = []

    async def find(request: Request) -> Response:
        encodings.append(request.headers["accept-encoding"])
        return Response(packed, headers={"content-encoding": "gzip, gzip"})

    app = Starlette(routes=[Route(PATH, find, methods=["POST"])])
    async with asking_whatever_is_at(app, executor) as register:
        tracemalloc.start()
        with pytest.raises(RegisterUnavailableError):
            await register.find(id_number=NUMBER, name="沈知秋", with_face=False)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert encodings == ["identity"]
    assert most < ANSWER_BYTES_MAX


async def test_i09_who_is_known_is_told_no_sooner_than_who_is_not(executor: ThreadPoolExecutor) -> None:
    """A portrait takes its time to come and to be looked at, and a terminal could measure that."""
    paused: list[float] = []

    async def pause(seconds: float) -> None:
        paused.append(seconds)

    hour = timedelta(hours=1)
    async with asking(SimulatedRegister((SHEN, LU, XI)), executor, answer_after=hour, pause=pause) as register:
        for number, name in ((NUMBER, "沈知秋"), (OTHER, "陆望舒"), (NUMBER, "别人"), (XI.id_number, "别人")):
            await register.find(id_number=number, name=name, with_face=True)
        await register.find(id_number=NUMBER, name="沈知秋", with_face=False)

    assert len(paused) == 4  # with portrait, without, and twice nobody; of no face nothing is told
    assert all(hour.total_seconds() - 60 < seconds < hour.total_seconds() for seconds in paused)


async def test_a_portrait_without_a_good_face_is_none(executor: ThreadPoolExecutor) -> None:
    blurred = SimulatedPerson(id_number=NUMBER, name="沈知秋", region="330100", portrait=b"a blur")
    async with asking(SimulatedRegister((blurred,)), executor) as register:
        found = await register.find(id_number=NUMBER, name="沈知秋", with_face=True)

    assert found is not None
    assert found.template is None


@pytest.mark.parametrize(
    ("url", "is_right"),
    [
        ("https://register.example:8443", True),
        ("http://127.0.0.1:9000", True),
        ("http://register.example", False),
        ("https://me:secret@register.example", False),
        ("", False),
    ],
)
def test_the_address_of_a_register_is_https_and_holds_no_password(url: str, *, is_right: bool) -> None:
    mistakes = list(register_mistakes(RegisterSettings(kind=RegisterKind.HTTP, url=url)))

    assert (not mistakes) is is_right
    assert "secret" not in " ".join(mistakes)


def test_the_simulator_is_a_process_that_can_be_steered(tmp_path: Path) -> None:
    people, ready = tmp_path / "people.toml", tmp_path / "ready.json"
    people.write_text(f'[[people]]\nid_number = "{NUMBER}"\nname = "沈知秋"\nregion = "330100"\n', encoding="utf-8")
    question = {"id_number": NUMBER, "name": "沈知秋", "with_face": False}
    command = [sys.executable, "-m", "server", "register-sim", "--people", str(people), "--ready-file", str(ready)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr is not None
            assert b"1 people" in process.stderr.readline()
            while not ready.exists():
                assert process.poll() is None
            base = f"http://{json.loads(ready.read_bytes())['address']}"
            with httpx.Client(base_url=base, trust_env=False, timeout=30) as client:
                up = client.post("/v1/people/find", json=question)
                client.put("/sim/script", json={"mode": "down"})
                down = client.post("/v1/people/find", json=question)
                refused = client.post(
                    "/sim/people", json={"id_number": "110101195503076622", "name": "x", "region": "1"}
                )
                state = client.get("/sim/state").json()
        finally:
            process.terminate()

    assert up.json()["person"]["born"] == "1962-05-04"
    assert (down.status_code, refused.status_code) == (503, 400)
    assert state == {"people": 1, "questions": 2, "mode": "down"}
