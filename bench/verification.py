"""How often are the right person refused and the wrong one accepted, on a folder of labelled pairs?

`python -m bench.verification FOLDER [--json]`, where FOLDER holds `verification_pairs.csv` with `file_a,file_b,same`.
"""

import argparse
import csv
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from face_pipeline import FacePolicy, FrameError, load_manifest
from face_pipeline.alignment import aligned_crop
from face_pipeline.decode import decode_portrait
from face_pipeline.frames import Embedding, Face, Image
from face_pipeline.matching import similarity
from face_pipeline.runtime import Models
from face_pipeline.session import Stages
from server.config import load_config

PAIRS = "verification_pairs.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two pictures, and whether they show the same person."""

    file_a: str
    file_b: str
    same: bool


def pairs_in(folder: Path) -> list[Pair]:
    """Return the labelled pairs of a folder."""
    with (folder / PAIRS).open(encoding="utf-8", newline="") as rows:
        return [
            Pair(file_a=row["file_a"], file_b=row["file_b"], same=row["same"].strip() == "1")
            for row in csv.DictReader(rows)
        ]


def verification(folder: Path, *, policy: FacePolicy, quiet: bool = False) -> dict[str, object]:
    """Return error rates at the policy's thresholds; a picture without a face counts as the right person refused."""
    stages = Stages.of(Models.load(load_manifest(), load_config(None, os.environ).models_dir), policy)
    pairs = pairs_in(folder)
    files = sorted({name for pair in pairs for name in (pair.file_a, pair.file_b)})
    embeddings: dict[str, Embedding | None] = {}
    for name in track(files, description="embedding", console=Console(stderr=True, quiet=quiet)):
        embeddings[name] = _embedding(folder / name, stages, policy)
    genuine, impostor = _cosines(pairs, embeddings, same=True), _cosines(pairs, embeddings, same=False)
    figures: dict[str, object] = {
        "images": len(files),
        "failures_to_detect": sum(embedding is None for embedding in embeddings.values()),
        "genuine_pairs": len(genuine),
        "impostor_pairs": len(impostor),
        "impostor_cosine_max": round(max((cosine for cosine in impostor if cosine is not None), default=-1.0), 4),
    }
    for name, threshold in (("to_pay", policy.similarity_to_pay), ("low_value", policy.similarity_low_value)):
        refused = sum(cosine is None or cosine < threshold for cosine in genuine)
        accepted = sum(cosine is not None and cosine >= threshold for cosine in impostor)
        figures |= {
            f"threshold_{name}": threshold,
            f"false_rejects_{name}": refused,
            f"frr_{name}": round(refused / max(len(genuine), 1), 5),
            f"false_accepts_{name}": accepted,
            f"far_{name}": round(accepted / max(len(impostor), 1), 5),
        }
    return figures


def _embedding(path: Path, stages: Stages, policy: FacePolicy) -> Embedding | None:
    try:
        image = decode_portrait(path.read_bytes(), policy)
    except (FrameError, OSError):
        return None
    faces = [face for face in stages.detector.faces(image) if face.score >= policy.detector_score_accept]
    if not faces:
        return None
    face = min(faces, key=lambda found: _off_centre(found, image))  # the labelled person stands in the middle
    return stages.embedder.embedding(aligned_crop(image, stages.detector.refined(image, face).points))


def _off_centre(face: Face, image: Image) -> float:
    height, width = image.shape[:2]
    across = face.box.x + face.box.width / 2 - width / 2
    down = face.box.y + face.box.height / 2 - height / 2
    return float(np.hypot(across, down))


def _cosines(pairs: list[Pair], embeddings: dict[str, Embedding | None], *, same: bool) -> list[float | None]:
    """Return one cosine per pair of the asked kind; None where a face was not found."""
    cosines: list[float | None] = []
    for pair in pairs:
        if pair.same is same:
            first, second = embeddings[pair.file_a], embeddings[pair.file_b]
            cosines.append(None if first is None or second is None else similarity(first, second))
    return cosines


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.verification", description=__doc__)
    parser.add_argument("folder", type=Path, help=f"holds {PAIRS} and the pictures it names")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    figures = verification(arguments.folder, policy=FacePolicy(), quiet=arguments.json)
    if arguments.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:28} {value}")


if __name__ == "__main__":
    main()
