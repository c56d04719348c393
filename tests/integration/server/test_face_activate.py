"""A face that is compared with the register: whom it names, what it signs, and that nothing is vouched for in doubt."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import Connection, func, select

from face_pipeline import Assurance, Modality, Outcome
from server.credentials.errors import RegisterUnavailableError
from server.credentials.register import Registered
from server.faces.errors import CameraInsufficientError, FaceTriesSpentError
from server.store.tables.people import consents, face_assertions
from shualian.terminal.v1 import face_pb2, types_pb2
from tests.support.credentials import RegisterInMemory, registered
from tests.support.database import SqliteDatabase
from tests.support.face_window import Window, a_session, a_template, a_verdict, a_window, decided

DEPTH = frozenset({Modality.DEPTH})


@pytest.fixture
async def window(sqlite_database: SqliteDatabase) -> AsyncIterator[Window]:
    """Return a window whose register is our own people."""
    async with a_window(sqlite_database) as opened:
        yield opened


def to_activate(window: Window, *, id_number: str, name: str) -> face_pb2.Start:
    return window.start(
        purpose=face_pb2.PURPOSE_ACTIVATE,
        claimed_identity=types_pb2.ClaimedIdentity(id_number=id_number, name=name),
    )


async def test_a_face_that_activates_is_good_for_no_money_and_names_them_masked(window: Window) -> None:
    identity = await window.unit_of_work.read(lambda c: window.people.identity(c, window.person.person_id))
    start = to_activate(window, id_number=identity.id_number, name=identity.name)
    claimant = await window.desk.consented(window.caller, a_session(window), start)

    decision = await decided(window, start, claimant, a_verdict(Outcome.MATCHED, Assurance.SOLID))

    pending = await window.unit_of_work.read(
        lambda c: window.activations.check(c, decision.assertion, terminal_id=window.caller.terminal_id)
    )
    assert (decision.amount_limit_fen, decision.pin_free_limit_fen, decision.staff_may_confirm) == (0, 0, False)
    assert decision.person.name == window.person.masked_name
    assert (pending.claims.person_id, pending.template) == (window.person.person_id, None)
    assert await window.rows(select(func.count()).select_from(face_assertions)) == [(0,)]


async def test_somebody_who_is_only_in_the_register_is_compared_with_its_portrait(
    sqlite_database: SqliteDatabase,
) -> None:
    who = registered(template=a_template(5))
    async with a_window(sqlite_database, register=RegisterInMemory(who)) as window:
        start = to_activate(window, id_number=who.id_number, name=who.name)
        claimant = await window.desk.consented(window.caller, a_session(window), start)
        decision = await decided(window, start, claimant, a_verdict(Outcome.MATCHED, Assurance.SOLID))
        pending = await window.unit_of_work.read(
            lambda c: window.activations.check(c, decision.assertion, terminal_id=window.caller.terminal_id)
        )
        people = await window.rows(select(consents.c.person_id))

    assert claimant.template is who.template
    assert claimant.person is None
    assert (pending.name, pending.id_number) == (who.name, who.id_number)
    assert pending.template is not None
    assert people == [(None,)]  # named by the activation
    assert who.name not in str(decision)


async def test_i09_name_and_number_that_do_not_agree_are_answered_as_another_face(window: Window) -> None:
    identity = await window.unit_of_work.read(lambda c: window.people.identity(c, window.person.person_id))
    start = to_activate(window, id_number=identity.id_number, name="别人")
    claimant = await window.desk.consented(window.caller, a_session(window), start)

    decision = await decided(window, start, claimant, a_verdict(Outcome.MATCHED, Assurance.SOLID))

    assert decision.outcome == face_pb2.DECISION_OUTCOME_NOT_MATCHED
    assert (decision.assertion, decision.person.name) == ("", "")


async def test_i10_without_the_register_nobody_is_looked_at(sqlite_database: SqliteDatabase) -> None:
    register = RegisterInMemory()
    register.is_down = True
    async with a_window(sqlite_database, register=register) as window:
        who = registered()
        start = to_activate(window, id_number=who.id_number, name=who.name)
        with pytest.raises(RegisterUnavailableError):
            await window.desk.consented(window.caller, a_session(window), start)
        written = await window.rows(select(func.count()).select_from(consents))

    assert written == [(0,)]


async def test_who_has_no_try_left_is_refused_before_the_register_is_asked(sqlite_database: SqliteDatabase) -> None:
    """Or how long the answer takes would tell, as often as anybody likes, whether name and number agree."""
    who, asked = registered(template=a_template(5)), list[str]()

    class Counting(RegisterInMemory):
        async def find(self, *, id_number: str, name: str, with_face: bool) -> Registered | None:
            asked.append(id_number)
            return await super().find(id_number=id_number, name=name, with_face=with_face)

    def spent(_connection: Connection) -> None:
        raise FaceTriesSpentError(retry_after=timedelta(minutes=1), other_ways=())

    async with a_window(sqlite_database, register=Counting(who)) as window:
        start = to_activate(window, id_number=who.id_number, name=who.name)
        with pytest.raises(FaceTriesSpentError):
            await window.desk.consented(window.caller, a_session(window), start, also=spent)

    assert asked == []


async def test_a_register_that_is_down_costs_nobody_a_try(sqlite_database: SqliteDatabase) -> None:
    register, told = RegisterInMemory(), list[str]()
    register.is_down = True
    async with a_window(sqlite_database, register=register) as window:
        who = registered()
        with pytest.raises(RegisterUnavailableError):
            await window.desk.consented(
                window.caller,
                a_session(window),
                to_activate(window, id_number=who.id_number, name=who.name),
                also=lambda _: told.append("taken"),
                undone=lambda _: told.append("given back"),
            )

    assert told == ["taken", "given back"]


async def test_who_cannot_move_activates_before_a_camera_that_sees_depth_alone(window: Window) -> None:
    start = to_activate(window, id_number="990000196205040012", name="某")

    with pytest.raises(CameraInsufficientError):
        window.rule(start, cannot_move=True, beside=frozenset({Modality.NIR}))
    unmoved = window.rule(start, cannot_move=True, beside=DEPTH)
    moved = window.rule(start, beside=DEPTH)

    assert (unmoved.plan.turns, unmoved.required) == (0, DEPTH)
    assert moved.plan.turns > 0
    assert {limits.amount_limit_fen for limits in moved.by_standing.values()} == {0}
