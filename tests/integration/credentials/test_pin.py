"""A PIN may be tried a few times, however the tries are sent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, select, update

from server.credentials import Pins
from server.credentials.errors import (
    CredentialError,
    PinCheckBusyError,
    PinLockedError,
    PinMissingError,
    PinWrongError,
)
from server.store import StoreFailedError, UnitOfWork
from server.store.tables.people import person_pins
from tests.integration.credentials.made_up import DATA_KEY, PIN, a_credentials_bench, a_person
from tests.support.clock import Clock
from tests.support.database import a_database, a_unit_of_work

LOCK = timedelta(hours=1)
WRONG = "314159"


@asynccontextmanager
async def pins_of_one_person(
    folder: Path, *, data_key: bytes = DATA_KEY, waiting_max: int = 32
) -> AsyncIterator[tuple[Pins, str, Clock, UnitOfWork]]:
    bench = a_credentials_bench()
    engine = a_database(folder)
    with engine.begin() as connection:
        person_id = a_person(bench.people, connection, pin=PIN).person_id
    async with a_unit_of_work(engine) as unit_of_work:
        pins = Pins(
            unit_of_work=unit_of_work, now=bench.clock.now, data_key=data_key, attempts_max=3, lock_for=LOCK,
            waiting_max=waiting_max,
        )  # fmt: skip
        yield pins, person_id, bench.clock, unit_of_work
        pins.close()


async def attempts_left_after(pins: Pins, person_id: str) -> int:
    with pytest.raises(PinWrongError) as caught:
        await pins.verify(person_id, WRONG)
    return caught.value.attempts_left


async def test_the_right_pin_passes_and_clears_the_count(tmp_path: Path) -> None:
    async with pins_of_one_person(tmp_path) as (pins, person_id, _, _):
        assert await attempts_left_after(pins, person_id) == 2
        assert await attempts_left_after(pins, person_id) == 1
        await pins.verify(person_id, PIN)

        assert await attempts_left_after(pins, person_id) == 2


async def test_the_last_wrong_pin_locks_until_the_deadline(tmp_path: Path) -> None:
    async with pins_of_one_person(tmp_path) as (pins, person_id, clock, _):
        for _ in range(2):
            await attempts_left_after(pins, person_id)
        with pytest.raises(PinLockedError) as caught:
            await pins.verify(person_id, WRONG)
        assert caught.value.until == clock.now() + LOCK

        clock.advance(LOCK - timedelta(seconds=1))
        with pytest.raises(PinLockedError):
            await pins.verify(person_id, PIN)
        clock.advance(timedelta(seconds=1))
        assert await attempts_left_after(pins, person_id) == 2
        await pins.verify(person_id, PIN)


async def test_the_last_attempt_may_still_be_right(tmp_path: Path) -> None:
    async with pins_of_one_person(tmp_path) as (pins, person_id, _, _):
        for _ in range(2):
            await attempts_left_after(pins, person_id)

        await pins.verify(person_id, PIN)
        await pins.verify(person_id, PIN)


async def test_guesses_sent_side_by_side_get_no_more_attempts(tmp_path: Path) -> None:
    """Sixteen guesses at once, the right one last: only three are looked at, and none of those is right."""
    async with pins_of_one_person(tmp_path) as (pins, person_id, _, _):
        guesses = [f"{number:06d}" for number in range(15)] + [PIN]

        results = await asyncio.gather(*(pins.verify(person_id, guess) for guess in guesses), return_exceptions=True)

        assert [type(result) for result in results] == [PinWrongError] * 2 + [PinLockedError] * 14


async def test_an_attempt_counts_even_if_the_terminal_goes_away(tmp_path: Path) -> None:
    async with pins_of_one_person(tmp_path) as (pins, person_id, _, unit_of_work):
        attempt = asyncio.ensure_future(pins.verify(person_id, WRONG))

        def attempts(connection: Connection) -> int:
            counted: int = connection.execute(select(person_pins.c.attempts)).scalar_one()
            return counted

        async with asyncio.timeout(5):
            while await unit_of_work.read(attempts) == 0:
                pass
        attempt.cancel()
        await asyncio.gather(attempt, return_exceptions=True)

        assert await attempts_left_after(pins, person_id) == 1


async def test_a_pin_that_cannot_be_counted_is_not_looked_at(tmp_path: Path) -> None:
    async with pins_of_one_person(tmp_path) as (pins, person_id, _, unit_of_work):
        unit_of_work.close()

        with pytest.raises(StoreFailedError):
            await pins.verify(person_id, PIN)


async def test_a_person_without_a_pin_has_none(tmp_path: Path) -> None:
    async with pins_of_one_person(tmp_path) as (pins, _, _, _):
        with pytest.raises(PinMissingError):
            await pins.verify("nobody", PIN)


async def test_too_many_checks_at_once_are_busy_and_cost_no_attempt(tmp_path: Path) -> None:
    async with pins_of_one_person(tmp_path, waiting_max=1) as (pins, person_id, _, _):
        results = await asyncio.gather(*(pins.verify(person_id, PIN) for _ in range(3)), return_exceptions=True)

        assert [type(result) for result in results] == [type(None), PinCheckBusyError, PinCheckBusyError]
        assert await attempts_left_after(pins, person_id) == 2


async def test_a_stolen_database_without_the_key_does_not_tell_the_pin(tmp_path: Path) -> None:
    async with pins_of_one_person(tmp_path, data_key=b"x" * 32) as (pins, person_id, _, _):
        with pytest.raises(PinWrongError):
            await pins.verify(person_id, PIN)


async def test_a_hash_copied_to_another_person_fits_nobody(tmp_path: Path) -> None:
    async with pins_of_one_person(tmp_path) as (pins, person_id, _, unit_of_work):
        bench = a_credentials_bench()

        def copy(connection: Connection) -> str:
            other = a_person(bench.people, connection, serial=2, name="某丙").person_id
            connection.execute(update(person_pins).where(person_pins.c.person_id == person_id).values(person_id=other))
            return other

        other = await unit_of_work.write(copy)

        with pytest.raises(CredentialError) as caught:
            await pins.verify(other, PIN)
        assert isinstance(caught.value, PinWrongError)
