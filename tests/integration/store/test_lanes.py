"""Three lanes for reading: what takes long never stands in the way of what decides who is let in."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import Connection

from server.store import EventFollower, StoreBusyError, WalkUnderWayError, announce
from tests.support.database import Database, a_unit_of_work
from tests.support.events import Ear
from tests.support.lanes import held

AT_ONCE = timedelta(milliseconds=10)


async def test_i02_the_registry_is_followed_while_every_other_read_takes_long(database: Database) -> None:
    ear = Ear()
    async with (
        a_unit_of_work(database.engine, readers=1) as unit_of_work,
        held(unit_of_work.read),
        held(unit_of_work.walk),
    ):
        follower = EventFollower(unit_of_work, poll_interval=AT_ONCE, on_events=ear.hear)
        await asyncio.wait_for(follower.mark(), 30)
        following = asyncio.ensure_future(follower.run())
        await unit_of_work.write(lambda connection: announce(connection, "terminal", "shut out"))

        assert await ear.until(1) == ["shut out"]
        following.cancel()


async def test_a_second_walk_is_told_to_come_back_and_reads_go_on(database: Database) -> None:
    async with a_unit_of_work(database.engine, readers=1) as unit_of_work:
        async with held(unit_of_work.walk) as first:
            with pytest.raises(WalkUnderWayError):
                await unit_of_work.walk(lambda _: "never", patience=AT_ONCE)
            assert await asyncio.wait_for(unit_of_work.read(lambda _: "read"), 30) == "read"
        assert first.result() == "done"

        assert await unit_of_work.walk(lambda _: "next", patience=AT_ONCE) == "next"


async def test_a_patient_walk_gets_its_turn(database: Database) -> None:
    async with a_unit_of_work(database.engine) as unit_of_work:
        async with held(unit_of_work.walk):
            waiting = asyncio.ensure_future(unit_of_work.walk(lambda _: "mine", patience=timedelta(minutes=1)))
            await asyncio.sleep(0.02)
            assert not waiting.done()

        assert await waiting == "mine"


async def test_a_walk_whose_caller_left_is_still_the_only_one(database: Database) -> None:
    async with a_unit_of_work(database.engine) as unit_of_work:
        async with held(unit_of_work.walk) as left:
            left.cancel()
            await asyncio.wait([left])
            with pytest.raises(WalkUnderWayError):
                await unit_of_work.walk(lambda _: "never", patience=AT_ONCE)

        assert await unit_of_work.walk(lambda _: "next", patience=timedelta(seconds=5)) == "next"


async def test_a_walk_that_fails_makes_room_for_the_next(database: Database) -> None:
    def fail(_: Connection) -> None:
        raise LookupError

    async with a_unit_of_work(database.engine) as unit_of_work:
        with pytest.raises(LookupError):
            await unit_of_work.walk(fail)

        assert await unit_of_work.walk(lambda _: "next", patience=AT_ONCE) == "next"


@pytest.mark.parametrize("lane", ["read", "read_at_once", "walk"])
async def test_i11_each_lane_has_a_bound_of_its_own(database: Database, lane: str) -> None:
    async with a_unit_of_work(database.engine, queue_length_max=1) as unit_of_work:
        busy = getattr(unit_of_work, lane)
        async with held(busy):
            with pytest.raises(StoreBusyError):
                await busy(lambda _: "one too many")
            others = [getattr(unit_of_work, name) for name in {"read", "read_at_once", "walk"} - {lane}]
            assert [await other(lambda _: "fine") for other in others] == ["fine", "fine"]
