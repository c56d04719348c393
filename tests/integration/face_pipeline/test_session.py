"""Whole sessions on the real models, with the software camera before them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

import cv2
import numpy as np
import pytest

from face_pipeline import (
    Action,
    Assurance,
    Challenge,
    FacePolicy,
    FrameIncompleteError,
    FrameOrderError,
    FrameTooLargeError,
    FrameUndecodableError,
    Guidance,
    Modality,
    Outcome,
    PolicyError,
    Progress,
    Reason,
    SessionEndedError,
    Template,
    TemplateModelError,
    Verdict,
)
from face_pipeline.frames import Box, Image
from face_pipeline.liveness.passive import PassiveLiveness
from face_pipeline.picture.decode import decode_frame
from face_pipeline.session import FaceSession
from mock_terminal.camera import encode, encode_depth
from mock_terminal.scenes import Scene
from tests.support.heads import (
    FRAMES_PER_SECOND,
    HER,
    LEFT_RIGHT,
    OTHER,
    RIGHT_LEFT,
    START,
    Head,
    a_frame,
    a_session,
    asked,
    her_template,
    picture,
)
from tests.support.models import loaded_pipeline

TRUSTING = FacePolicy(passive_min=0.0, passive_min_moved=0.0, passive_rest_min=0.0, passive_turn_min=0.0)
"""The passive model has no say."""


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
    stages = {"decode", "detect", "quality", "beside", "liveness", "print", "challenge", "embed"}
    assert set(verdict.stage_ms) == stages
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
    assert set(verdict.liveness.reasons) <= {Reason.PASSIVE_LOW, Reason.FLAT_TURN}


def test_a_face_that_is_exchanged_in_the_turn_is_a_suspected_spoof() -> None:
    verdict = Head(becomes=OTHER).visit(a_session())

    assert (verdict.outcome, verdict.similarity) == (Outcome.SPOOF_SUSPECTED, None)
    assert verdict.liveness.reasons[0] == Reason.IDENTITY_CHANGED


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
    assert first.liveness.reasons == (Reason.NO_FACE, Reason.CHALLENGE_NOT_DONE)


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
    assert verdict.liveness.reasons[0] == Reason.IDENTITY_CHANGED


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


@pytest.mark.parametrize(
    ("at_rest", "turned", "done"),
    [(0.95, 0.95, 1), (0.95, 0.45, 0), (0.65, 0.65, 1), (0.65, 0.2, 0), (0.01, 0.95, 0)],
)
def test_i09_a_picture_less_alive_than_the_rest_of_the_visit_is_not_built_on(
    at_rest: float, turned: float, done: int
) -> None:
    yaws = [0.0] * 8 + [6.0, 12.0, 18.0, 24.0, 30.0, 36.0, 36.0]
    session = _session_judged([at_rest if yaw < 20 else turned for yaw in yaws])

    for sequence, yaw in enumerate(yaws, 1):
        answer = session.feed(a_frame(sequence, jpeg=picture(HER, Scene.LIVE_HEAD, sequence, yaw)))
        if isinstance(answer, Verdict):
            break

    reached = answer.action_index if isinstance(answer, Progress) else 0
    assert reached == done


def test_losing_the_face_does_not_erase_suspicion() -> None:
    session = _session_judged([0.01] * 60)
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


def test_a_screen_that_pleases_the_passive_model_is_ended_by_its_flat_turn() -> None:
    verdict = Head(scene=Scene.SCREEN_REPLAY).visit(_session_under(TRUSTING), frames=60)

    assert (verdict.outcome, verdict.liveness.reasons) == (Outcome.SPOOF_SUSPECTED, (Reason.FLAT_TURN,))
    assert verdict.frames_used < 60  # five seconds, not twenty


def test_a_template_of_another_model_is_refused_before_the_first_frame() -> None:
    foreign = Template(embedding=her_template().embedding, model_id="other@0")

    with pytest.raises(TemplateModelError):
        a_session(template=foreign)


def test_no_caller_gets_below_the_similarity_floor() -> None:
    with pytest.raises(PolicyError):
        loaded_pipeline().open_session(challenge=LEFT_RIGHT, template=her_template(), similarity_min=0.32)


def _session_under(policy: FacePolicy, challenge: Challenge = LEFT_RIGHT) -> FaceSession:
    return replace(loaded_pipeline(), policy=policy).open_session(challenge=challenge, template=her_template())


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
    verdict = Head(scene=Scene.FLAT_PHOTO).visit(_session_under(TRUSTING, asked(Action.NOD)), frames=20)

    assert verdict.outcome is not Outcome.MATCHED
    assert not verdict.liveness.challenge_passed


def test_a_turn_in_the_place_of_a_nod_does_not_pass() -> None:
    shows = [*[(HER, 0.0)] * 5, *[(HER, yaw) for yaw in (8.0, 16.0, 24.0, 32.0, 36.0)]]

    verdict = _shown(shows, a_session(asked(Action.NOD)))

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


def test_a_face_to_be_looked_for_among_many_is_compared_with_nobody() -> None:
    verdict = Head().visit(a_session(identify=True))

    assert (verdict.outcome, verdict.similarity) == (Outcome.LIVE, None)
    assert verdict.probe is not None
    assert float(verdict.probe @ her_template().embedding) > 0.8


def test_i09_a_spoof_leaves_no_face_to_look_for() -> None:
    verdict = Head(scene=Scene.FLAT_PHOTO).visit(a_session(identify=True))

    assert (verdict.outcome, verdict.probe) == (Outcome.SPOOF_SUSPECTED, None)


def test_i07_nothing_of_the_face_outlives_the_verdict_but_bounded_prints() -> None:
    session = _session_under(FacePolicy(prints_max=4))

    verdict = Head().visit(session)

    assert [len(print_) for print_ in verdict.prints] == [32] * 4
    assert verdict.probe is None
    held = [getattr(session, name) for name in FaceSession.__dict__.get("__slots__", ()) or vars(session)]
    assert not [value for value in held if isinstance(value, np.ndarray | bytes)]
    assert session._identity.anchor is None  # noqa: SLF001 - what must not be there has no public name


@pytest.mark.parametrize("modality", [Modality.NIR, Modality.DEPTH])
def test_infrared_or_depth_that_agrees_all_the_way_makes_the_face_solid(modality: Modality) -> None:
    beside = frozenset({modality})

    verdict = Head(beside=beside).visit(a_session(beside=beside))

    assert (verdict.outcome, verdict.assurance) == (Outcome.MATCHED, Assurance.SOLID)


def test_the_passive_model_alone_rejects_nobody_whom_depth_vouches_for() -> None:
    beside = frozenset({Modality.DEPTH})

    verdict = Head(beside=beside).visit(_session_judged([0.01] * 60, beside=beside))
    without = Head().visit(_session_judged([0.01] * 60))

    assert (verdict.outcome, verdict.assurance) == (Outcome.MATCHED, Assurance.SOLID)
    assert (without.outcome, without.liveness.reasons) == (Outcome.SPOOF_SUSPECTED, (Reason.PASSIVE_LOW,))


@pytest.mark.parametrize(
    ("modality", "scene", "reason"),
    [
        (Modality.NIR, Scene.SCREEN_REPLAY, Reason.NOTHING_IN_INFRARED),
        (Modality.DEPTH, Scene.FLAT_PHOTO, Reason.NO_RELIEF),
    ],
)
def test_a_print_has_no_relief_and_a_screen_shows_no_face_in_infrared(
    modality: Modality, scene: Scene, reason: Reason
) -> None:
    beside = frozenset({modality})

    verdict = Head(scene=scene, beside=beside).visit(a_session(beside=beside))

    assert verdict.outcome is Outcome.SPOOF_SUSPECTED
    assert reason in verdict.liveness.reasons


def test_a_head_whose_depth_turns_flat_in_the_turn_is_a_suspected_spoof() -> None:
    beside = frozenset({Modality.DEPTH})

    verdict = Head(beside=beside, solid=Scene.FLAT_PHOTO).visit(a_session(beside=beside))

    assert (verdict.outcome, verdict.similarity) == (Outcome.SPOOF_SUSPECTED, None)
    assert verdict.liveness.reasons == (Reason.NO_RELIEF,)


def test_i10_a_promised_camera_that_shows_nothing_usable_never_makes_a_yes() -> None:
    beside = frozenset({Modality.DEPTH})
    session = a_session(beside=beside)
    answers: list[Progress | Verdict] = []
    for sequence in range(1, 20):
        blank = np.zeros((240, 320), np.uint16)
        blank[0, 0] = sequence  # no two pictures are the same
        answers.append(session.feed(replace(a_frame(sequence), depth=encode_depth(blank))))

    verdict = session.expire()

    assert all(isinstance(answer, Progress) for answer in answers)
    assert verdict.outcome is Outcome.INSUFFICIENT
    assert Reason.DEPTH_MISSING in verdict.liveness.reasons


def test_i10_a_frame_without_a_promised_picture_is_a_bad_frame() -> None:
    session = a_session(beside=frozenset({Modality.NIR}))

    for sequence in range(1, FacePolicy().bad_frames_max + 1):
        with pytest.raises(FrameIncompleteError) as caught:
            session.feed(a_frame(sequence))
    verdict = session.feed(a_frame(100))

    assert caught.value.missing is Modality.NIR
    assert isinstance(verdict, Verdict)
    assert (verdict.outcome, verdict.liveness.reasons) == (Outcome.INSUFFICIENT, (Reason.BAD_FRAMES,))


def test_a_picture_that_nobody_promised_is_not_looked_at() -> None:
    answer = a_session().feed(replace(a_frame(), nir=b"garbage", depth=b"garbage"))

    assert isinstance(answer, Progress)
    assert answer.good_frames == 1


def test_depth_of_another_shape_than_the_colour_picture_is_a_bad_frame() -> None:
    session = a_session(beside=frozenset({Modality.DEPTH}))

    with pytest.raises(FrameUndecodableError):
        session.feed(replace(a_frame(), depth=encode_depth(np.full((240, 240), 500, np.uint16))))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told(PassiveLiveness):
    """A passive model that says what it is told to."""

    says: Iterator[float]

    def live_probability(self, image: Image, box: Box) -> float:
        assert image.size
        assert box.area > 0
        return next(self.says)


def _session_judged(live: list[float], *, beside: frozenset[Modality] = frozenset()) -> FaceSession:
    """Return a session whose passive model says this of the frames."""
    pipeline = loaded_pipeline()
    told = _Told(model=pipeline.stages.passive.model, says=iter(live))
    judged = replace(pipeline, stages=replace(pipeline.stages, passive=told))
    return judged.open_session(challenge=LEFT_RIGHT, template=her_template(), beside=beside)


def _shown(shows: list[tuple[str, float]], opened: FaceSession | None = None) -> Verdict:
    """Return what a session says about these faces in these poses, ten a second."""
    session = opened or a_session()
    for sequence, (name, yaw) in enumerate(shows, 1):
        answer = session.feed(a_frame(sequence, jpeg=picture(name, Scene.LIVE_HEAD, sequence, yaw)))
        if isinstance(answer, Verdict):
            return answer
    return session.expire()
