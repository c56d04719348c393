"""Identification as a running server does it: from sealed templates, kept true by events, on both databases."""

import asyncio

import pytest

from face_pipeline.frames import Template
from face_pipeline.gallery import Candidate, ExactIndex, GalleryIndex, Identification
from server.config import GalleryScope
from server.credentials.errors import SiteGalleryFullError
from server.faces.errors import GalleryNotReadyError, GalleryOverfullError
from server.faces.galleries import Galleries
from server.store import announce
from tests.support.database import Database
from tests.support.gallery import (
    FAR_REGION,
    HARBOUR,
    HILL,
    LAYOUT,
    OPERATOR,
    REGION,
    Replica,
    Town,
    a_face,
    a_replica,
    a_town,
    an_id_number,
    another_look,
    until,
)


@pytest.fixture
def town(database: Database) -> Town:
    town = a_town()
    with database.engine.begin() as connection:
        town.furnish(connection)
    return town


async def found(replica: Replica, seed: int, *, site_id: str = HARBOUR, region: str = REGION) -> list[str]:
    identification = await replica.galleries.identify(another_look(seed), site_id=site_id, region=region)
    return [candidate.person_id for candidate in identification.candidates]


async def test_a_face_is_found_among_the_people_of_its_site_and_at_no_other(database: Database, town: Town) -> None:
    with database.engine.begin() as connection:
        one, other = town.enroll(connection, 1), town.enroll(connection, 2, site_id=HILL)

    async with a_replica(database.another_engine(), town) as replica:
        await replica.ready()

        assert await found(replica, 1) == [one.person_id]
        assert await found(replica, 2, site_id=HILL) == [other.person_id]
        assert await found(replica, 2) == []
        assert await found(replica, 1, site_id=HILL) == []
        assert await found(replica, 3) == []
        assert await found(replica, 1, site_id="no such site") == []


async def test_a_region_may_be_one_gallery_and_then_the_sites_do_not_matter(database: Database, town: Town) -> None:
    with database.engine.begin() as connection:
        near = town.enroll(connection, 1, site_id=None)
        town.enroll(connection, 2, site_id=HARBOUR, region=FAR_REGION)

    async with a_replica(database.another_engine(), town, scope=GalleryScope.REGION) as replica:
        await replica.ready()

        assert await found(replica, 1, site_id=HILL) == [near.person_id]
        assert await found(replica, 2) == []
        assert await found(replica, 1, region=FAR_REGION) == []


async def test_i10_nobody_is_identified_before_everybody_is_loaded(database: Database, town: Town) -> None:
    with database.engine.begin() as connection:
        town.enroll(connection, 1)

    async with a_replica(database.another_engine(), town) as replica:
        with pytest.raises(GalleryNotReadyError):
            await found(replica, 1)
        await replica.ready()
        assert await found(replica, 1)

        replica.galleries.take_up_anew()

        with pytest.raises(GalleryNotReadyError):
            await found(replica, 1)


async def test_every_replica_follows_who_is_enrolled_moved_changed_and_forgotten(
    database: Database, town: Town
) -> None:
    async with (
        a_replica(database.another_engine(), town) as here,
        a_replica(database.another_engine(), town) as there,
    ):
        await here.ready()
        await there.ready()
        with database.engine.begin() as connection:
            person_id = town.enroll(connection, 1).person_id
        for replica in (here, there):
            await until_people(replica, 1)
            assert await found(replica, 1) == [person_id]

        with database.engine.begin() as connection:
            town.people.look_for_at(connection, person_id=person_id, site_id=HILL, actor=OPERATOR)
        for replica in (here, there):
            await until_people(replica, 2)
            assert await found(replica, 1, site_id=HILL) == [person_id]

        anew = Template(embedding=a_face(7), model_id=LAYOUT.model_id)
        with database.engine.begin() as connection:
            town.people.remember_face(connection, person_id=person_id, template=anew, actor=OPERATOR)
        for replica in (here, there):
            await until_found(replica, 7, [person_id])
            assert await found(replica, 1) == []

        with database.engine.begin() as connection:
            town.people.forget_face(connection, person_id=person_id, actor=OPERATOR, reason="asked for")
        for replica in (here, there):
            await until_people(replica, 0)
            assert await found(replica, 7) == []


