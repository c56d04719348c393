"""Whole sessions on the real models, with the software camera before them."""

from dataclasses import replace
from datetime import timedelta

import cv2
import numpy as np
import pytest

from face_pipeline import (
    Challenge,
    FacePolicy,
    FrameOrderError,
    FrameTooLargeError,
    FrameUndecodableError,
    Guidance,
    Outcome,
    PolicyError,
    Progress,
    Reason,
    SessionEndedError,
    Template,
    TemplateModelError,
    Verdict,
)
from face_pipeline.decode import decode_frame
from face_pipeline.session import FaceSession
from mock_terminal.camera import encode
from mock_terminal.scenes import Scene
from tests.support.heads import (
    HER,
    LEFT_RIGHT,
    OTHER,
    RIGHT_LEFT,
    START,
    Head,
    a_frame,
    a_session,
    her_template,
    picture,
)
from tests.support.models import loaded_pipeline


@pytest.mark.parametrize("challenge", [LEFT_RIGHT, RIGHT_LEFT])
def test_the_enrolled_person_is_matched_after_turning_as_asked(challenge: Challenge) -> None:
    verdict = Head().visit(a_session(challenge))

    assert verdict.outcome is Outcome.MATCHED
    assert verdict.similarity is not None
    assert verdict.similarity > 0.8
    assert verdict.liveness.challenge_passed
    assert verdict.liveness.passive_median is not None
    assert verdict.liveness.passive_median > 0.9
    assert verdict.frames_used < 25
    assert set(verdict.stage_ms) == {"decode", "detect", "quality", "liveness", "embed"}
    assert verdict.policy_version == FacePolicy().version
    assert set(verdict.model_versions) == {"detection", "embedding", "liveness"}


def test_another_living_person_is_not_matched() -> None:
    verdict = Head(name=OTHER).visit(a_session())

    assert verdict.outcome is Outcome.NOT_MATCHED
    assert verdict.similarity is not None
    assert verdict.similarity < 0.3


def test_a_claim_that_nobody_is_known_under_ends_like_a_mismatch() -> None:
    session = loaded_pipeline().open_session(challenge=LEFT_RIGHT, template=None)

    verdict = Head().visit(session)

    assert (verdict.outcome, verdict.similarity) == (Outcome.NOT_MATCHED, None)
    assert verdict.liveness.challenge_passed


@pytest.mark.parametrize("scene", [Scene.FLAT_PHOTO, Scene.SCREEN_REPLAY])
def test_i09_a_suspected_spoof_of_the_right_person_learns_nothing_about_the_match(scene: Scene) -> None:
    verdict = Head(scene=scene).visit(a_session())

    assert verdict.outcome is Outcome.SPOOF_SUSPECTED
    assert verdict.similarity is None
    assert verdict.liveness.reasons == (Reason.PASSIVE_LOW,)


def test_a_face_that_is_exchanged_in_the_turn_is_a_suspected_spoof() -> None:
    verdict = Head(becomes=OTHER).visit(a_session())

    assert (verdict.outcome, verdict.similarity) == (Outcome.SPOOF_SUSPECTED, None)
    assert verdict.liveness.reasons == (Reason.IDENTITY_CHANGED,)


def test_a_turn_to_the_other_side_does_not_pass() -> None:
    verdict = Head(wrong_way=True).visit(a_session())

    assert (verdict.outcome, verdict.similarity) == (Outcome.INSUFFICIENT, None)
    assert verdict.liveness.reasons == (Reason.WRONG_TURN,)


def test_i10_a_face_that_never_turns_is_never_accepted() -> None:
    verdict = Head(still=True).visit(a_session(), frames=15)

    assert (verdict.outcome, verdict.similarity) == (Outcome.INSUFFICIENT, None)
    assert verdict.liveness.reasons == (Reason.CHALLENGE_NOT_DONE,)


def test_the_very_same_picture_again_proves_nothing() -> None:
    session = a_session()
    jpeg = picture(HER, Scene.LIVE_HEAD, 1, 0.0)

    answers = [session.feed(a_frame(sequence, jpeg=jpeg)) for sequence in range(1, 8)]

    assert all(isinstance(answer, Progress) and answer.good_frames == 1 for answer in answers)
    assert isinstance(answers[-1], Progress)
    assert answers[-1].guidance is Guidance.HOLD_STILL


