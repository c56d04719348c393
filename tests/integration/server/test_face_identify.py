"""Who is looked for among many is asked for one more thing, and nobody learns whether a face is known."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import text

from server.config import GalleryScope
from server.faces.errors import GalleryOverfullError
from shualian.terminal.v1 import face_pb2
from tests.support.conversation import face_call
from tests.support.deployment import eventually
from tests.support.platform import (
    ACTOR,
    EnrolledTerminal,
    RunningPlatform,
    a_platform,
    a_registered_terminal,
    an_enrolled_terminal,
    faces,
    refusal,
)
from tests.support.visitors import LIN, MA, PHONE, Seen, Visitor, face_session, insured, start

WRONG = face_pb2.SecondFactor(kind=face_pb2.SECOND_FACTOR_KIND_PHONE_LAST_FOUR, value="0000")
PHONE_LAST_FOUR = face_pb2.SecondFactor(kind=face_pb2.SECOND_FACTOR_KIND_PHONE_LAST_FOUR, value=PHONE[-4:])
ID_NUMBER_LAST_FOUR = face_pb2.SecondFactor(
    kind=face_pb2.SECOND_FACTOR_KIND_ID_NUMBER_LAST_FOUR, value=LIN.id_number[-4:]
)


@pytest.fixture
async def terminal(running: RunningPlatform) -> EnrolledTerminal:
    return await a_terminal_that_knows_lin(running)


async def a_terminal_that_knows_lin(running: RunningPlatform) -> EnrolledTerminal:
    terminal = await an_enrolled_terminal(running)
    await insured(running, LIN, site_id=terminal.terminal.site_id)
    await eventually(lambda: running.platform.galleries.people == 1)
    return terminal


def looks_for(visitor: Visitor) -> face_pb2.AuthenticateRequest:
    """Open a session that looks for whoever comes; nobody is asked to move, so that it is short."""
    request = start(visitor, cannot_move=True)
    request.start.purpose = face_pb2.PURPOSE_IDENTIFY
    request.start.ClearField("claimed_identity")
    return request


async def identified(terminal: EnrolledTerminal, shows: Visitor, *answers: face_pb2.SecondFactor) -> Seen:
    return await face_session(terminal, claims=shows, shows=shows, opens=looks_for(shows), answers=answers)


@pytest.mark.parametrize("answer", [ID_NUMBER_LAST_FOUR, PHONE_LAST_FOUR], ids=["ID number", "phone"])
async def test_a_known_face_and_the_right_four_characters_are_a_match(
    running: RunningPlatform, terminal: EnrolledTerminal, answer: face_pb2.SecondFactor
) -> None:
    seen = await identified(terminal, LIN, answer)

    assert seen.decision.outcome == face_pb2.DECISION_OUTCOME_MATCHED
    assert seen.decision.person.name == "林*"
    assert seen.decision.assertion
    assert running.counted("face_second_factors_total", result="RIGHT") == 1
    assert running.counted("face_identifications_total", result="FOUND") == 1
    assert running.counted("face_sessions_total", region="330100", business_type="01301", outcome="MATCHED") == 1


async def test_a_slip_of_the_finger_is_forgiven_once(running: RunningPlatform, terminal: EnrolledTerminal) -> None:
    seen = await identified(terminal, LIN, WRONG, PHONE_LAST_FOUR)

    assert seen.decision.outcome == face_pb2.DECISION_OUTCOME_MATCHED
    assert [asked.tries_left for asked in seen.asked] == [2, 1]
    tries = await running.write(lambda connection: connection.scalar(text("SELECT count(*) FROM face_tries")))
    assert tries == 0  # what led to a match is forgotten


async def test_whether_a_face_is_known_is_not_told(terminal: EnrolledTerminal) -> None:
    known = await identified(terminal, LIN, WRONG, WRONG)
    stranger = await identified(terminal, MA, WRONG, WRONG)

    for seen in (known, stranger):
        seen.decision.ClearField("decision_time")
        seen.decision.ClearField("frames_used")
        for asked in seen.asked:
            asked.ClearField("deadline")
    assert known.decision == stranger.decision
    assert known.decision.outcome == face_pb2.DECISION_OUTCOME_NOT_MATCHED
    assert known.asked == stranger.asked


async def test_somebody_elses_four_characters_do_not_help(terminal: EnrolledTerminal) -> None:
    seen = await identified(terminal, MA, ID_NUMBER_LAST_FOUR, PHONE_LAST_FOUR)

    assert seen.decision.outcome == face_pb2.DECISION_OUTCOME_NOT_MATCHED


async def guessing(terminal: EnrolledTerminal, sessions: Sequence[tuple[face_pb2.SecondFactor, ...]]) -> list[int]:
    """Return how sessions with these guesses end."""
    return [(await identified(terminal, LIN, *answers)).decision.outcome for answers in sessions]


async def test_a_guesser_with_somebodys_face_is_locked_out_and_not_told() -> None:
    async with a_platform(face={"guesses_per_person_max": 2}) as running:
        terminal = await a_terminal_that_knows_lin(running)

        ends = await guessing(terminal, [(WRONG, WRONG), (PHONE_LAST_FOUR, PHONE_LAST_FOUR)])

        assert ends == [face_pb2.DECISION_OUTCOME_NOT_MATCHED] * 2  # the right answer comes too late
        assert running.counted("face_second_factors_total", result="WRONG") == 4


async def test_a_terminal_that_guesses_too_much_identifies_nobody_for_a_while() -> None:
    async with a_platform(face={"guesses_per_terminal_max": 2}) as running:
        terminal = await a_terminal_that_knows_lin(running)
        await guessing(terminal, [(WRONG, WRONG)])
        async with terminal.channel() as channel:
            call = face_call(channel)
            await call.write(looks_for(LIN))

            refused = refusal(await call.refused())
            assert refused.reason == "FACE_TRIES_SPENT"
            assert refused.retry_after
            assert refused.metadata["other_ways"] == "DYNAMIC_CODE,CARD_AND_PIN,FAMILY_ACCOUNT,COUNTER"


def is_overfull(running: RunningPlatform) -> bool:
    try:
        running.platform.galleries.refuse_unable(site_id="", region="330100")
    except GalleryOverfullError:
        return True
    return False


async def test_where_nobody_could_be_found_nobody_is_looked_at() -> None:
    async with a_platform(face={"gallery_people_max": 1, "gallery_scope": GalleryScope.REGION}) as running:
        terminal = await a_terminal_that_knows_lin(running)
        elsewhere = await a_registered_terminal(running, serial_number="SL-0002")
        await running.write(
            lambda connection: running.domain.people.add(
                connection, name=MA.name, id_number=MA.id_number, region="330100", card_number=None, pin=None,
                template=faces().enroll(LIN.jpeg), site_id=elsewhere.site_id, actor=ACTOR,
            )
        )  # fmt: skip

        await eventually(lambda: is_overfull(running))
        async with terminal.channel() as channel:
            call = face_call(channel)
            await call.write(looks_for(LIN))

            assert refusal(await call.refused()).reason == "GALLERY_OVERFULL"


async def test_nobody_who_says_nothing_is_identified() -> None:
    async with a_platform(face={"second_factor_within": timedelta(seconds=0.3)}) as running:
        terminal = await a_terminal_that_knows_lin(running)

        seen = await identified(terminal, LIN)

        assert seen.decision.outcome == face_pb2.DECISION_OUTCOME_NOT_MATCHED
        assert running.counted("face_second_factors_total", result="TIMEOUT") == 1
