"""Tries are counted in the database: for all terminals and replicas together, and telling nothing."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from server.faces.errors import FaceTriesSpentError
from server.faces.tries import FaceTries, TryBound, TryKind
from server.store.tables.faces import face_tries
from tests.support.clock import Clock
from tests.support.database import Database

HOUR = timedelta(hours=1)
WHO = "990000195101010016"


def a_counter(tries_max: int = 3) -> FaceTries:
    bound = TryBound(tries_max=tries_max, within=HOUR)
    return FaceTries(index_key=b"i" * 32, bounds=dict.fromkeys(TryKind, bound))


def session(number: int) -> str:
    return f"01980000-0000-7000-8000-{number:012d}"


def test_so_many_tries_are_granted_over_all_terminals_and_then_none_until_time_has_passed(database: Database) -> None:
    clock = Clock()
    tries = a_counter()
    with database.engine.begin() as connection:
        for number in range(3):
            tries.take(connection, TryKind.CLAIM, WHO, session_id=session(number), now=clock.now())
            clock.advance(timedelta(minutes=10))
        another_replica = a_counter()

        with pytest.raises(FaceTriesSpentError) as refused:
            another_replica.take(connection, TryKind.CLAIM, WHO, session_id=session(3), now=clock.now())

        assert refused.value.retry_after == timedelta(minutes=30)
        clock.advance(timedelta(minutes=30))
        tries.take(connection, TryKind.CLAIM, WHO, session_id=session(4), now=clock.now())


def test_a_session_that_ended_well_gives_its_tries_back(database: Database) -> None:
    clock = Clock()
    tries = a_counter()
    with database.engine.begin() as connection:
        for number in range(10):
            tries.take(connection, TryKind.CLAIM, WHO, session_id=session(number), now=clock.now())
            tries.give_back(connection, session(number))

        assert connection.execute(select(face_tries)).all() == []


def test_who_looks_like_another_does_not_wipe_out_guesses_at_them_with_the_own_number(database: Database) -> None:
    clock = Clock()
    tries = a_counter(tries_max=3)
    both = [(TryKind.GUESS, "she"), (TryKind.GUESS, "her twin"), (TryKind.TERMINAL_GUESS, "terminal")]
    with database.engine.begin() as connection:
        granted = []
        for number in range(4):
            granted.append(tries.take_if_all_may(connection, both, session_id=session(number), now=clock.now()))
            clock.advance(timedelta(seconds=1))
            tries.take_if_all_may(connection, both, session_id=session(number), now=clock.now())
            tries.give_back(connection, session(number), person_id="her twin")  # the second answer was their own

        assert granted == [True, True, True, False]
        assert not tries.may(connection, TryKind.GUESS, "she", now=clock.now())
        assert tries.may(connection, TryKind.GUESS, "her twin", now=clock.now())
        assert tries.may(connection, TryKind.TERMINAL_GUESS, "terminal", now=clock.now())


def test_each_kind_and_each_person_is_counted_apart(database: Database) -> None:
    clock = Clock()
    tries = a_counter(tries_max=1)
    with database.engine.begin() as connection:
        for kind, subject in ((TryKind.CLAIM, "a"), (TryKind.CLAIM, "b"), (TryKind.GUESS, "a")):
            tries.take(connection, kind, subject, session_id=session(1), now=clock.now())

        with pytest.raises(FaceTriesSpentError):
            tries.refuse_spent(connection, TryKind.GUESS, "a", now=clock.now())
        tries.refuse_spent(connection, TryKind.GUESS, "b", now=clock.now())


def test_of_several_tries_each_must_be_within_its_bound_and_a_lock_does_not_grow(database: Database) -> None:
    clock = Clock()
    tries = a_counter(tries_max=2)
    guesses = [(TryKind.GUESS, "she"), (TryKind.TERMINAL_GUESS, "terminal")]
    with database.engine.begin() as connection:
        granted = [
            tries.take_if_all_may(connection, guesses, session_id=session(number), now=clock.now())
            for number in range(20)
        ]

        assert granted == [True] * 2 + [False] * 18
        assert len(connection.execute(select(face_tries)).all()) == 4


def test_i07_the_table_tells_nobody_who_tried_and_forgets_in_time(database: Database) -> None:
    clock = Clock()
    tries = a_counter()
    with database.engine.begin() as connection:
        tries.take(connection, TryKind.CLAIM, WHO, session_id=session(1), now=clock.now())
    written = database.bytes_on_disk()
    clock.advance(2 * HOUR)
    with database.engine.begin() as connection:
        tries.take(connection, TryKind.CLAIM, "another", session_id=session(2), now=clock.now())

        assert WHO.encode() not in written
        assert [str(row.session_id) for row in connection.execute(select(face_tries))] == [session(2)]
