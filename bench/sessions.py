"""Who passes a whole face session: heads, prints, screens and masks, with and without infrared and depth?

`python -m bench.sessions [FOLDER] [--sessions N] [--log FILE] [--json]`. All of it is simulated: the mock terminal's
camera renders the frames from the portraits in FOLDER (or from the two public ones that `shualian models install`
brings); the models and `FaceSession` are real. A session asks for the policy's challenge; head and hand obey as fast as
people do. Accepted means found to be live; nobody is compared with anybody. Portraits that `enroll()` would refuse
are nobody's who could stand there, and are left out. With a log, a run that was stopped goes on where it was.
"""

import argparse
import json
import multiprocessing
import os
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from rich.console import Console
from rich.progress import track

from face_pipeline import (
    FaceError,
    FacePipeline,
    FacePolicy,
    Frame,
    FrameError,
    Guidance,
    Modality,
    Outcome,
    Verdict,
    load_manifest,
    portrait,
)
from face_pipeline.evaluation.rates import clopper_pearson
from face_pipeline.liveness.challenge import random_challenge
from mock_terminal.camera import Camera, Capture, Portrait, encode, encode_depth
from mock_terminal.patient import Patient
from mock_terminal.scenes import Scene
from server.config import load_config
from shualian.terminal.v1 import face_pb2

