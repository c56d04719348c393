"""A PIN may be tried a few times, however the tries are sent."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from time import process_time

import pytest
from sqlalchemy import Connection, select, update

from device_registry.tables import audit_log
from server.credentials import Pins
from server.credentials.errors import (
    CredentialError,
    PinCheckBusyError,
    PinLockedError,
    PinMissingError,
    PinTriesSpentError,
    PinWrongError,
)
from server.store import StoreFailedError, UnitOfWork
from server.store.tables.people import person_pins
from server.store.writer import Batch
from tests.integration.credentials.made_up import DATA_KEY, PIN, a_credentials_bench, a_person
from tests.support.clock import Clock
from tests.support.database import Database, a_unit_of_work, locked

LOCK = timedelta(hours=1)
WRONG = "314159"
TERMINAL = "01980000-0000-7000-8000-00000000a001"


@asynccontextmanager
async def pins_of_one_person(
    database: Database,
    *,
    data_key: bytes = DATA_KEY,
    waiting_max: int = 32,
    on_batch: Callable[[Batch], None] = lambda _: None,
) -> AsyncIterator[tuple[Pins, str, Clock, UnitOfWork]]:
    bench = a_credentials_bench()
    engine = database.engine
    with engine.begin() as connection:
        person_id = a_person(bench.people, connection, pin=PIN).person_id
    async with a_unit_of_work(engine, on_batch=on_batch) as unit_of_work:
        pins = Pins(
            unit_of_work=unit_of_work, now=bench.clock.now, data_key=data_key, attempts_max=3, lock_for=LOCK,
            waiting_max=waiting_max,
        )  # fmt: skip
        yield pins, person_id, bench.clock, unit_of_work
        pins.close()


async def attempts_of(unit_of_work: UnitOfWork, person_id: str) -> int:
    """Return how many attempts are counted."""
    counted = select(person_pins.c.attempts).where(person_pins.c.person_id == person_id)
    return await unit_of_work.read(lambda connection: connection.execute(counted).scalar_one())


async def counted(batches: asyncio.Queue[Batch]) -> None:
    """Wait for the commit that counts an attempt.

    Whoever comes back from here comes before the clearing, however short the hash was: that is written from the event
    loop too, and only after another thread has told it what came of the hash.
    """
    assert (await batches.get()).committed


async def attempts_left_after(pins: Pins, person_id: str, unit_of_work: UnitOfWork) -> int:
    """Give a wrong PIN and return how many attempts are left of three."""
    with pytest.raises(PinWrongError):
        await pins.verify(person_id, WRONG, terminal_id=TERMINAL)
    return 3 - await attempts_of(unit_of_work, person_id)


async def test_the_right_pin_passes_and_clears_the_count(database: Database) -> None:
    async with pins_of_one_person(database) as (pins, person_id, _, unit_of_work):
        assert await attempts_left_after(pins, person_id, unit_of_work) == 2
        assert await attempts_left_after(pins, person_id, unit_of_work) == 1
        await pins.verify(person_id, PIN, terminal_id=TERMINAL)

        assert await attempts_left_after(pins, person_id, unit_of_work) == 2


async def test_the_last_wrong_pin_locks_until_the_deadline(database: Database) -> None:
    async with pins_of_one_person(database) as (pins, person_id, clock, unit_of_work):
        for _ in range(2):
            await attempts_left_after(pins, person_id, unit_of_work)
        with pytest.raises(PinLockedError) as caught:
            await pins.verify(person_id, WRONG, terminal_id=TERMINAL)
        assert caught.value.until == clock.now() + LOCK

        clock.advance(LOCK - timedelta(seconds=1))
        with pytest.raises(PinLockedError):
            await pins.verify(person_id, PIN, terminal_id=TERMINAL)
        clock.advance(timedelta(seconds=1))
        assert await attempts_left_after(pins, person_id, unit_of_work) == 2
        await pins.verify(person_id, PIN, terminal_id=TERMINAL)


async def test_the_last_attempt_may_still_be_right(database: Database) -> None:
    async with pins_of_one_person(database) as (pins, person_id, _, unit_of_work):
        for _ in range(2):
            await attempts_left_after(pins, person_id, unit_of_work)

        await pins.verify(person_id, PIN, terminal_id=TERMINAL)
        await pins.verify(person_id, PIN, terminal_id=TERMINAL)


async def test_guesses_sent_side_by_side_get_no_more_attempts(database: Database) -> None:
    """Sixteen guesses at once, the right one last: only three are looked at, and none of those is right."""
    async with pins_of_one_person(database) as (pins, person_id, _, _):
        guesses = [f"{number:06d}" for number in range(15)] + [PIN]

        results = await asyncio.gather(
            *(pins.verify(person_id, guess, terminal_id=f"terminal {guess}") for guess in guesses),
            return_exceptions=True,
        )

        assert [type(result) for result in results] == [PinWrongError] * 2 + [PinLockedError] * 14


async def test_an_attempt_counts_even_if_the_terminal_goes_away(database: Database) -> None:
    batches: asyncio.Queue[Batch] = asyncio.Queue()
    async with pins_of_one_person(database, on_batch=batches.put_nowait) as (pins, person_id, _, unit_of_work):
        attempt = asyncio.ensure_future(pins.verify(person_id, WRONG, terminal_id=TERMINAL))

        await counted(batches)
        attempt.cancel()
        await asyncio.gather(attempt, return_exceptions=True)

        assert await attempts_left_after(pins, person_id, unit_of_work) == 1


async def test_a_pin_that_cannot_be_counted_is_not_looked_at(database: Database) -> None:
    async with pins_of_one_person(database) as (pins, person_id, _, unit_of_work):
        unit_of_work.close()

        with pytest.raises(StoreFailedError):
            await pins.verify(person_id, PIN, terminal_id=TERMINAL)


async def test_a_person_without_a_pin_has_none(database: Database) -> None:
    async with pins_of_one_person(database) as (pins, _, _, _):
        with pytest.raises(PinMissingError):
            await pins.verify("nobody", PIN, terminal_id=TERMINAL)


async def test_too_many_checks_at_once_are_busy_and_cost_no_attempt(database: Database) -> None:
    async with pins_of_one_person(database, waiting_max=1) as (pins, person_id, _, unit_of_work):
        results = await asyncio.gather(
            *(pins.verify(person_id, PIN, terminal_id=TERMINAL) for _ in range(3)), return_exceptions=True
        )

        assert [type(result) for result in results] == [type(None), PinCheckBusyError, PinCheckBusyError]
        assert await attempts_left_after(pins, person_id, unit_of_work) == 2


async def test_a_stolen_database_without_the_key_does_not_tell_the_pin(database: Database) -> None:
    async with pins_of_one_person(database, data_key=b"x" * 32) as (pins, person_id, _, _):
        with pytest.raises(PinWrongError):
            await pins.verify(person_id, PIN, terminal_id=TERMINAL)


async def test_a_hash_copied_to_another_person_fits_nobody(database: Database) -> None:
    async with pins_of_one_person(database) as (pins, person_id, _, unit_of_work):
        bench = a_credentials_bench()

        def copy(connection: Connection) -> str:
            other = a_person(bench.people, connection, serial=2, name="某丙").person_id
            connection.execute(update(person_pins).where(person_pins.c.person_id == person_id).values(person_id=other))
            return other

        other = await unit_of_work.write(copy)

        with pytest.raises(CredentialError) as caught:
            await pins.verify(other, PIN, terminal_id=TERMINAL)
        assert isinstance(caught.value, PinWrongError)


@asynccontextmanager
async def busy_store_pins(
    database: Database, *, on_batch: Callable[[Batch], None]
) -> AsyncIterator[tuple[Pins, str, UnitOfWork]]:
    """Yield PINs over a database that gives up on a lock after 20 ms."""
    bench = a_credentials_bench()
    engine = database.engine
    with engine.begin() as connection:
        person_id = a_person(bench.people, connection, pin=PIN).person_id
    impatient = database.another_engine(busy_timeout=timedelta(milliseconds=20))
    async with a_unit_of_work(impatient, on_batch=on_batch) as unit_of_work:
        pins = Pins(unit_of_work=unit_of_work, now=bench.clock.now, data_key=DATA_KEY, attempts_max=3, lock_for=LOCK)
        yield pins, person_id, unit_of_work
        pins.close()


async def test_a_right_pin_uses_no_attempt_up_while_another_process_holds_the_database(database: Database) -> None:
    batches: asyncio.Queue[Batch] = asyncio.Queue()
    async with busy_store_pins(database, on_batch=batches.put_nowait) as (pins, person_id, unit_of_work):
        checking = asyncio.ensure_future(pins.verify(person_id, PIN, terminal_id=TERMINAL))
        await counted(batches)
        with locked(database):
            assert not (await batches.get()).committed  # clearing it has failed at least once
        await checking

        assert await attempts_of(unit_of_work, person_id) == 0


async def test_a_right_pin_uses_no_attempt_up_when_the_terminal_hangs_up(database: Database) -> None:
    batches: asyncio.Queue[Batch] = asyncio.Queue()
    async with pins_of_one_person(database, on_batch=batches.put_nowait) as (pins, person_id, _, unit_of_work):
        checking = asyncio.ensure_future(pins.verify(person_id, PIN, terminal_id=TERMINAL))
        await counted(batches)
        checking.cancel()
        await asyncio.gather(checking, return_exceptions=True)
        await pins.drain()

        assert await attempts_of(unit_of_work, person_id) == 0


async def test_i11_one_terminal_cannot_take_all_the_waiting_places(database: Database) -> None:
    async with pins_of_one_person(database) as (pins, person_id, _, unit_of_work):
        greedy = [pins.verify("nobody", WRONG, terminal_id=TERMINAL) for _ in range(5)]
        results = await asyncio.gather(
            *greedy, pins.verify(person_id, PIN, terminal_id="another terminal"), return_exceptions=True
        )

        assert [type(result) for result in results] == [PinMissingError] * 3 + [PinCheckBusyError] * 2 + [type(None)]
        assert await attempts_of(unit_of_work, person_id) == 0


async def test_i11_a_terminal_that_was_wrong_too_often_waits_and_no_other(database: Database) -> None:
    async with pins_of_one_person(database) as (pins, person_id, clock, unit_of_work):
        for _ in range(20):
            with pytest.raises(PinWrongError):
                await pins.verify_cardholder(None, WRONG, terminal_id=TERMINAL)
        with pytest.raises(PinTriesSpentError) as caught:
            await pins.verify(person_id, PIN, terminal_id=TERMINAL)
        await pins.verify(person_id, PIN, terminal_id="another terminal")
        clock.advance(caught.value.retry_after)
        await pins.verify(person_id, PIN, terminal_id=TERMINAL)

        assert await attempts_of(unit_of_work, person_id) == 0
        assert await audited(unit_of_work, "pin_tries_spent") == [(f"terminal:{TERMINAL}", TERMINAL)]


async def test_a_lock_is_audited_with_the_terminal_it_came_from(database: Database) -> None:
    async with pins_of_one_person(database) as (pins, person_id, _, unit_of_work):
        for _ in range(2):
            await attempts_left_after(pins, person_id, unit_of_work)
        assert await audited(unit_of_work, "pin_locked") == []
        with pytest.raises(PinLockedError):
            await pins.verify(person_id, WRONG, terminal_id=TERMINAL)

        assert await audited(unit_of_work, "pin_locked") == [(f"terminal:{TERMINAL}", person_id)]


async def audited(unit_of_work: UnitOfWork, action: str) -> list[tuple[str, str]]:
    """Return actor and subject of all entries about an action."""
    entries = select(audit_log.c.actor, audit_log.c.subject).where(audit_log.c.action == action)
    return await unit_of_work.read(lambda connection: [(row.actor, row.subject) for row in connection.execute(entries)])


async def test_a_card_of_nobody_and_a_holder_without_a_pin_are_answered_as_a_wrong_pin(database: Database) -> None:
    seconds: dict[str | None, list[float]] = {}
    async with pins_of_one_person(database) as (pins, person_id, _, unit_of_work):
        for number, holder in enumerate((person_id, None, "without a PIN") * 2):
            began = process_time()  # of the work that is done, whatever else the machine does
            with pytest.raises(PinWrongError) as caught:
                await pins.verify_cardholder(holder, WRONG, terminal_id=f"terminal {number}")
            seconds.setdefault(holder, []).append(process_time() - began)
            assert vars(caught.value) == {}
        assert await attempts_of(unit_of_work, person_id) == 2

    # A hash that is left out costs a hundredth; beside busy neighbours the same one may cost twice what it did before.
    assert min(seconds[None]) > min(seconds[person_id]) / 4
    assert min(seconds["without a PIN"]) > min(seconds[person_id]) / 4