@pytest.mark.parametrize(
    ("light", "zoom", "expected"),
    [
        (0.2, 1.0, Guidance.MORE_LIGHT),
        (2.2, 1.0, Guidance.LESS_LIGHT),
        (1.0, 0.3, Guidance.SEVERAL_FACES),
    ],
)
def test_the_guidance_names_what_is_wrong_with_the_picture(light: float, zoom: float, expected: Guidance) -> None:
    answer = a_session().feed(a_frame(jpeg=picture(HER, Scene.LIVE_HEAD, 1, 0.0, light=light, zoom=zoom)))

    assert isinstance(answer, Progress)
    assert (answer.guidance, answer.good_frames) == (expected, 0)


def test_a_face_too_far_away_is_asked_to_come_closer() -> None:
    near = decode_frame(picture(HER, Scene.LIVE_HEAD, 1, 0.0), FacePolicy())

    answer = a_session().feed(a_frame(jpeg=encode(np.asarray(cv2.resize(near, (200, 150)), np.uint8))))

    assert isinstance(answer, Progress)
    assert (answer.guidance, answer.good_frames) == (Guidance.COME_CLOSER, 0)


def test_a_face_at_the_edge_is_asked_to_the_middle() -> None:
    middle = decode_frame(picture(HER, Scene.LIVE_HEAD, 1, 0.0), FacePolicy())

    answer = a_session().feed(a_frame(jpeg=encode(np.asarray(middle[:, 290:], np.uint8))))

    assert isinstance(answer, Progress)
    assert answer.guidance is Guidance.CENTRE_FACE


@pytest.mark.parametrize("garbage", [b"", b"\xff\xd8\xff", b"no picture at all", bytes(1000)])
def test_garbage_is_refused_as_one_bad_frame_and_the_session_goes_on(garbage: bytes) -> None:
    session = a_session()

    with pytest.raises(FrameUndecodableError):
        session.feed(a_frame(1, jpeg=garbage))

    assert isinstance(session.feed(a_frame(2)), Progress)


