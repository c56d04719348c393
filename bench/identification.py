"""How long does it take to find one among a million, and is it the right one?

Faces of nobody: clusters of unit vectors, a few looks of each person around a direction, and people themselves in
groups that look alike. Real templates from a folder can be mixed in; everything else that is a face here is SIMULATED.

The yardstick is a bare faiss scan of the same codes in one process, in the same minute. Recall is against a comparison
of every pair in float32.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from face_pipeline.frames import Template
from face_pipeline.gallery import Layout
from face_pipeline.gallery.scan import ScanIndex
from face_pipeline.gallery.segment import QUANTIZER, stepped
from face_pipeline.policy import FacePolicy

LAYOUT = Layout(model_id="bench@0", width=640, first=128)
WEIGHTS = (0.6, 0.4)
TEMPLATES, TEMPLATES_QUICK = 1_000_000, 100_000
PROBES, ROUNDS = 100, 60
GROUP = 50
"""People who share a direction: relatives, or just a type."""
LIKENESS = 0.55
"""Cosine between two looks of one person, of one part; genuine pairs have 0.4 to 0.9."""
BATCH = 20_000
Matrix = NDArray[np.float32]


def measure(quick: bool, *, templates: int | None = None, faces: Path | None = None) -> Mapping[str, object]:  # noqa: FBT001 - the form that `bench.run` calls
    """Return `identification_*`: milliseconds, ratio to bare faiss, recall, bytes."""
    count = templates or (TEMPLATES_QUICK if quick else TEMPLATES)
    policy = FacePolicy()
    real = _real(faces) if faces else np.empty((0, LAYOUT.width), np.float32)
    index = ScanIndex(LAYOUT, shortlist=policy.identify_shortlist)
    bare = faiss.IndexScalarQuantizer(LAYOUT.first, QUANTIZER, faiss.METRIC_INNER_PRODUCT)
    generator = np.random.default_rng(7)
    probed = np.sort(generator.choice(count, PROBES, replace=False))
    probes, best = _filled(index, bare, count=count, probed=probed, real=real, generator=generator)
    wrong = missed = 0
    for probe, wanted in zip(probes, best, strict=True):
        found = index.search(probe, k=policy.identify_candidates_max + 1)
        alike = {person for person, similarity in wanted if similarity >= policy.similarity_identify}
        missed += len(alike - {candidate.person_id for candidate in found})
        wrong += found[0].person_id != wanted[0][0]
    ours_ms, bare_ms = _times(index, bare, probes, policy)
    alike_in_all = sum(similarity >= policy.similarity_identify for each in best for _, similarity in each)
    return {
        "identification_templates": count,
        "identification_real_faces": len(real),
        "identification_p50_ms": statistics.median(ours_ms),
        "identification_p95_ms": float(np.percentile(ours_ms, 95)),
        "identification_bare_p50_ms": statistics.median(bare_ms),
        "identification_ratio": statistics.median(
            [ours / faiss_ for ours, faiss_ in zip(ours_ms, bare_ms, strict=True)]
        ),
        "identification_recall": 1 - missed / max(alike_in_all, 1),
        "identification_first_right": 1 - wrong / len(probes),
        "identification_bytes_per_person": sum(buffer.nbytes for buffer in index.buffers()) / max(len(index), 1),
        "identification_load": os.getloadavg()[0],
    }


def _filled(
    index: ScanIndex,
    bare: faiss.IndexScalarQuantizer,
    *,
    count: int,
    probed: NDArray[np.int64],
    real: Matrix,
    generator: np.random.Generator,
) -> tuple[Matrix, list[list[tuple[str, float]]]]:
    """Fill both, and return probes with the ten most alike of each, by a comparison of all in float32."""
    probes = [_another_look(row, generator) for row in real[: PROBES // 2]]
    wanted = set(probed.tolist())
    people: list[Matrix] = []
    for start in range(0, count, BATCH):
        rows = _people(min(BATCH, count - start), generator)
        take = slice(max(0, start - count + len(real)), max(0, min(start + BATCH, count) - count + len(real)))
        if take.stop > take.start:  # the real ones take the last places
            rows[len(rows) - (take.stop - take.start) :] = real[take]
        for offset, row in enumerate(rows):
            index.add(f"p-{start + offset}", Template(embedding=row, model_id=LAYOUT.model_id))
            if start + offset in wanted:
                probes.append(_another_look(row, generator))
        bare.add(
            np.ascontiguousarray(rows[:, : LAYOUT.first] / np.linalg.norm(rows[:, : LAYOUT.first], axis=1)[:, None])
        )
        people.append(rows.astype(np.float16) if count > TEMPLATES_QUICK else rows)
        _tell(f"\r{start + len(rows):,} of {count:,}")
    _tell("\n")
    return np.array(probes), _exact(people, np.array(probes))


def _exact(people: list[Matrix], probes: Matrix) -> list[list[tuple[str, float]]]:
    """Return the ten most alike of every probe, compared with everybody."""
    best: list[list[tuple[str, float]]] = [[] for _ in probes]
    start = 0
    for rows in people:
        scores = rows.astype(np.float32) @ probes.T  # (person, probe)
        for column in range(len(probes)):
            top = np.argpartition(-scores[:, column], 10)[:10]
            found = [(f"p-{start + row}", float(scores[row, column])) for row in top]
            best[column] = sorted(best[column] + found, key=lambda pair: -pair[1])[:10]
        start += len(rows)
    return best


def _times(
    index: ScanIndex, bare: faiss.IndexScalarQuantizer, probes: Matrix, policy: FacePolicy
) -> tuple[list[float], list[float]]:
    """Take turns, so that a busy moment of the machine hits both."""
    faiss.omp_set_num_threads(1)
    firsts = np.array([stepped(LAYOUT.first_of(probe)) for probe in probes])
    ours: list[float] = []
    theirs: list[float] = []
    for turn in range(ROUNDS):
        probe, first = probes[turn % len(probes)], firsts[turn % len(probes)][None, :]
        ours.append(_ms(partial(index.search, probe, k=policy.identify_candidates_max + 1)))
        theirs.append(_ms(partial(bare.search, first, policy.identify_shortlist)))
    return ours, theirs


def _ms(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - started)


def _people(count: int, generator: np.random.Generator) -> Matrix:
    """Return made-up people in groups that look alike."""
    parts = []
    for weight, size in zip(WEIGHTS, (LAYOUT.first, LAYOUT.width - LAYOUT.first), strict=True):
        groups = generator.standard_normal((count // GROUP + 1, size), np.float32)
        rows = 0.5 * groups[np.arange(count) // GROUP] + generator.standard_normal((count, size), np.float32)
        parts.append(np.float32(np.sqrt(weight)) * rows / np.linalg.norm(rows, axis=1)[:, None])
    return np.concatenate(parts, axis=1)


def _another_look(row: Matrix, generator: np.random.Generator) -> Matrix:
    """Return the same person on another day, each part as alike as LIKENESS."""
    parts = []
    for weight, part in zip(WEIGHTS, np.split(row, [LAYOUT.first]), strict=True):
        noise = generator.standard_normal(len(part), np.float32)
        look = LIKENESS * part / np.linalg.norm(part) + np.sqrt(1 - LIKENESS**2) * noise / np.linalg.norm(noise)
        parts.append(np.sqrt(weight) * look / np.linalg.norm(look))
    return np.concatenate(parts).astype(np.float32)


def _real(folder: Path) -> Matrix:
    """Return the templates of the pictures in a folder: of the largest face in each, whatever its quality."""
    from face_pipeline.picture.alignment import aligned_crop  # noqa: PLC0415 - only where pictures are given
    from face_pipeline.picture.decode import decode_portrait  # noqa: PLC0415 - as above
    from server.config import load_config  # noqa: PLC0415 - as above
    from server.faces.loading import load_faces  # noqa: PLC0415 - as above

    pipeline = load_faces(load_config(None, os.environ))
    found: list[Matrix] = []
    for path in sorted(folder.rglob("*.jpg")):
        picture = decode_portrait(path.read_bytes(), pipeline.policy)
        faces = pipeline.stages.detector.faces(picture)
        if faces:
            face = max(faces, key=lambda each: each.box.area)
            found.append(pipeline.stages.embedder.embedding(aligned_crop(picture, face.steady_points)))
    return np.array(found, np.float32).reshape(-1, LAYOUT.width)


def _tell(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(text)
        sys.stderr.flush()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.identification", description=__doc__)
    parser.add_argument("--templates", type=int, help=f"how many people; {TEMPLATES:,} by default")
    parser.add_argument("--faces", type=Path, help="a folder of pictures whose templates are mixed in")
    parser.add_argument("--quick", action="store_true", help=f"{TEMPLATES_QUICK:,} people")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    figures = measure(arguments.quick, templates=arguments.templates, faces=arguments.faces)
    if arguments.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:34} {value:,.3f}" if isinstance(value, float) else f"{name:34} {value:,}")


if __name__ == "__main__":
    main()
