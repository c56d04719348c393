"""The challenge on the real models: who does as asked passes, who only pretends does not."""

import pytest

from face_pipeline import (
    Action,
    Assurance,
    Challenge,
    FacePolicy,
    Outcome,
    Progress,
    Reason,
)
from mock_terminal.scenes import Scene
from tests.support.heads import (
    FRAMES_PER_SECOND,
    HER,
    START,
    TRUSTING,
    Head,
    a_frame,
    a_session,
    a_session_under,
    asked,
    shown,
)


def test_a_turn_to_the_other_side_does_not_pass() -> None:
    verdict = Head(wrong_way=True).visit(a_session())

    assert (verdict.outcome, verdict.similarity) == (Outcome.INSUFFICIENT, None)
    assert verdict.liveness.reasons == (Reason.WRONG_TURN,)


def test_i10_a_face_that_never_turns_is_never_accepted() -> None:
    verdict = Head(still=True).visit(a_session(), frames=15)

    assert (verdict.outcome, verdict.similarity) == (Outcome.INSUFFICIENT, None)
    assert verdict.liveness.reasons == (Reason.CHALLENGE_NOT_DONE,)


def test_a_screen_that_pleases_the_passive_model_is_ended_by_its_flat_turn() -> None:
    verdict = Head(scene=Scene.SCREEN_REPLAY).visit(a_session_under(TRUSTING), frames=60)

    assert (verdict.outcome, verdict.liveness.reasons) == (Outcome.SPOOF_SUSPECTED, (Reason.FLAT_TURN,))
    assert verdict.frames_used < 60  # five seconds, not twenty


@pytest.mark.parametrize(
    "challenge",
    [
        asked(Action.TURN_LEFT, Action.NOD, Action.TURN_RIGHT),
        asked(Action.COME_CLOSER, Action.TURN_RIGHT, Action.TURN_LEFT),
        asked(Action.NOD, Action.TURN_RIGHT, Action.NOD, Action.TURN_LEFT),
    ],
)
def test_whoever_nods_and_comes_closer_as_asked_is_matched(challenge: Challenge) -> None:
    verdict = Head().visit(a_session(challenge), frames=60)

    assert (verdict.outcome, verdict.assurance) == (Outcome.MATCHED, Assurance.COLOUR)
    assert verdict.liveness.challenge_passed


def test_a_print_that_is_tilted_in_the_hand_does_not_nod() -> None:
    verdict = Head(scene=Scene.FLAT_PHOTO).visit(a_session_under(TRUSTING, asked(Action.NOD)), frames=20)

    assert verdict.outcome is not Outcome.MATCHED
    assert not verdict.liveness.challenge_passed


def test_a_turn_in_the_place_of_a_nod_does_not_pass() -> None:
    shows = [*[(HER, 0.0)] * 5, *[(HER, yaw) for yaw in (8.0, 16.0, 24.0, 32.0, 36.0)]]

    verdict = shown(shows, a_session(asked(Action.NOD)))

    assert (verdict.outcome, verdict.liveness.reasons) == (Outcome.INSUFFICIENT, (Reason.WRONG_TURN,))


def test_somebody_who_cannot_move_is_watched_for_longer_and_it_is_told() -> None:
    verdict = Head().visit(a_session(asked()), frames=60)

    assert (verdict.outcome, verdict.assurance) == (Outcome.MATCHED, Assurance.COLOUR_UNMOVED)
    assert not verdict.liveness.challenge_passed
    assert verdict.frames_used > FRAMES_PER_SECOND * FacePolicy().unmoved_span.total_seconds()


def test_many_frames_in_no_time_are_not_a_long_look() -> None:
    session = a_session(asked())
    answers = [session.feed(a_frame(sequence, at=START)) for sequence in range(1, 20)]

    assert all(isinstance(answer, Progress) for answer in answers)
    assert session.expire().liveness.reasons == (Reason.WATCHED_TOO_SHORT,)
