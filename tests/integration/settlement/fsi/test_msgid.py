"""Message ids come from the database and never collide: not in one second, over replicas, restarts or a wrong clock."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from server.settlement.insurers.fsi.errors import MessageIdsExhaustedError
from server.settlement.insurers.fsi.msgid import next_msgid
from server.settlement.insurers.fsi.profile import MsgidSettings, StampForm
from server.store.tables.fsi import fsi_sequences
from tests.support.clock import Clock
from tests.support.database import Database
from tests.support.fsi import NOW

INSTITUTION = "H99010000001"
SETTINGS = MsgidSettings()


def ids(database: Database, clock: Clock, count: int, *, settings: MsgidSettings = SETTINGS) -> list[str]:
    """Return new ids, all of one transaction."""
    with database.engine.begin() as connection:
        return [
            next_msgid(connection, institution=INSTITUTION, now=clock.now(), settings=settings) for _ in range(count)
        ]


def test_an_id_is_institution_moment_in_china_and_number(database: Database) -> None:
    clock = Clock(NOW)

    first, second = ids(database, clock, 2)
    clock.advance(timedelta(seconds=1))
    (third,) = ids(database, clock, 1)

    assert [first, second, third] == [
        "H99010000001202603021600000001",
        "H99010000001202603021600000002",
        "H99010000001202603021600010001",
    ]
    assert len(first) == 30


def test_a_province_lays_them_out_otherwise(database: Database) -> None:
    settings = MsgidSettings(parts=("stamp", "institution", "sequence"), separator="-", stamp=StampForm.YEAR_2)

    assert ids(database, Clock(NOW), 1, settings=settings) == ["260302160000-H99010000001-0001"]


def test_a_clock_that_goes_back_repeats_no_id(database: Database) -> None:
    clock = Clock(NOW)
    before = ids(database, clock, 3)

    clock.advance(-timedelta(minutes=10))
    after = ids(database, clock, 3)

    assert len({*before, *after}) == 6
    assert max(before) < min(after)


def test_more_than_a_second_holds_begin_the_next_second_early(database: Database) -> None:
    ids(database, Clock(NOW), 1)
    with database.engine.begin() as connection:
        connection.execute(update(fsi_sequences).values(number=9_998))

    found = ids(database, Clock(NOW), 3)

    assert [each[-10:] for each in found] == ["1600009999", "1600010001", "1600010002"]


def test_ids_far_ahead_of_the_clock_are_refused(database: Database) -> None:
    clock = Clock(NOW)
    (before,) = ids(database, clock, 1)
    clock.advance(-timedelta(hours=1, seconds=1))

    with pytest.raises(MessageIdsExhaustedError):
        ids(database, clock, 1)
    clock.set(NOW)
    assert ids(database, clock, 1) != [before]


def test_a_rolled_back_number_was_never_given_out_and_each_institution_counts_for_itself(database: Database) -> None:
    (first,) = ids(database, Clock(NOW), 1)
    with database.engine.connect() as connection:
        lost = next_msgid(connection, institution=INSTITUTION, now=NOW, settings=SETTINGS)
        other = next_msgid(connection, institution="P99010000002", now=NOW, settings=SETTINGS)

    assert ids(database, Clock(NOW), 1) == [lost]
    assert (first[-4:], other[-4:]) == ("0001", "0001")


def test_two_replicas_take_turns(database: Database) -> None:
    another = database.another_engine()
    found = []
    for engine in (database.engine, another) * 5:
        with engine.begin() as connection:
            found.append(next_msgid(connection, institution=INSTITUTION, now=NOW, settings=SETTINGS))

    assert len(set(found)) == 10
    assert found == sorted(found)
