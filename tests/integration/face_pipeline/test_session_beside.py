"""Infrared and depth beside the colour picture: what they prove, what they refuse, what their absence costs."""

from dataclasses import replace

import numpy as np
import pytest

from face_pipeline import (
    Assurance,
    FacePolicy,
    FrameIncompleteError,
    FrameUndecodableError,
    Modality,
    Outcome,
    Progress,
    Reason,
    Verdict,
)
from mock_terminal.camera import encode_depth
from mock_terminal.scenes import Scene
from tests.support.heads import (
    HER,
    OTHER,
    Head,
    a_frame,
    a_session,
    a_session_judged,
    picture,
    spatial,
)

CARBON_WITH_A_NOSE = 20
"""Seed of a cut-out with a hole for the nose, in an ink that infrared sees."""


@pytest.mark.parametrize(
    ("modality", "assurance"), [(Modality.NIR, Assurance.COLOUR), (Modality.DEPTH, Assurance.SOLID)]
)
def test_a_head_is_matched_beside_infrared_and_only_depth_makes_it_solid(
    modality: Modality, assurance: Assurance
) -> None:
    beside = frozenset({modality})

    verdict = Head(beside=beside).visit(a_session(beside=beside))

    assert (verdict.outcome, verdict.assurance) == (Outcome.MATCHED, assurance)


def test_a_cut_out_with_a_hole_for_ones_own_nose_is_not_live_in_infrared() -> None:
    beside = frozenset({Modality.NIR})

    verdict = Head(scene=Scene.CUT_OUT, beside=beside, seed=CARBON_WITH_A_NOSE).visit(a_session(beside=beside), 30)

    assert verdict.outcome in {Outcome.INSUFFICIENT, Outcome.SPOOF_SUSPECTED}  # some machines see it go flat in a turn
    assert verdict.similarity is None
    if verdict.outcome is Outcome.INSUFFICIENT:
        assert Reason.INFRARED_MISSING in verdict.liveness.reasons


def test_the_passive_model_alone_rejects_nobody_whom_depth_vouches_for() -> None:
    beside = frozenset({Modality.DEPTH})

    verdict = Head(beside=beside).visit(a_session_judged([0.01] * 60, beside=beside))
    without = Head().visit(a_session_judged([0.01] * 60))

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


def test_i09_a_display_before_the_colour_lens_does_not_borrow_the_head_that_infrared_sees() -> None:
    """Colour shows her, who does what is asked; infrared and depth see him, who does it too."""
    beside = frozenset(Modality)
    session = a_session(beside=beside)

    for index, yaw in enumerate([*[0.0] * 8, *range(6, 37, 6), *range(30, -37, -6)], 1):
        his = spatial(OTHER, Scene.LIVE_HEAD, index, float(yaw), 0.0, zoom=1.0)
        hers = a_frame(index, jpeg=picture(HER, Scene.LIVE_HEAD, index, float(yaw)))
        answer = session.feed(replace(hers, nir=his[Modality.NIR], depth=his[Modality.DEPTH]))
        if isinstance(answer, Verdict):
            break

    verdict = answer if isinstance(answer, Verdict) else session.expire()
    assert verdict.outcome in {Outcome.INSUFFICIENT, Outcome.SPOOF_SUSPECTED}
    assert {Reason.INFRARED_MISSING, Reason.NOTHING_IN_INFRARED} & set(verdict.liveness.reasons)
