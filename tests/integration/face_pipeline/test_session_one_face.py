"""One face from the first picture to the last: nobody inherits what another has shown."""

from datetime import timedelta

import pytest

from face_pipeline import (
    FacePolicy,
    Guidance,
    Outcome,
    Progress,
    Reason,
    Verdict,
)
from mock_terminal.camera import Camera, encode
from mock_terminal.scenes import Scene
from tests.support.heads import (
    HER,
    OTHER,
    START,
    Head,
    a_frame,
    a_session,
    a_session_judged,
    a_session_that_counts,
    mixed,
    picture,
    portrait_of,
    shown,
)


def test_a_face_that_is_exchanged_in_the_turn_is_a_suspected_spoof() -> None:
    verdict = Head(becomes=OTHER).visit(a_session())

    assert (verdict.outcome, verdict.similarity) == (Outcome.SPOOF_SUSPECTED, None)
    assert verdict.liveness.reasons[0] == Reason.IDENTITY_CHANGED


def test_a_lost_face_takes_its_evidence_with_it() -> None:
    session = a_session()
    for sequence in range(1, 5):
        session.feed(a_frame(sequence))
    empty = picture(HER, Scene.LIVE_HEAD, 1, 0.0, light=0.0)

    answers = [session.feed(a_frame(sequence, jpeg=empty + bytes([sequence]))) for sequence in range(5, 10)]

    assert isinstance(answers[0], Progress)
    assert isinstance(answers[-1], Progress)
    assert (answers[0].guidance, answers[0].good_frames) == (Guidance.NO_FACE, 4)
    assert answers[-1].good_frames == 0


def test_i09_liveness_of_one_face_does_not_speak_for_another() -> None:
    """His living face fills the session, hers is shown in single pictures at the right moments."""
    his = [(OTHER, 0.0)]
    shows = [*his * 6, (HER, 0.0), (HER, 10.0), (HER, 18.0), *his, (HER, 33.0), *his, (HER, -10.0), (HER, -18.0)]

    verdict = shown([*shows, *his, (HER, -33.0), *his * 6])

    assert (verdict.outcome, verdict.similarity) == (Outcome.SPOOF_SUSPECTED, None)
    assert verdict.liveness.reasons[0] == Reason.IDENTITY_CHANGED


def test_i09_a_face_that_takes_anothers_place_inherits_nothing() -> None:
    session = a_session()
    for sequence in range(1, 7):
        session.feed(a_frame(sequence, jpeg=picture(OTHER, Scene.LIVE_HEAD, sequence, 0.0)))

    answer = session.feed(a_frame(7))

    assert isinstance(answer, Progress)
    assert (answer.good_frames, answer.action_index) == (1, 0)


def test_i09_three_pictures_of_the_right_person_are_not_a_visit() -> None:
    verdict = shown([*[(OTHER, 0.0)] * 6, (HER, 0.0), (HER, 30.0), (OTHER, 0.0), (HER, -30.0), (OTHER, 0.0)])

    assert verdict.outcome is not Outcome.MATCHED
    assert verdict.similarity is None
    assert not verdict.liveness.challenge_passed


@pytest.mark.parametrize(
    ("at_rest", "turned", "done"),
    [(0.95, 0.95, 1), (0.95, 0.45, 0), (0.65, 0.65, 1), (0.65, 0.2, 0), (0.01, 0.95, 0)],
)
def test_i09_a_picture_less_alive_than_the_rest_of_the_visit_is_not_built_on(
    at_rest: float, turned: float, done: int
) -> None:
    yaws = [0.0] * 8 + [6.0, 12.0, 18.0, 24.0, 30.0, 36.0, 36.0]
    session = a_session_judged([at_rest if yaw < 20 else turned for yaw in yaws])

    for sequence, yaw in enumerate(yaws, 1):
        answer = session.feed(a_frame(sequence, jpeg=picture(HER, Scene.LIVE_HEAD, sequence, yaw)))
        if isinstance(answer, Verdict):
            break

    reached = answer.action_index if isinstance(answer, Progress) else 0
    assert reached == done


def test_losing_the_face_does_not_erase_suspicion() -> None:
    session = a_session_judged([0.01] * 60)
    answers: list[Progress | Verdict] = []
    sequence = 0
    while not (answers and isinstance(answers[-1], Verdict)) and sequence < 60:
        sequence += 1
        away = sequence % 8 > 3
        jpeg = picture(HER, Scene.LIVE_HEAD, sequence, 0.0, light=0.0 if away else 1.0) + bytes([sequence])
        answers.append(session.feed(a_frame(sequence, jpeg=jpeg)))

    verdict = answers[-1]
    assert isinstance(verdict, Verdict)
    assert (verdict.outcome, verdict.liveness.reasons) == (Outcome.SPOOF_SUSPECTED, (Reason.PASSIVE_LOW,))


def test_a_presence_that_breaks_off_again_and_again_is_a_suspected_spoof() -> None:
    session = a_session()
    step = FacePolicy().frame_gap_max + timedelta(milliseconds=100)

    answers = [session.feed(a_frame(sequence, at=START + sequence * step)) for sequence in range(1, 6)]

    assert all(isinstance(answer, Progress) and answer.good_frames == 1 for answer in answers[:-1])
    assert isinstance(answers[-1], Verdict)
    assert answers[-1].outcome is Outcome.SPOOF_SUSPECTED
    assert answers[-1].liveness.reasons == (Reason.PRESENCE_BROKEN,)


def test_a_gap_of_a_second_is_still_the_same_visit() -> None:
    session = a_session()
    session.feed(a_frame(1))

    answer = session.feed(a_frame(2, at=START + timedelta(seconds=1.1)))

    assert isinstance(answer, Progress)
    assert answer.good_frames == 2


def test_i09_a_print_of_a_mixed_face_does_not_make_the_living_attacker_a_match() -> None:
    """For half a second a still that is half hers and half his; then he does what is asked, himself."""
    still, him = Camera(mixed(HER, OTHER), scene=Scene.LIVE_HEAD, seed=3), Camera(portrait_of(OTHER), seed=3)
    yaws = [*[0.0] * 8, *range(0, 37, 6), *range(30, -37, -6)]
    session = a_session()

    answers = []
    for sequence, yaw in enumerate(yaws, 1):
        camera = still if sequence <= 6 else him
        answers.append(session.feed(a_frame(sequence, jpeg=encode(camera.frame(sequence / 10, float(yaw))))))
        if isinstance(answers[-1], Verdict):
            break

    verdict = answers[-1]
    assert isinstance(verdict, Verdict)
    assert verdict.outcome is not Outcome.MATCHED  # he lives, but the still was not him


def test_a_pose_that_the_passive_model_goes_on_refusing_is_embedded_once() -> None:
    rest, turning = [0.0] * 6, [6.0, 12.0, 18.0, 24.0]
    far = [30.0] * 6
    session, embedded = a_session_that_counts([1.0] * len(rest + turning) + [0.0] * len(far))

    shown([(HER, yaw) for yaw in rest + turning + far], session)

    assert len(embedded) == 2  # the face at rest, and the first of those that were refused
