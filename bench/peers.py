"""Are we more accurate than the library most people take, and faster? On the same pictures, in one run.

`python -m bench.peers FOLDER [--pairs N] [--json]`, where FOLDER holds `verification_pairs.csv` (`file_a,file_b,same`),
and `verification_images.csv` (`file,person`) if every picture is to be compared with those of all other people.

The peer is `face_recognition` 1.3.0 on dlib. It is installed from PyPI into an environment of its own in the cache
folder, which takes a minute the first time. Picture by picture, first the peer looks and then we do, one thread each;
times are processor time, so that a busy machine blurs them less. A picture in which no face is found counts as refused.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.deployment import BenchError
from face_pipeline import FacePipeline, FacePolicy, ModelError, load_manifest
from face_pipeline.evaluation.errors import EvaluationError
from face_pipeline.evaluation.folders import Pair, read_images, read_pairs
from face_pipeline.evaluation.rates import Trials, threshold_at
from face_pipeline.picture.alignment import aligned_crop
from face_pipeline.picture.decode import decode_portrait
from server.config import load_config

PEER_FILES: Final = (
    "dlib-bin==20.0.1.post1",
    "numpy",
    "Pillow",
    "Click",
    "setuptools<81",
)  # its models want pkg_resources
PEER_ALONE: Final = ("face_recognition==1.3.0", "face_recognition_models==0.3.0")
"""Without what they ask for: `dlib-bin` is dlib, already built, under another name."""
PEER_TOLERANCE: Final = 0.6
"""Distance up to which the peer takes two faces for one person, as its documentation has it."""
INSTALL_SECONDS_MAX: Final = 600
FARS: Final = (1e-3, 1e-4)
Numbers = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """One face as one library sees it."""

    numbers: Numbers | None
    """None when no face was found."""
    detect_ms: float
    describe_ms: float | None
    """Points, alignment and numbers, once the face is found."""


@dataclass(slots=True, kw_only=True)
class Contender:
    """One library under test."""

    name: str
    threshold: float
    """Score from which it calls two faces one person."""
    describe: Callable[[Path], Described]
    score: Callable[[Numbers, Numbers], NDArray[np.float32]]
    """Likeness of one face to many, shape (m, n) and (n,): larger is more alike."""
    found: dict[str, Described] = field(default_factory=dict)


def compared(folder: Path, *, pairs_max: int | None = None, quiet: bool = False) -> dict[str, dict[str, object]]:
    """Return the figures of both, by name.

    Raises:
        BenchError: the peer cannot be installed, or the models are not.
        EvaluationError: the folder does not hold what it should.
    """
    pairs = read_pairs(folder)[:pairs_max]
    files = sorted({name for pair in pairs for name in (pair.file_a, pair.file_b)})
    strangers = _strangers(folder, files, pairs)
    with _peer() as peer:
        contenders = (peer, _ours())
        for contender in contenders:  # the first picture warms up and is not counted
            contender.describe(folder / files[0])
        for name in track(files, description="describing", console=Console(stderr=True, quiet=quiet)):
            for contender in contenders:
                contender.found[name] = contender.describe(folder / name)
    return {contender.name: _figures(contender, pairs, strangers) for contender in contenders}


def _strangers(folder: Path, files: Sequence[str], pairs: Sequence[Pair]) -> list[tuple[str, str]]:
    """Return every two pictures of different people, where the folder says who is who; else the listed ones."""
    if not (folder / "verification_images.csv").exists():
        return [(pair.file_a, pair.file_b) for pair in pairs if not pair.same]
    people = {picture.file: picture.person for picture in read_images(folder)}
    return [(one, two) for one, two in itertools.combinations(files, 2) if people[one] != people[two]]


def _figures(contender: Contender, pairs: Sequence[Pair], strangers: Sequence[tuple[str, str]]) -> dict[str, object]:
    scores = _scores(contender)
    genuine = Trials.of(scores(pair.file_a, pair.file_b) for pair in pairs if pair.same)
    listed = Trials.of(scores(pair.file_a, pair.file_b) for pair in pairs if not pair.same)
    impostor = Trials.of(scores(one, two) for one, two in strangers)
    found = contender.found.values()
    seen = [one for one in found if one.describe_ms is not None]
    refused = genuine.refused(contender.threshold)
    figures: dict[str, object] = {
        "pictures": len(found),
        "no_face": len(found) - len(seen),
        "genuine_pairs": len(genuine),
        "impostor_pairs_listed": len(listed),
        "impostor_pairs_all": len(impostor),
        "operating_threshold": contender.threshold,
        "frr_operating": refused.rate,
        "frr_operating_interval": [refused.low, refused.high],
        "false_accepts_operating_listed": listed.accepted_count(contender.threshold),
        "far_operating_all": impostor.accepted(contender.threshold).rate,
        "tar_without_false_accept_listed": genuine.accepted(threshold_at(0.0, listed)).rate,
    }
    for far in FARS:
        figures[f"tar_at_far_{far:g}"] = genuine.accepted(threshold_at(far, impostor)).rate
    describe_ms = [one.describe_ms for one in seen if one.describe_ms is not None]
    return figures | {
        "detect_ms": round(statistics.median(one.detect_ms for one in found), 2),
        "describe_ms": round(statistics.median(describe_ms), 2),
        "both_ms": round(statistics.median(one.detect_ms + (one.describe_ms or 0.0) for one in seen), 2),
    }


def _scores(contender: Contender) -> Callable[[str, str], float | None]:
    """Return what gives the score of two pictures; None where one of them shows no face."""
    places = {name: place for place, name in enumerate(contender.found)}
    numbers = [one.numbers for one in contender.found.values()]
    width = next(len(one) for one in numbers if one is not None)
    matrix = np.array([np.full(width, np.nan, np.float32) if one is None else one for one in numbers], np.float32)
    table = np.array([contender.score(matrix, row) for row in matrix])

    def score(one: str, two: str) -> float | None:
        found = float(table[places[one], places[two]])
        return None if np.isnan(found) else found

    return score


def _ours() -> Contender:
    policy = FacePolicy()
    try:
        models = load_config(None, os.environ).models_dir
        pipeline = FacePipeline.load(manifest=load_manifest(), models_dir=models, policy=policy)
    except ModelError as error:
        raise BenchError(str(error)) from error
    stages = pipeline.stages

    def describe(path: Path) -> Described:
        image = decode_portrait(path.read_bytes(), policy)
        middle = np.array(image.shape[1::-1]) / 2
        started = time.process_time()
        faces = [face for face in stages.detector.faces(image) if face.score >= policy.detector_score_accept]
        between = time.process_time()
        detect_ms = 1000 * (between - started)
        if not faces:
            return Described(numbers=None, detect_ms=detect_ms, describe_ms=None)
        face = min(faces, key=lambda found: float(np.linalg.norm(found.points.mean(axis=0) - middle)))
        crop = aligned_crop(image, stages.detector.refined(image, face).steady_points)
        numbers = stages.embedder.embedding(crop)
        describe_ms = 1000 * (time.process_time() - between)
        return Described(numbers=numbers, detect_ms=detect_ms, describe_ms=describe_ms)

    return Contender(
        name="shualian",
        threshold=policy.similarity_to_pay,
        describe=describe,
        score=lambda many, one: np.asarray(many @ one, np.float32),
    )


@contextmanager
def _peer() -> Iterator[Contender]:
    """Run the peer in its environment for as long as it is needed."""
    python = _peer_python()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    worker = Path(__file__).with_name("peer_face_recognition.py")
    command = [str(python), str(worker)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment, text=True) as process:  # noqa: S603 - ours
        if process.stdin is None or process.stdout is None:
            raise BenchError("the peer has no pipes")
        asked, answers = process.stdin, process.stdout
        yield Contender(
            name="face_recognition",
            threshold=-PEER_TOLERANCE,
            describe=lambda path: _asked(asked, answers, path),
            score=lambda many, one: np.asarray(-np.linalg.norm(many - one, axis=1), np.float32),
        )
        asked.close()


def _asked(asked: IO[str], answers: IO[str], path: Path) -> Described:
    asked.write(f"{path.resolve()}\n")
    asked.flush()
    line = answers.readline()
    if not line:
        raise BenchError("the peer ended before it answered")
    answer = json.loads(line)
    numbers = None if answer["numbers"] is None else np.array(answer["numbers"], np.float32)
    return Described(numbers=numbers, detect_ms=answer["detect_ms"], describe_ms=answer["describe_ms"])


def _peer_python() -> Path:
    """Return the interpreter of the peer's environment, made and filled where it is not there yet."""
    home = load_config(None, os.environ).models_dir.parent / "peers" / "face_recognition"
    python, done = home / "bin" / "python", home / "installed"
    asked_for = "\n".join((*PEER_FILES, *PEER_ALONE))
    if done.is_file() and done.read_text(encoding="utf-8") == asked_for:
        return python
    Console(stderr=True).print(f"installing face_recognition into {home}, once")
    venv.create(home, with_pip=True, clear=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    for command in ([*pip, "--only-binary", "dlib-bin", *PEER_FILES], [*pip, "--no-deps", *PEER_ALONE]):
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS_MAX)  # noqa: S603 - pinned names
        except (OSError, subprocess.SubprocessError) as error:
            last = str(getattr(error, "stderr", None) or error).strip().splitlines()[-1:]
            raise BenchError(f"the peer cannot be installed: {' '.join(last)}") from error
    done.write_text(asked_for, encoding="utf-8")
    return python


def _table(figures: dict[str, dict[str, object]]) -> Table:
    table = Table("figure", *figures, title="Same pictures, one thread each, processor time (median)")
    for name in next(iter(figures.values())):
        table.add_row(name, *(str(found[name]) for found in figures.values()))
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="holds verification_pairs.csv and the pictures it names")
    parser.add_argument("--pairs", type=int, metavar="N", help="only the first N pairs")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    try:
        figures = compared(arguments.folder, pairs_max=arguments.pairs, quiet=arguments.json)
    except (BenchError, EvaluationError) as error:
        sys.exit(f"bench: {error}")
    if arguments.json:
        print(json.dumps(figures))
    else:
        Console().print(_table(figures))


if __name__ == "__main__":
    main()