def test_a_truncated_frame_is_refused() -> None:
    jpeg = picture(HER, Scene.LIVE_HEAD, 1, 0.0)

    with pytest.raises(FrameUndecodableError):
        a_session().feed(a_frame(jpeg=jpeg[: len(jpeg) // 2]))


def test_i11_a_frame_over_the_byte_bound_is_not_decoded() -> None:
    with pytest.raises(FrameTooLargeError) as caught:
        a_session().feed(a_frame(jpeg=bytes(FacePolicy().frame_bytes_max + 1)))

    assert caught.value.unit == "bytes"


def test_i11_too_many_bad_frames_end_the_session() -> None:
    session = a_session()
    for sequence in range(1, FacePolicy().bad_frames_max + 1):
        with pytest.raises(FrameUndecodableError):
            session.feed(a_frame(sequence, jpeg=b"garbage"))

    verdict = session.feed(a_frame(100, jpeg=b"garbage"))

    assert isinstance(verdict, Verdict)
    assert (verdict.outcome, verdict.liveness.reasons) == (Outcome.INSUFFICIENT, (Reason.BAD_FRAMES,))


def test_i11_a_session_looks_at_no_more_frames_than_the_policy_allows() -> None:
    verdict = Head(still=True).visit(_session_under(FacePolicy(frames_max=4)), frames=20)

    assert (verdict.outcome, verdict.frames_used) == (Outcome.INSUFFICIENT, 4)


def test_frames_must_rise_and_time_must_not_go_back() -> None:
    session = a_session()
    session.feed(a_frame(5))

    with pytest.raises(FrameOrderError):
        session.feed(a_frame(5))
    with pytest.raises(FrameOrderError):
        session.feed(a_frame(6, at=START - timedelta(seconds=1)))


def test_after_the_verdict_nothing_more_is_looked_at() -> None:
    session = a_session()
    first = session.expire()

    with pytest.raises(SessionEndedError):
        session.feed(a_frame(1))
    assert session.expire() is first
    assert first.liveness.reasons == (Reason.NO_FACE, Reason.FEW_GOOD_FRAMES, Reason.CHALLENGE_NOT_DONE)


def test_a_frame_taken_after_the_deadline_ends_the_session() -> None:
    session = a_session()
    session.feed(a_frame(1))

    verdict = session.feed(a_frame(2, at=START + timedelta(minutes=5)))

    assert isinstance(verdict, Verdict)
    assert verdict.outcome is Outcome.INSUFFICIENT


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

    verdict = _shown([*shows, *his, (HER, -33.0), *his * 6])

    assert (verdict.outcome, verdict.similarity) == (Outcome.SPOOF_SUSPECTED, None)
    assert verdict.liveness.reasons == (Reason.IDENTITY_CHANGED,)


def test_i09_a_face_that_takes_anothers_place_inherits_nothing() -> None:
    session = a_session()
    for sequence in range(1, 7):
        session.feed(a_frame(sequence, jpeg=picture(OTHER, Scene.LIVE_HEAD, sequence, 0.0)))

    answer = session.feed(a_frame(7))

    assert isinstance(answer, Progress)
    assert (answer.good_frames, answer.action_index) == (1, 0)


def test_i09_three_pictures_of_the_right_person_are_not_a_visit() -> None:
    verdict = _shown([*[(OTHER, 0.0)] * 6, (HER, 0.0), (HER, 30.0), (OTHER, 0.0), (HER, -30.0), (OTHER, 0.0)])

    assert verdict.outcome is not Outcome.MATCHED
    assert verdict.similarity is None
    assert not verdict.liveness.challenge_passed


def test_i09_a_frame_at_rest_that_looks_like_a_screen_is_never_the_one_that_is_matched() -> None:
    strict = FacePolicy(passive_rest_min=1.0)  # nothing looks that much alive

    verdict = Head().visit(_session_under(strict), frames=20)

    assert (verdict.outcome, verdict.similarity) == (Outcome.INSUFFICIENT, None)
    assert verdict.liveness.reasons == (Reason.CHALLENGE_NOT_DONE,)


def test_i09_a_turn_that_looks_like_a_screen_does_not_count() -> None:
    verdict = Head().visit(_session_under(FacePolicy(passive_turn_min=1.0)), frames=20)

    assert (verdict.outcome, verdict.similarity) == (Outcome.INSUFFICIENT, None)
    assert not verdict.liveness.challenge_passed


def test_losing_the_face_does_not_erase_suspicion() -> None:
    session = a_session()
    answers: list[Progress | Verdict] = []
    sequence = 0
    while not (answers and isinstance(answers[-1], Verdict)) and sequence < 60:
        sequence += 1
        away = sequence % 8 > 3
        scene = Scene.LIVE_HEAD if away else Scene.FLAT_PHOTO
        jpeg = picture(HER, scene, sequence, 0.0, light=0.0 if away else 1.0) + bytes([sequence])
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


def test_a_screen_that_pleases_the_passive_model_is_ended_by_its_flat_turn() -> None:
    trusting = FacePolicy(passive_min=0.0, passive_rest_min=0.0, passive_turn_min=0.0)

    verdict = Head(scene=Scene.SCREEN_REPLAY).visit(_session_under(trusting), frames=60)

    assert (verdict.outcome, verdict.liveness.reasons) == (Outcome.SPOOF_SUSPECTED, (Reason.FLAT_TURN,))
    assert verdict.frames_used < 60  # five seconds, not twenty


def test_a_template_of_another_model_is_refused_before_the_first_frame() -> None:
    foreign = Template(embedding=her_template().embedding, model_id="other@0")

    with pytest.raises(TemplateModelError):
        a_session(template=foreign)


def test_no_caller_gets_below_the_similarity_floor() -> None:
    with pytest.raises(PolicyError):
        loaded_pipeline().open_session(challenge=LEFT_RIGHT, template=her_template(), similarity_min=0.36)


def _session_under(policy: FacePolicy) -> FaceSession:
    return replace(loaded_pipeline(), policy=policy).open_session(challenge=LEFT_RIGHT, template=her_template())


def _shown(shows: list[tuple[str, float]]) -> Verdict:
    """Return what a session says about these faces in these poses, ten a second."""
    session = a_session()
    for sequence, (name, yaw) in enumerate(shows, 1):
        answer = session.feed(a_frame(sequence, jpeg=picture(name, Scene.LIVE_HEAD, sequence, yaw)))
        if isinstance(answer, Verdict):
            return answer
    return session.expire()
