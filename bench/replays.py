"""Which frames are taken for frames of an earlier session, and what does it cost to look for them?

    python -m bench.replays [VISITS]

Everything shown is simulated: the mock terminal's camera looks at two public portraits, on each visit from another
stance. The first table changes the frames of a visit and looks for them again; the second compares all pairs of visits
of one person. `FacePolicy.replay_distance_max` was set on these numbers, so they are no test of it on unseen data.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable
from itertools import combinations

import cv2
import numpy as np
from numpy.typing import NDArray

from face_pipeline import FacePipeline, FacePolicy, load_manifest, portrait
from face_pipeline.frames import Image
from face_pipeline.liveness.replay import PRINT_BYTES, ReplayMemory, frame_print
from face_pipeline.picture.detection import reduced
from mock_terminal.camera import Camera, Portrait, encode
from server.config import load_config

PEOPLE = ("grace_hopper", "astronaut")
YAWS = (0.0, 0.0, 0.0, 12.0, 24.0)
"""Degrees: three frames at rest, two on the way into a turn."""
SECONDS_BETWEEN = 0.2
VISITS = 60
SESSION_FRAMES_MIN = 3
REMEMBERED = 200_000

Prints = NDArray[np.uint8]
"""Axes (frame, byte)."""
Change = Callable[[Image], Image]


def encoded(quality: int) -> Change:
    """Encode again."""
    return lambda image: _decoded(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes())


def scaled(factor: float) -> Change:
    """Scale the whole picture."""

    def change(image: Image) -> Image:
        resized = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        return encoded(75)(np.asarray(resized, np.uint8))

    return change


def lit(factor: float) -> Change:
    """Make it brighter or darker."""
    return lambda image: encoded(75)(np.clip(image * np.float32(factor), 0, 255).astype(np.uint8))


def cropped(pixels: int) -> Change:
    """Cut the rim off and blow the rest up."""

    def change(image: Image) -> Image:
        height, width = image.shape[:2]
        down = pixels * height // width
        rest = image[down : height - down, pixels : width - pixels]
        return encoded(75)(np.asarray(cv2.resize(rest, (width, height)), np.uint8))

    return change


CHANGES: dict[str, Change] = {
    "quality 60": encoded(60),
    "quality 40": encoded(40),
    "scaled to 0.75": scaled(0.75),
    "scaled to 1.25": scaled(1.25),
    "0.8 times as bright": lit(0.8),
    "1.2 times as bright": lit(1.2),
    "1.35 times as bright": lit(1.35),
    "cropped by 0.6 %": cropped(2),
    "cropped by 0.9 %": cropped(3),
    "cropped by 2.5 %": cropped(8),
}


class Window:
    """People before the camera, and the prints of what it saw."""

    def __init__(self) -> None:
        folder = load_config(None, os.environ).models_dir
        self._folder = folder
        self._pipeline = FacePipeline.load(manifest=load_manifest(), models_dir=folder, policy=FacePolicy())

    def visit(self, person: str, seed: int) -> list[Image]:
        """Return the frames of one visit, as the platform gets them."""
        camera = Camera(self._portrait(person), seed=seed)
        views = [camera.frame(index * SECONDS_BETWEEN, yaw) for index, yaw in enumerate(YAWS)]
        return [_decoded(encode(view)) for view in views]

    def prints(self, frames: list[Image]) -> Prints:
        """Return the print of each."""
        return np.frombuffer(b"".join(map(self._print, frames)), np.uint8).reshape(-1, PRINT_BYTES)

    def _print(self, frame: Image) -> bytes:
        """Return the print of one frame, as a session makes it: of the picture in which faces are searched."""
        face = max(self._pipeline.stages.detector.faces(frame), key=lambda found: found.box.area)
        small = reduced(frame, self._pipeline.policy)
        return frame_print(small, face.points * np.float32(small.shape[1] / frame.shape[1]))

    def _portrait(self, person: str) -> Portrait:
        picture = portrait(self._folder, person).read_bytes()
        found = self._pipeline.landmarks(picture)
        points = [found.right_eye, found.left_eye, found.nose, found.right_mouth, found.left_mouth]
        return Portrait(image_bgr=_decoded(picture), points=np.array(points, np.float64))


def nearest(some: Prints, others: Prints) -> NDArray[np.int64]:
    """Return for each print in how many bits the nearest of the others differs."""
    return np.asarray(np.bitwise_count(some[:, None] ^ others[None]).sum(axis=2, dtype=np.int64).min(axis=1))


def shown_again(window: Window, visits: list[list[Image]], near: int) -> None:
    """Print how well changed frames are recognised."""
    print(f"Frames of {len(visits)} visits shown again (simulated), recognised within {near} bits of 256")
    for name, change in CHANGES.items():
        bits = [nearest(window.prints([*map(change, frames)]), window.prints(frames)) for frames in visits]
        known = sum((each <= near).sum() >= SESSION_FRAMES_MIN for each in bits)
        every = np.concatenate(bits)
        print(
            f"  {name:22} median {statistics.median(every):3.0f}  9 of 10 within {np.percentile(every, 90):3.0f}"
            f"  sessions recognised {known} of {len(visits)}"
        )


def come_back(prints: dict[str, list[Prints]], near: int) -> None:
    """Print how near other visits of the same person come."""
    pairs = [nearest(one, other) for visits in prints.values() for one, other in combinations(visits, 2)]
    closest = sorted(int(pair.min()) for pair in pairs)
    taken = sum((pair <= near).sum() >= SESSION_FRAMES_MIN for pair in pairs)
    print(f"{len(pairs)} pairs of visits of one person (simulated): {taken} taken for a replay")
    print(f"  nearest two frames of a pair: {closest[:5]} bits, median {statistics.median(closest):.0f}")


def search_costs() -> None:
    """Print what a look into a full memory costs."""
    rng, memory = np.random.default_rng(1), ReplayMemory(prints_max=REMEMBERED, distance_max=10)
    for number in range(REMEMBERED // 50):
        memory.remember(f"{number}", [rng.bytes(PRINT_BYTES) for _ in range(50)])
    asked = [rng.bytes(PRINT_BYTES) for _ in range(64)]
    began = time.perf_counter()
    memory.recognise("now", asked)
    took = 1000 * (time.perf_counter() - began) / len(asked)
    print(f"One print among {len(memory)}: {took:.2f} ms")


def _decoded(picture: bytes) -> Image:
    return np.asarray(cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def main() -> None:
    """Measure and print."""
    visits = int(sys.argv[1]) if len(sys.argv) > 1 else VISITS
    near, window = FacePolicy().replay_distance_max, Window()
    frames = {person: [window.visit(person, seed) for seed in range(1, visits + 1)] for person in PEOPLE}
    shown_again(window, [visit for each in frames.values() for visit in each[:: max(visits // 6, 1)]], near)
    come_back({person: [window.prints(visit) for visit in each] for person, each in frames.items()}, near)
    search_costs()


if __name__ == "__main__":
    main()
