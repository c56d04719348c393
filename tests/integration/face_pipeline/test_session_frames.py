"""What a session makes of pictures: which it looks at, which it refuses, what it asks for."""

from datetime import timedelta

import cv2
import numpy as np
import pytest

from face_pipeline import (
    FacePolicy,
    FrameOrderError,
    FrameTooLargeError,
    FrameUndecodableError,
    Guidance,
    Outcome,
    Progress,
    Reason,
    SessionEndedError,
    Verdict,
)
from face_pipeline.picture.decode import decode_frame
from mock_terminal.camera import encode
from mock_terminal.scenes import Scene
from tests.support.heads import (
    HER,
    START,
    Head,
    a_frame,
    a_session,
    a_session_under,
    picture,
)


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
    verdict = Head(still=True).visit(a_session_under(FacePolicy(frames_max=4)), frames=20)

    assert (verdict.outcome, verdict.frames_used) == (Outcome.INSUFFICIENT, 4)


def test_frames_must_rise_and_time_must_not_go_back() -> None:
    session = a_session()
    session.feed(a_frame(5))

    with pytest.raises(FrameOrderError):
        session.feed(a_frame(5))
    with pytest.raises(FrameOrderError):
        session.feed(a_frame(6, at=START - timedelta(seconds=1)))


def test_a_frame_taken_after_the_deadline_ends_the_session() -> None:
    session = a_session()
    session.feed(a_frame(1))

    verdict = session.feed(a_frame(2, at=START + timedelta(minutes=5)))

    assert isinstance(verdict, Verdict)
    assert verdict.outcome is Outcome.INSUFFICIENT


def test_after_the_verdict_nothing_more_is_looked_at() -> None:
    session = a_session()
    first = session.expire()

    with pytest.raises(SessionEndedError):
        session.feed(a_frame(1))
    assert session.expire() is first
    assert first.liveness.reasons == (Reason.NO_FACE, Reason.CHALLENGE_NOT_DONE)