async def test_a_deletion_that_is_rolled_back_forgets_nobody(database: Database, town: Town) -> None:
    with database.engine.begin() as connection:
        person_id = town.enroll(connection, 1).person_id
    async with a_replica(database.another_engine(), town) as replica:
        await replica.ready()
        with database.engine.connect() as connection, connection.begin() as begun:
            town.people.forget_face(connection, person_id=person_id, actor=OPERATOR)
            begun.rollback()
        with database.engine.begin() as connection:
            town.enroll(connection, 2)
        await until(lambda: replica.galleries.people == 2)

        assert await found(replica, 1) == [person_id]


async def test_after_missed_events_everybody_is_looked_at_again(database: Database, town: Town) -> None:
    """What `take_up_anew` is for: a change of which no event was ever seen."""
    with database.engine.begin() as connection:
        person_id = town.enroll(connection, 1).person_id
    async with a_replica(database.another_engine(), town) as replica:
        await replica.ready()
        outside = database.outside()
        outside.execute("DELETE FROM face_templates")
        assert await found(replica, 1) == [person_id]

        replica.galleries.take_up_anew()
        await replica.ready()

        assert await found(replica, 1) == []


async def test_a_load_that_was_overtaken_is_not_believed(database: Database, town: Town) -> None:
    """Changes were missed while everybody was being loaded: what was read before them may be of people who are gone."""
    with database.engine.begin() as connection:
        people = [town.enroll(connection, seed).person_id for seed in range(2)]
    loop, outside = asyncio.get_running_loop(), database.outside()
    galleries: list[Galleries] = []

    def overtaken(_place: str) -> GalleryIndex:
        outside.execute(f"DELETE FROM face_templates WHERE person_id = '{people[1]}'")  # noqa: S608 - our own id
        loop.call_soon_threadsafe(galleries[0].take_up_anew)
        galleries.append(galleries[0])
        return ExactIndex(LAYOUT)

    async with a_replica(
        database.another_engine(),
        town,
        make_index=lambda place: overtaken(place) if len(galleries) == 1 else ExactIndex(LAYOUT),
    ) as replica:
        galleries.append(replica.galleries)
        await until(lambda: len(galleries) > 1)
        await replica.ready()

        assert await found(replica, 0) == [people[0]]
        assert await found(replica, 1) == []


async def test_above_the_bound_nobody_is_identified_until_somebody_leaves(database: Database, town: Town) -> None:
    with database.engine.begin() as connection:
        people = [town.enroll(connection, seed).person_id for seed in range(4)]
        elsewhere = town.enroll(connection, 9, site_id=HILL).person_id

    async with a_replica(database.another_engine(), town, people_max=3) as replica:
        await replica.ready()
        for seed in range(4):
            with pytest.raises(GalleryOverfullError):
                await found(replica, seed)
        assert await found(replica, 9, site_id=HILL) == [elsewhere]

        with database.engine.begin() as connection:
            town.people.forget_face(connection, person_id=people[0], actor=OPERATOR)
        await until_found(replica, 3, [people[3]])

        assert [await found(replica, seed) for seed in range(4)] == [[], [people[1]], [people[2]], [people[3]]]


def test_no_more_people_are_linked_to_a_site_than_are_safe(database: Database) -> None:
    town = a_town(site_people_max=2)
    with database.engine.begin() as connection:
        town.furnish(connection)
        first = town.enroll(connection, 1)
        town.enroll(connection, 2)
        third = town.enroll(connection, 3, site_id=HILL)

        with pytest.raises(SiteGalleryFullError):
            town.people.look_for_at(connection, person_id=third.person_id, site_id=HARBOUR, actor=OPERATOR)
        assert not town.people.look_for_at(connection, person_id=first.person_id, site_id=HARBOUR, actor=OPERATOR)
        assert town.people.look_for_at(connection, person_id=first.person_id, site_id=HILL, actor=OPERATOR)


async def test_a_template_that_finds_nobody_keeps_nobody_else_from_being_found(database: Database, town: Town) -> None:
    with database.engine.begin() as connection:
        town.enroll(connection, 1, model_id="an older model@0")
        broken = town.enroll(connection, 2).person_id
        whole = town.enroll(connection, 3).person_id
    mark = "%s" if database.kind == "postgresql" else "?"
    nothing = f"UPDATE face_templates SET sealed = {mark} WHERE person_id = {mark}"  # noqa: S608 - the driver's mark
    database.outside().execute(nothing, (b"\x02nonsense", broken))

    async with a_replica(database.another_engine(), town) as replica:
        await replica.ready()

        assert replica.galleries.people == 1
        assert await found(replica, 3) == [whole]


