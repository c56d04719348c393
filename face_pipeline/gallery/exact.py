"""The plainest index: every face is compared with every other, in float32. What the others are measured by."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from face_pipeline.frames import Embedding, Template
from face_pipeline.gallery.index import Candidate, Layout
from face_pipeline.gallery.turns import Turns

_ROWS_FIRST = 16


class ExactIndex:
    """A matrix with a row for each person."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._turns = Turns()
        self._rows = np.zeros((_ROWS_FIRST, layout.width), np.float32)
        self._people: list[str] = []
        self._row_of: dict[str, int] = {}

    def add(self, person_id: str, template: Template) -> None:
        """Let the person be found, by this template in the place of any earlier one."""
        embedding = self._layout.of(template)
        with self._turns.writing():
            row = self._row_of.get(person_id)
            if row is None:
                row = self._row_of[person_id] = len(self._people)
                self._people.append(person_id)
                if row == len(self._rows):
                    self._grow()
            self._rows[row] = embedding

    def remove(self, person_id: str) -> bool:
        """Forget the person: the last row takes the place, and its old one is overwritten with zeros."""
        with self._turns.writing():
            row = self._row_of.pop(person_id, None)
            if row is None:
                return False
            last = len(self._people) - 1
            moved = self._people.pop()
            if row != last:
                self._rows[row] = self._rows[last]
                self._people[row] = moved
                self._row_of[moved] = row
            self._rows[last] = 0
            return True

    def search(self, probe: Embedding, *, k: int) -> Sequence[Candidate]:
        """Return the `k` most alike, best first."""
        probe = self._layout.checked(probe)
        with self._turns.reading():
            scores = self._rows[: len(self._people)] @ probe
            best = np.argsort(-scores, kind="stable")[:k]
            return [Candidate(person_id=self._people[row], similarity=float(scores[row])) for row in best]

    def buffers(self) -> Iterator[NDArray[Any]]:
        """Yield all memory in which vectors are kept, for whoever must prove that one is gone."""
        yield self._rows

    def __contains__(self, person_id: object) -> bool:
        """Return whether the person can be found."""
        return person_id in self._row_of

    def __len__(self) -> int:
        """Return how many people can be found."""
        return len(self._people)

    def _grow(self) -> None:
        old = self._rows
        self._rows = np.zeros((2 * len(old), self._layout.width), np.float32)
        self._rows[: len(old)] = old
        old[:] = 0
