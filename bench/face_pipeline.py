"""What does the face pipeline add to the inference it cannot do without?

One session of a turning head runs through `FaceSession.feed`; the inputs that reach ONNX Runtime meanwhile are kept and
run again bare, one after the other. Both runs alternate, and the median of the paired ratios counts. Two ratios are
told. That of time says what a patient waits for; where two processors are idle the passive model runs beside the closer
look, and one part of the embedding beside the other, so that it may come near 1 though nothing is free. That of
processor time, over all threads of the process, says what a full machine pays: decoding, quality, alignment, the state
machine, and that two things at once slow each other down.
"""

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import cv2
import numpy as np
from numpy.typing import NDArray

from face_pipeline import (
    Action,
    Challenge,
    FacePipeline,
    FacePolicy,
    Frame,
    Guidance,
    Template,
    Verdict,
    load_manifest,
    portrait,
)
from face_pipeline.models.runtime import LoadedModel, OnnxSession
from mock_terminal.camera import Camera, Portrait, encode
from server.config import load_config

FRAMES_PER_SECOND = 10
TURN_DEGREES = 36.0
STEP_DEGREES = 6.0  # per frame
ACTIONS = (Action.TURN_LEFT, Action.TURN_RIGHT)
START = datetime(2026, 1, 1, tzinfo=UTC)
ROUNDS, ROUNDS_QUICK = 30, 20


def measure(quick: bool) -> dict[str, object]:  # noqa: FBT001 - the form that `bench.run` calls
    """Return `face_pipeline_ratio` (time) and `face_pipeline_cpu_ratio`, and what one session costs."""
    folder = load_config(None, os.environ).models_dir
    pipeline = FacePipeline.load(manifest=load_manifest(), models_dir=folder, policy=FacePolicy())
    picture = portrait(folder, "grace_hopper").read_bytes()
    template = pipeline.enroll(picture)
    frames = _visit(pipeline, picture, template)
    calls = bare_calls(pipeline, lambda recording: _session_ms(recording, frames, template))
    ours_ms: list[float] = []
    bare_ms: list[float] = []
    decision_ms: list[float] = []
    cpu_ratios: list[float] = []
    for _ in range(ROUNDS_QUICK if quick else ROUNDS):
        cpu_before = time.process_time()
        whole, last = _session_ms(pipeline, frames, template)
        ours_ms.append(whole)
        decision_ms.append(last)
        cpu_between, started = time.process_time(), time.perf_counter()
        for session, planes in calls:
            session.run(planes)
        bare_ms.append(1000 * (time.perf_counter() - started))
        cpu_ratios.append((cpu_between - cpu_before) / (time.process_time() - cpu_between))
    return {
        "face_pipeline_ratio": statistics.median(ours / bare for ours, bare in zip(ours_ms, bare_ms, strict=True)),
        "face_pipeline_cpu_ratio": statistics.median(cpu_ratios),
        "face_session_frames": len(frames),
        "face_session_ms": statistics.median(ours_ms),
        "face_bare_ms": statistics.median(bare_ms),
        "face_last_frame_to_decision_ms": statistics.median(decision_ms),
    }


def _visit(pipeline: FacePipeline, picture: bytes, template: Template) -> list[Frame]:
    """Return the frames of one honest visitor, up to the one that decides."""
    camera = Camera(_portrait(pipeline, picture), seed=1)
    session = pipeline.open_session(challenge=_challenge(), template=template, draw=_same_draw())
    target = {Guidance.TURN_LEFT: TURN_DEGREES, Guidance.TURN_RIGHT: -TURN_DEGREES}
    frames: list[Frame] = []
    yaw = goal = 0.0
    for index in range(pipeline.policy.frames_max):
        seconds = index / FRAMES_PER_SECOND
        yaw += float(np.clip(goal - yaw, -STEP_DEGREES, STEP_DEGREES))
        captured_at = START + timedelta(seconds=seconds)
        frames.append(Frame(sequence=index + 1, captured_at=captured_at, jpeg=encode(camera.frame(seconds, yaw))))
        answer = session.feed(frames[-1])
        if isinstance(answer, Verdict):
            return frames
        goal = target.get(answer.guidance, 0.0)
    raise RuntimeError("the visitor was not decided on")


def _portrait(pipeline: FacePipeline, picture: bytes) -> Portrait:
    found = pipeline.landmarks(picture)
    points = [found.right_eye, found.left_eye, found.nose, found.right_mouth, found.left_mouth]
    image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    return Portrait(image_bgr=np.asarray(image, np.uint8), points=np.array(points, np.float64))


def _same_draw() -> Callable[[int], int]:
    """Return draws that fall alike in every session: they say which frames are embedded."""
    return Random(1).randrange  # noqa: S311 - nobody is to be surprised here


def _challenge() -> Challenge:
    return Challenge(actions=ACTIONS, deadline=timedelta(seconds=60))


def _session_ms(pipeline: FacePipeline, frames: list[Frame], template: Template) -> tuple[float, float]:
    """Return the time of a whole session, and of its last frame alone."""
    session = pipeline.open_session(challenge=_challenge(), template=template, draw=_same_draw())
    started = last = time.perf_counter()
    for frame in frames:
        last = time.perf_counter()
        session.feed(frame)
    ended = time.perf_counter()
    return 1000 * (ended - started), 1000 * (ended - last)


class _Recorder(OnnxSession):
    """Runs a session and keeps what it was given."""

    def __init__(self, inner: OnnxSession, calls: list[tuple[OnnxSession, NDArray[np.float32]]]) -> None:
        self._inner = inner
        self._calls = calls

    def run(self, planes: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        self._calls.append((self._inner, planes.copy()))
        return self._inner.run(planes)


def bare_calls(
    pipeline: FacePipeline, hold: Callable[[FacePipeline], object]
) -> list[tuple[OnnxSession, NDArray[np.float32]]]:
    """Return every inference of the session that `hold` holds: which model, on which input."""
    calls: list[tuple[OnnxSession, NDArray[np.float32]]] = []

    def recorded(model: LoadedModel) -> LoadedModel:
        return replace(model, session=_Recorder(model.session, calls))

    stages = replace(
        pipeline.stages,
        detector=replace(pipeline.stages.detector, model=recorded(pipeline.stages.detector.model)),
        embedder=replace(pipeline.stages.embedder, parts=tuple(map(recorded, pipeline.stages.embedder.parts))),
        passive=replace(pipeline.stages.passive, model=recorded(pipeline.stages.passive.model)),
    )
    hold(replace(pipeline, stages=stages))
    return calls
