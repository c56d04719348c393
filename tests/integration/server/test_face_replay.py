"""Whoever shows the frames of an earlier session again is refused; the person who comes back is not."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from shualian.terminal.v1 import face_pb2
from tests.support.platform import EnrolledTerminal, RunningPlatform, an_enrolled_terminal
from tests.support.visitors import LIN, Seen, face_session, insured, unmoved


def pictures(seen: Seen) -> list[bytes]:
    """Return what the terminal's own camera took: what a virtual camera would inject."""
    return [sent.pictures[0].data for sent in seen.sent]


def as_they_are(picture: bytes) -> bytes:
    return picture


def encoded_again(picture: bytes) -> bytes:
    image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    brighter = np.clip(image * np.float32(1.06), 0, 255).astype(np.uint8)
    return cv2.imencode(".jpg", brighter, [cv2.IMWRITE_JPEG_QUALITY, 75])[1].tobytes()


@pytest.mark.parametrize("changed", [as_they_are, encoded_again])
async def test_a_virtual_camera_that_injects_an_earlier_session_is_refused(
    running: RunningPlatform, terminal: EnrolledTerminal, changed: Callable[[bytes], bytes]
) -> None:
    await insured(running, LIN)
    honest = await face_session(terminal, claims=LIN, shows=LIN, opens=unmoved())
    recorded = [changed(picture) for picture in pictures(honest)]
    another = await an_enrolled_terminal(running, serial_number="SL-0002")

    replayed = await face_session(another, claims=LIN, shows=LIN, opens=unmoved(), recorded=recorded)

    assert honest.decision.outcome == face_pb2.DECISION_OUTCOME_MATCHED
    assert replayed.decision.outcome == face_pb2.DECISION_OUTCOME_SPOOF_SUSPECTED
    assert not replayed.decision.assertion
    assert running.counted("face_replays_total") == 1
    assert running.counted("face_seals_total", finding="VERIFIED") == 2  # the seal is good: the frames are not


async def test_the_person_who_comes_back_is_matched_again(running: RunningPlatform, terminal: EnrolledTerminal) -> None:
    await insured(running, LIN)

    visits = [await face_session(terminal, claims=LIN, shows=LIN, opens=unmoved()) for _ in range(3)]

    assert [visit.decision.outcome for visit in visits] == [face_pb2.DECISION_OUTCOME_MATCHED] * 3
    assert running.counted("face_replays_total") == 0
