"""Which pictures are compared with which, what comes out, and which pairs are the worst?"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from face_pipeline.evaluation.drawing import drawn
from face_pipeline.evaluation.errors import TooManyPairsError
from face_pipeline.evaluation.folders import Pair, Picture
from face_pipeline.evaluation.pictures import Shot
from face_pipeline.evaluation.rates import Trials
from face_pipeline.evaluation.run import Run
from face_pipeline.frames import Embedding

WORST_MAX: Final = 12  # pairs of each kind in the report
PICTURES_MAX: Final = 15_000  # of --all-pairs: 112 million similarities, half a gigabyte
ROWS_AT_ONCE: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Worst:
    """One pair at the bad end."""

    file_a: str
    file_b: str
    similarity: float | None
    """None: one of the two could not be scored."""
    wrong: bool
    """Whether it is decided wrongly at the threshold that counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two shots to be compared."""

    first: Shot
    second: Shot


@dataclass(slots=True, kw_only=True)
class Ranking:
    """Keeps the worst pairs while many go by: the least alike genuine ones, or the most alike impostors."""

    sign: int
    kept: list[tuple[float, str, str]] = field(default_factory=list)
    unscored: list[tuple[str, str]] = field(default_factory=list)

    def add(self, similarity: float, file_a: str, file_b: str) -> None:
        """Take one pair into account."""
        self.kept.append((self.sign * similarity, file_a, file_b))
        if len(self.kept) > 50 * WORST_MAX:
            self._cut()

    def worst(self, threshold: float) -> tuple[Worst, ...]:
        """Return them, those without a score first: a right person is refused then."""
        self._cut()
        unscored = [Worst(file_a=a, file_b=b, similarity=None, wrong=True) for a, b in sorted(self.unscored)]
        scored = [
            Worst(
                file_a=a,
                file_b=b,
                similarity=round(self.sign * key, 4),
                wrong=(self.sign * key < threshold) is (self.sign > 0),
            )
            for key, a, b in self.kept
        ]
        return tuple([*unscored, *scored][:WORST_MAX])

    def _cut(self) -> None:
        self.kept = sorted(self.kept)[:WORST_MAX]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be compared."""

    genuine: tuple[Comparison, ...]
    impostor: tuple[Comparison, ...]
    everybody: tuple[Picture, ...] = ()
    """Non-empty: every two of these with different persons are the impostors, in the place of the listed ones."""

    @property
    def shots(self) -> list[Shot]:
        """Every picture to be looked at, once, in a fixed order."""
        listed = (shot for pair in (*self.genuine, *self.impostor) for shot in (pair.first, pair.second))
        known = {*listed, *(Shot(file=picture.file) for picture in self.everybody)}
        return sorted(known, key=lambda shot: (shot.file, shot.degrees))

    @property
    def impostor_pairs(self) -> int:
        """How many pairs of different persons there are."""
        return pairs_of_two_persons(self.everybody) if self.everybody else len(self.impostor)


def plan_of(pairs: tuple[Pair, ...], images: tuple[Picture, ...], run: Run) -> Plan:
    """Return which pictures are compared with which.

    Raises:
        TooManyPairsError: all pairs were asked for, of too many pictures.
    """
    draw, options = run.draw(), run.options
    genuine = drawn([pair for pair in pairs if pair.same], options.limit, draw)
    everybody = drawn(list(images), options.limit, draw) if options.all_pairs else []
    impostor = [] if everybody else drawn([pair for pair in pairs if not pair.same], options.limit, draw)
    if len(everybody) > PICTURES_MAX:
        raise TooManyPairsError(pictures=len(everybody), pictures_max=PICTURES_MAX)
    return Plan(
        genuine=tuple(
            Comparison(
                first=Shot(file=pair.file_a),
                second=Shot(file=pair.file_b, degrees=draw.choice((-1, 1)) * options.rolled_degrees),
            )
            for pair in genuine
        ),
        impostor=tuple(Comparison(first=Shot(file=pair.file_a), second=Shot(file=pair.file_b)) for pair in impostor),
        everybody=tuple(everybody),
    )


def compared(pairs: Sequence[Comparison], found: Mapping[Shot, Embedding], ranking: Ranking) -> Trials:
    """Return the similarities of these pairs; the worst go into the ranking."""
    scores: list[float | None] = []
    for pair in pairs:
        first, second = found.get(pair.first), found.get(pair.second)
        if first is None or second is None:
            scores.append(None)
            if ranking.sign > 0:  # an impostor without a face is refused: nothing went wrong
                ranking.unscored.append((pair.first.file, pair.second.file))
        else:
            likeness = float(np.dot(first, second))
            scores.append(likeness)
            ranking.add(likeness, pair.first.file, pair.second.file)
    return Trials.of(scores)


def everybody_compared(pictures: Sequence[Picture], found: Mapping[Shot, Embedding], ranking: Ranking) -> Trials:
    """Return the similarities of every two pictures that show different persons, some rows at a time."""
    seen = [picture for picture in pictures if Shot(file=picture.file) in found]
    parts = [np.empty(0, np.float32)]
    for scores, rows, columns in _blocks(seen, found):
        parts.append(scores)
        for place in np.argsort(scores)[-WORST_MAX:]:
            ranking.add(float(scores[place]), seen[rows[place]].file, seen[columns[place]].file)
    whole = np.sort(np.concatenate(parts))
    return Trials(scores=whole, unscored=pairs_of_two_persons(pictures) - whole.size)


def pairs_of_two_persons(pictures: Sequence[Picture]) -> int:
    """Return how many pairs of pictures show two different persons."""
    _, counts = np.unique([picture.person for picture in pictures], return_counts=True)
    total = len(pictures)
    return (total * (total - 1) - int((counts * (counts - 1)).sum())) // 2


def _blocks(
    seen: Sequence[Picture], found: Mapping[Shot, Embedding]
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.intp], NDArray[np.intp]]]:
    if not seen:
        return
    matrix = np.stack([found[Shot(file=picture.file)] for picture in seen])
    _, persons = np.unique([picture.person for picture in seen], return_inverse=True)
    for start in range(0, len(seen), ROWS_AT_ONCE):
        rows = np.arange(start, min(start + ROWS_AT_ONCE, len(seen)))
        wanted = (persons[rows, None] != persons[None, :]) & (rows[:, None] < np.arange(len(seen))[None, :])
        first, second = np.nonzero(wanted)
        yield (matrix[rows] @ matrix.T)[first, second], rows[first], second