async def test_twins_are_told_apart_by_the_second_factor(database: Database, town: Town) -> None:
    twin_face = another_look(1, noise=0.3, day=5)
    with database.engine.begin() as connection:
        one = town.enroll(connection, 1, phone="+86 138-0000-1111")
        other = town.enroll(connection, 2, face=twin_face, phone="13800002222")

    async with a_replica(database.another_engine(), town) as replica:
        await replica.ready()
        seen = await replica.galleries.identify(another_look(1), site_id=HARBOUR, region=REGION)
        settle = replica.identifier.settle

        assert seen.is_ambiguous
        assert {candidate.person_id for candidate in seen.candidates} == {one.person_id, other.person_id}
        assert await settle(seen, "ID_NUMBER_LAST_FOUR", an_id_number(1)[-4:]) == one
        assert await settle(seen, "ID_NUMBER_LAST_FOUR", an_id_number(2)[-4:].lower()) == other
        assert await settle(seen, "PHONE_LAST_FOUR", "１１１１") == one  # full-width, as some keyboards type
        assert await settle(seen, "PHONE_LAST_FOUR", "2222") == other


async def test_i10_a_second_factor_that_fits_nobody_or_two_settles_on_nobody(database: Database, town: Town) -> None:
    same_end = [number for number in map(_ending_in_0011, range(2_000)) if number][:2]
    with database.engine.begin() as connection:
        one = town.enroll(connection, 1, id_number=same_end[0], phone="13800001111")
        other = town.enroll(connection, 2, id_number=same_end[1])
        third = town.enroll(connection, 3)
    twins = _of(one.person_id, other.person_id)

    async with a_replica(database.another_engine(), town) as replica:
        settle = replica.identifier.settle

        assert await settle(twins, "ID_NUMBER_LAST_FOUR", same_end[0][-4:]) is None
        assert await settle(_of(one.person_id), "ID_NUMBER_LAST_FOUR", same_end[0][-4:]) == one
        assert await settle(_of(third.person_id), "ID_NUMBER_LAST_FOUR", same_end[0][-4:]) is None
        assert await settle(_of(), "ID_NUMBER_LAST_FOUR", same_end[0][-4:]) is None
        assert await settle(twins, "PHONE_LAST_FOUR", "1111") == one
        for wrong in ("", "111", "11111", "    ", same_end[0], "9999", "É111"):
            assert await settle(twins, "PHONE_LAST_FOUR", wrong) is None
        with pytest.raises(ValueError, match="SHOE_SIZE"):
            await settle(twins, "SHOE_SIZE", "0042")


async def test_a_face_forgotten_a_moment_ago_settles_on_nobody(database: Database, town: Town) -> None:
    """Also on a server that has not followed yet: the database is asked."""
    with database.engine.begin() as connection:
        person = town.enroll(connection, 1)
    async with a_replica(database.another_engine(), town) as replica:
        last_four = an_id_number(1)[-4:]
        assert await replica.identifier.settle(_of(person.person_id), "ID_NUMBER_LAST_FOUR", last_four) == person

        with database.engine.begin() as connection:
            town.people.forget_face(connection, person_id=person.person_id, actor=OPERATOR)

        assert await replica.identifier.settle(_of(person.person_id), "ID_NUMBER_LAST_FOUR", last_four) is None


async def test_events_about_other_things_do_not_wake_the_galleries(database: Database, town: Town) -> None:
    async with a_replica(database.another_engine(), town) as replica:
        await replica.ready()
        with database.engine.begin() as connection:
            announce(connection, "terminal", "t-1")
            announce(connection, "face", "a person who is not there")
        await asyncio.sleep(0.1)

        assert replica.galleries.people == 0


async def until_people(replica: Replica, people: int) -> None:
    await until(lambda: replica.galleries.people == people)


async def until_found(replica: Replica, seed: int, wanted: list[str]) -> None:
    while True:
        try:
            if await found(replica, seed) == wanted:
                return
        except (GalleryNotReadyError, GalleryOverfullError):
            pass
        await asyncio.sleep(0.01)


def _of(*person_ids: str) -> Identification:
    candidates = tuple(Candidate(person_id=person_id, similarity=0.8) for person_id in person_ids)
    return Identification(candidates=candidates, margin=None)


def _ending_in_0011(day: int) -> str:
    """Return the ID number of somebody born on one of two thousand days, if it happens to end in 0011."""
    from server.credentials.identity import checksum  # noqa: PLC0415 - for this alone

    digits = f"999999{19000000 + day * 3 + 10101:08d}001"
    return digits + "1" if checksum(digits) == "1" else ""