SIMULATED: Final = (
    "SIMULATED: every frame is rendered from a still portrait; no figure here is of real people or things."
)
FRAMES_PER_SECOND: Final = 8
PROCESSES: Final = 2
TELLS_EVERY: Final = 50
WIDER: Final = 0.9
"""Zoom: somebody who stands a little farther off."""
EXPOSURE: Final = {Guidance.LESS_LIGHT: 0.93, Guidance.MORE_LIGHT: 1.07}
"""What a terminal's exposure makes of a hint, frame by frame."""
START: Final = datetime(2026, 1, 1, tzinfo=UTC)
PICTURES: Final = frozenset({".jpg", ".jpeg", ".png"})
PUBLIC: Final = ("grace_hopper", "astronaut")
INSTRUMENTS: Final[dict[str, tuple[Scene, bool]]] = {
    "head": (Scene.LIVE_HEAD, False),
    "print": (Scene.FLAT_PHOTO, False),
    "print-no-border": (Scene.FLAT_PHOTO, True),
    "bent-print": (Scene.BENT_PHOTO, False),
    "cut-out": (Scene.CUT_OUT, False),
    "screen": (Scene.SCREEN_REPLAY, False),
    "screen-no-bezel": (Scene.SCREEN_REPLAY, True),
    "screen-video": (Scene.SCREEN_VIDEO, False),
    "screen-video-no-bezel": (Scene.SCREEN_VIDEO, True),
    "paper-mask": (Scene.MASK, False),
}
"""Scene, and whether its rim is out of view."""
CAMERAS: Final[dict[str, frozenset[Modality]]] = {
    "rgb": frozenset(),
    "rgb+depth": frozenset({Modality.DEPTH}),
    "rgb+nir": frozenset({Modality.NIR}),
    "all": frozenset(Modality),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One session to hold."""

    picture: Path
    instrument: str
    cameras: str
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """How it ended."""

    task: Task
    outcome: str
    reasons: tuple[str, ...]
    frames: int
    cpu_seconds: float
    cues: dict[str, float | None]
    """What each cue measured."""


@cache
def _pipeline() -> FacePipeline:
    """Return the pipeline of this process."""
    folder = load_config(None, os.environ).models_dir
    return FacePipeline.load(manifest=load_manifest(), models_dir=folder, policy=FacePolicy())


def usable(pictures: list[Path], seed: int) -> Iterator[tuple[Path, int]]:
    """Yield the pictures that can be somebody before a camera, each with the seed of its visits.

    They are those that could be enrolled as they stand there in this very visit: nobody can turn a portrait's head
    straight, or take off its dark glasses. The renderer mirrors a portrait at its edges; whose view shows a second
    face there, a little farther off, is left out as well.
    """
    visit = 100_000 * seed
    for picture in pictures:
        try:
            camera = Camera(_portrait(picture), seed=visit)
            _pipeline().landmarks(encode(camera.frame(0, 0, zoom=WIDER)))
            _pipeline().enroll(encode(camera.frame(0, 0)))
        except (FaceError, OSError):
            continue
        yield picture, visit
        visit += 100


def _portrait(picture: Path) -> Portrait:
    content = picture.read_bytes()
    found = _pipeline().landmarks(content)
    points = [found.right_eye, found.left_eye, found.nose, found.right_mouth, found.left_mouth]
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    return Portrait(image_bgr=np.asarray(image, np.uint8), points=np.array(points, np.float64))


def hold(task: Task) -> Held:
    """Hold one session."""
    pipeline, luck = _pipeline(), random.Random(task.seed)  # noqa: S311  # a measurement must be repeatable
    scene, fills_view = INSTRUMENTS[task.instrument]
    camera = Camera(_portrait(task.picture), scene=scene, seed=task.seed, fills_view=fills_view)
    beside = CAMERAS[task.cameras]
    session = pipeline.open_session(
        challenge=random_challenge(pipeline.policy.challenge_plan, luck),
        template=None,
        beside=beside,
        identify=True,
        draw=luck.randrange,
    )
    patient, light, began = Patient(), 1.0, time.process_time()
    frames_max = round(pipeline.policy.challenge_deadline.total_seconds() * FRAMES_PER_SECOND)
    for sequence in range(1, frames_max + 1):
        t = sequence / FRAMES_PER_SECOND
        pose = patient.pose(t)
        if beside:
            frame = _frame(sequence, camera.capture(t, pose.yaw, pose.pitch, zoom=pose.zoom, light=light), beside)
        else:
            frame = _colour(sequence, encode(camera.frame(t, pose.yaw, pose.pitch, zoom=pose.zoom, light=light)))
        try:
            answer = session.feed(frame)
        except FrameError:
            continue
        if isinstance(answer, Verdict):
            return _held(task, answer, sequence, began)
        patient.told(face_pb2.Hint.Value(f"HINT_{answer.guidance.name}"))
        light *= EXPOSURE.get(answer.guidance, 1.0)
    return _held(task, session.expire(), frames_max, began)


def _held(task: Task, verdict: Verdict, frames: int, began: float) -> Held:
    return Held(
        task=task,
        outcome=verdict.outcome.value,
        reasons=verdict.liveness.reasons,
        frames=frames,
        cpu_seconds=round(time.process_time() - began, 3),
        cues={reading.name.value: reading.value for reading in verdict.cues},
    )


def _colour(sequence: int, jpeg: bytes) -> Frame:
    return Frame(sequence=sequence, captured_at=START + timedelta(seconds=sequence / FRAMES_PER_SECOND), jpeg=jpeg)


def _frame(sequence: int, capture: Capture, beside: frozenset[Modality]) -> Frame:
    return Frame(
        sequence=sequence,
        captured_at=START + timedelta(seconds=sequence / FRAMES_PER_SECOND),
        jpeg=encode(capture.rgb),
        nir=encode(capture.nir) if Modality.NIR in beside else None,
        depth=encode_depth(capture.depth) if Modality.DEPTH in beside else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """Sessions held already, a line each; those of another policy are not counted."""

    path: Path | None

    def held(self) -> list[Held]:
        """Return what was held under this policy."""
        if self.path is None or not self.path.exists():
            return []
        lines = [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]
        found: list[Held] = []
        for line in lines:
            if line.pop("policy") != FacePolicy().version:
                continue
            task = Task(**{**line.pop("task"), "picture": Path(line.pop("picture"))})
            found.append(Held(**{**line, "task": task, "reasons": tuple(line["reasons"])}))
        return found

    def add(self, held: Held) -> None:
        """Write down one session at once."""
        if self.path is None:
            return
        line = asdict(held)
        line["picture"] = str(line["task"].pop("picture"))
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"policy": FacePolicy().version, **line}) + "\n")


def measured(tasks: list[Task], log: Log, console: Console) -> list[Held]:
    """Hold the sessions that the log has not, some at a time; tell now and then how it stands."""
    held = [each for each in log.held() if each.task in set(tasks)]
    left = [task for task in tasks if task not in {each.task for each in held}]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=context) as pool:
        waiting = [pool.submit(hold, task) for task in left]
        for future in track(as_completed(waiting), total=len(waiting), description="sessions", console=console):
            held.append(future.result())
            log.add(held[-1])
            if len(held) % TELLS_EVERY == 0:
                console.print(*[_line(cell) for cell in cells(held)], sep="\n", highlight=False)
    return held


def cells(held: list[Held]) -> list[dict[str, object]]:
    """Return the figures of each instrument before each set of cameras."""
    found: list[dict[str, object]] = []
    for cameras, instrument in ((cameras, instrument) for cameras in CAMERAS for instrument in INSTRUMENTS):
        mine = [each for each in held if (each.task.cameras, each.task.instrument) == (cameras, instrument)]
        if not mine:
            continue
        accepted = sum(each.outcome == Outcome.LIVE.value for each in mine)
        low, high = clopper_pearson(accepted, len(mine))
        reasons = Counter(reason for each in mine for reason in each.reasons)
        found.append(
            {
                "cameras": cameras,
                "instrument": instrument,
                "sessions": len(mine),
                "accepted": accepted,
                "accepted_share": round(accepted / len(mine), 4),
                "accepted_low": round(low, 4),
                "accepted_high": round(high, 4),
                "outcomes": dict(Counter(each.outcome for each in mine).most_common()),
                "reasons": dict(reasons.most_common()),
                "seconds_median": round(statistics.median(each.frames for each in mine) / FRAMES_PER_SECOND, 2),
                "cpu_seconds_median": round(statistics.median(each.cpu_seconds for each in mine), 2),
            }
        )
    return found


def _line(cell: dict[str, object]) -> str:
    low, high = (100 * float(str(cell[name])) for name in ("accepted_low", "accepted_high"))
    reasons = cell["reasons"]
    told = ", ".join(f"{name} {count}" for name, count in reasons.items()) if isinstance(reasons, dict) else ""
    return (
        f"{cell['cameras']:10} {cell['instrument']:22} {cell['accepted']:4} of {cell['sessions']:4} live "
        f"({low:5.1f} to {high:5.1f} %)  {cell['seconds_median']:5} s  {told}"
    )


def _tasks(arguments: argparse.Namespace) -> list[Task]:
    folder = load_config(None, os.environ).models_dir
    if arguments.folder is None:
        found = [portrait(folder, name) for name in PUBLIC] * arguments.sessions
    else:
        found = sorted(path for path in arguments.folder.glob(arguments.pictures) if path.suffix.lower() in PICTURES)
        random.Random(arguments.seed).shuffle(found)  # noqa: S311  # a measurement must be repeatable
    visits = [visit for visit, _ in zip(usable(found, arguments.seed), range(arguments.sessions), strict=False)]
    if not visits:
        sys.exit("bench.sessions: no picture of one face that could be enrolled")
    return [
        Task(picture=picture, instrument=instrument, cameras=cameras, seed=visit + list(INSTRUMENTS).index(instrument))
        for picture, visit in visits
        for cameras in arguments.cameras
        for instrument in arguments.instruments
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.sessions", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", help="portraits, one face each; the installed ones by default")
    parser.add_argument("--pictures", default="*", help="which of the folder's pictures, a pattern")
    parser.add_argument(
        "--sessions",
        type=int,
        default=20,
        help="for each instrument before each set of cameras, if there are so many usable pictures",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cameras", nargs="+", choices=CAMERAS, default=list(CAMERAS))
    parser.add_argument("--instruments", nargs="+", choices=INSTRUMENTS, default=list(INSTRUMENTS))
    parser.add_argument("--log", type=Path, help="where each session is written down as it ends; goes on from there")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    console = Console(stderr=True, quiet=arguments.json)
    console.print(SIMULATED)
    figures = cells(measured(_tasks(arguments), Log(path=arguments.log), console))
    if arguments.json:
        told = {"simulated": SIMULATED, "policy": FacePolicy().version, "seed": arguments.seed, "cells": figures}
        print(json.dumps(told))
    else:
        print(SIMULATED)
        print("Found to be live, with the 95 % interval; median seconds to the decision; why not")
        for cell in figures:
            print(_line(cell))


if __name__ == "__main__":
    main()
