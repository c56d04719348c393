"""Which pictures came out worst? By name; with faces only when somebody asked, because those are personal data."""

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2

from face_pipeline.errors import FrameError
from face_pipeline.evaluation import identification, liveness, pairing, verification
from face_pipeline.evaluation.notice import Figures
from face_pipeline.picture.decode import decode_portrait
from face_pipeline.policy import FacePolicy

THUMBNAIL_SIDE: Final = 96  # pixels
JPEG_QUALITY: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One decision at the bad end."""

    files: tuple[str, ...]
    told: str
    wrong: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Entries of one kind, worst first."""

    title: str
    entries: tuple[Entry, ...]


def sections(figures: Figures) -> list[Section]:
    """Return the worst decisions of every system."""
    match figures:
        case verification.Figures():
            return [
                Section(title=f"{title}, {system.name}", entries=tuple(_pair(one) for one in worst))
                for system in figures.systems
                for title, worst in (
                    ("Genuine pairs least alike", system.worst_genuine),
                    ("Impostor pairs most alike", system.worst_impostor),
                )
            ]
        case liveness.Figures():
            return [
                Section(
                    title=f"{title}, {system.name}",
                    entries=tuple(_shown(one) for one in system.worst if one.live is live),
                )
                for system in figures.systems
                for title, live in (("Attacks most alive", False), ("Living people least alive", True))
            ]
        case identification.Figures():
            return [
                Section(
                    title=f"{title}, {system.name}",
                    entries=tuple(_search(one) for one in system.worst if one.stranger is stranger),
                )
                for system in figures.systems
                for title, stranger in (
                    ("Strangers most like somebody", True),
                    ("Enrolled people least surely found", False),
                )
            ]


def thumbnails(folder: Path, found: list[Section], policy: FacePolicy) -> dict[str, str]:
    """Return file name to picture, small, as a data URI. These are faces: whoever gets them must be allowed to."""
    files = sorted({file for section in found for entry in section.entries for file in entry.files})
    small = {file: _thumbnail(folder / file, policy) for file in files}
    return {file: uri for file, uri in small.items() if uri}


def _thumbnail(path: Path, policy: FacePolicy) -> str:
    try:
        image = decode_portrait(path.read_bytes(), policy)
    except (FrameError, OSError):
        return ""
    scale = THUMBNAIL_SIDE / max(image.shape[:2])
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")


def _pair(one: pairing.Worst) -> Entry:
    told = "no face found" if one.similarity is None else f"cosine {one.similarity:.4f}"
    return Entry(files=(one.file_a, one.file_b), told=told, wrong=one.wrong)


def _shown(one: liveness.Worst) -> Entry:
    return Entry(files=(one.file,), told=f"{one.kind}, live {one.probability:.4f}", wrong=one.wrong)


def _search(one: identification.Worst) -> Entry:
    told = "no face found" if one.similarity is None else f"named {one.named}, cosine {one.similarity:.4f}"
    return Entry(files=(one.file,), told=told, wrong=one.wrong)
