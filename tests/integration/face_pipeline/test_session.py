"""Whole sessions on the real models, with the software camera before them."""

import numpy as np
import pytest

from face_pipeline import (
    Challenge,
    FacePolicy,
    Outcome,
    PolicyError,
    Reason,
    Template,
    TemplateModelError,
)
from face_pipeline.session import FaceSession
from mock_terminal.scenes import Scene
from tests.support.heads import (
    LEFT_RIGHT,
    OTHER,
    RIGHT_LEFT,
    Head,
    a_session,
    a_session_under,
    her_template,
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


def test_a_template_of_another_model_is_refused_before_the_first_frame() -> None:
    foreign = Template(embedding=her_template().embedding, model_id="other@0")

    with pytest.raises(TemplateModelError):
        a_session(template=foreign)


def test_no_caller_gets_below_the_similarity_floor() -> None:
    with pytest.raises(PolicyError):
        loaded_pipeline().open_session(challenge=LEFT_RIGHT, template=her_template(), similarity_min=0.32)


def test_a_face_to_be_looked_for_among_many_is_compared_with_nobody() -> None:
    verdict = Head().visit(a_session(identify=True))

    assert (verdict.outcome, verdict.similarity) == (Outcome.LIVE, None)
    assert verdict.probe is not None
    assert float(verdict.probe @ her_template().embedding) > 0.8


def test_i09_a_spoof_leaves_no_face_to_look_for() -> None:
    verdict = Head(scene=Scene.FLAT_PHOTO).visit(a_session(identify=True))

    assert (verdict.outcome, verdict.probe) == (Outcome.SPOOF_SUSPECTED, None)


def test_i07_nothing_of_the_face_outlives_the_verdict_but_bounded_prints() -> None:
    session = a_session_under(FacePolicy(prints_max=4))

    verdict = Head().visit(session)

    assert [len(print_) for print_ in verdict.prints] == [32] * 4
    assert verdict.probe is None
    held = [getattr(session, name) for name in FaceSession.__dict__.get("__slots__", ()) or vars(session)]
    assert not [value for value in held if isinstance(value, np.ndarray | bytes)]
    assert session._identity.anchor is None  # noqa: SLF001 - what must not be there has no public name
