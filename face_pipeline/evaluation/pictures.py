"""What does the pipeline find in one labelled picture? The person it is labelled with stands in the middle."""

import math
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar

import cv2
import numpy as np

from face_pipeline.errors import FrameError
from face_pipeline.frames import Embedding, Face, Image
from face_pipeline.picture.alignment import aligned_crop
from face_pipeline.picture.decode import decode_portrait
from face_pipeline.pipeline import FacePipeline

Key = TypeVar("Key")
Found = TypeVar("Found")

Tick = Callable[[str, int, int], None]
"""Told what is being done, how many pictures are done, and of how many."""

AT_ONCE: Final = 256  # pictures handed to the threads at a time: what waits is bounded


class Failure(StrEnum):
    """Why nothing could be scored."""

    NO_FACE = "no_face"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One picture as it is to be looked at."""

    file: str
    degrees: float = 0.0
    """Turned by so much, clockwise, before it is looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One set of models under evaluation."""

    name: str
    pipeline: FacePipeline

    def embedding(self, folder: Path, shot: Shot) -> Embedding | Failure:
        """Return the embedding of the face nearest to the middle of the picture."""
        image = _picture(folder / shot.file, self.pipeline)
        if isinstance(image, Failure):
            return image
        if shot.degrees:
            image = turned(image, shot.degrees)
        faces = self._faces(image)
        if not faces:
            return Failure.NO_FACE
        face = min(faces, key=lambda found: _off_centre(found, image))
        stages = self.pipeline.stages
        return stages.embedder.embedding(aligned_crop(image, stages.detector.refined(image, face).steady_points))

    def live_probability(self, folder: Path, shot: Shot) -> float | Failure:
        """Return what the passive model says of the largest face, in [0, 1]."""
        image = _picture(folder / shot.file, self.pipeline)
        if isinstance(image, Failure):
            return image
        faces = self._faces(image)
        return self.pipeline.stages.passive.live_probability(image, faces[0].box) if faces else Failure.NO_FACE

    def _faces(self, image: Image) -> list[Face]:
        least = self.pipeline.policy.detector_score_accept
        return [face for face in self.pipeline.stages.detector.faces(image) if face.score >= least]


def each(work: Callable[[Key], Found], keys: Iterable[Key], *, name: str, tick: Tick, threads: int) -> dict[Key, Found]:
    """Return what the work gives for each key, in the order of the keys, however many threads share it."""
    todo = list(keys)
    found: dict[Key, Found] = {}
    tick(name, 0, len(todo))
    with ThreadPoolExecutor(max_workers=threads) as pool:
        for start in range(0, len(todo), AT_ONCE):
            batch = todo[start : start + AT_ONCE]
            for key, result in zip(batch, pool.map(work, batch), strict=True):
                found[key] = result
                tick(name, len(found), len(todo))
    return found


def turned(image: Image, degrees: float) -> Image:
    """Return the picture turned clockwise about its middle, on a canvas that holds all of it."""
    height, width = image.shape[:2]
    angle = math.radians(degrees)
    across = math.ceil(abs(width * math.cos(angle)) + abs(height * math.sin(angle)) - 1e-9)
    down = math.ceil(abs(width * math.sin(angle)) + abs(height * math.cos(angle)) - 1e-9)
    middle = ((width - 1) / 2, (height - 1) / 2)  # of pixel centres
    turn = np.asarray(cv2.getRotationMatrix2D(middle, -degrees, 1.0), np.float64)
    turn[:, 2] += (across - width) / 2, (down - height) / 2
    return np.asarray(cv2.warpAffine(image, turn, (across, down), flags=cv2.INTER_CUBIC), np.uint8)


def _picture(path: Path, pipeline: FacePipeline) -> Image | Failure:
    try:
        return decode_portrait(path.read_bytes(), pipeline.policy)
    except (FrameError, OSError):
        return Failure.UNREADABLE


def _off_centre(face: Face, image: Image) -> float:
    height, width = image.shape[:2]
    across = face.box.x + face.box.width / 2 - width / 2
    down = face.box.y + face.box.height / 2 - height / 2
    return math.hypot(across, down)
