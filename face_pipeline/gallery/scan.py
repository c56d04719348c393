"""How is one found among a million? By a faiss scan of the first part, exact, and then by the whole of the best few."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from face_pipeline.frames import Embedding, Template
from face_pipeline.gallery.index import Candidate, Layout
from face_pipeline.gallery.segment import Segment
from face_pipeline.gallery.turns import Turns

SEGMENT_ROWS_MAX = 131_072
"""Rows of one stretch of memory: 16 MiB to scan. Growing one keeps searches waiting for as long as copying it takes."""


class ScanIndex:
    """Stretches of memory that are scanned one after the other; who goes is replaced by the last of their stretch."""

    def __init__(self, layout: Layout, *, shortlist: int, segment_rows_max: int = SEGMENT_ROWS_MAX) -> None:
        """Take the layout of the embeddings.

        Args:
            layout: of the embedder's model.
            shortlist: how many of the most alike by their first part are compared whole; up to this many people the
                search is exact by construction, beyond by measurement (`bench.identification`).
            segment_rows_max: rows of one stretch of memory.
        """
        self._layout = layout
        self._shortlist = shortlist
        self._segment_rows_max = segment_rows_max
        self._turns = Turns()
        self._segments: list[Segment] = []
        self._place_of: dict[str, tuple[Segment, int]] = {}
        """Person to segment and row."""

    def add(self, person_id: str, template: Template) -> None:
        """Let the person be found, by this template in the place of any earlier one."""
        embedding = self._layout.of(template)
        with self._turns.writing():
            place = self._place_of.get(person_id)
            if place is not None:
                segment, row = place
                segment.write(row, embedding)
                return
            segment = self._with_room()
            self._place_of[person_id] = (segment, segment.append(person_id, embedding))

    def remove(self, person_id: str) -> bool:
        """Forget the person; what held the vector is overwritten before this returns."""
        with self._turns.writing():
            place = self._place_of.pop(person_id, None)
            if place is None:
                return False
            segment, row = place
            moved = segment.take_out(row)
            if moved is not None:
                self._place_of[moved] = place
            if not segment.people:
                self._segments.remove(segment)
            return True

    def search(self, probe: Embedding, *, k: int) -> Sequence[Candidate]:
        """Return the `k` most alike, best first."""
        probe = self._layout.checked(probe)
        wanted = max(k, self._shortlist)
        with self._turns.reading():
            if not self._segments:
                return []
            return self._decided(probe, self._shortlisted(self._layout.first_of(probe), wanted), k)

    def buffers(self) -> Iterator[NDArray[Any]]:
        """Yield all memory in which vectors are kept, for whoever must prove that one is gone."""
        for segment in self._segments:
            yield from segment.buffers()

    def __contains__(self, person_id: object) -> bool:
        """Return whether the person can be found."""
        return person_id in self._place_of

    def __len__(self) -> int:
        """Return how many people can be found."""
        return len(self._place_of)

    def _shortlisted(self, first_part: Embedding, wanted: int) -> list[tuple[Segment, NDArray[np.int64]]]:
        """Return, by segment, the rows of those whose first part is most alike."""
        found = [segment.shortlist(first_part, wanted) for segment in self._segments]
        scores = np.sort(np.concatenate([scores for scores, _ in found]))
        lowest = scores[-wanted] if len(scores) > wanted else scores[0]
        pairs = zip(self._segments, found, strict=True)
        chosen = [(segment, rows[scores >= lowest]) for segment, (scores, rows) in pairs]
        return [(segment, rows) for segment, rows in chosen if len(rows)]

    def _decided(self, probe: Embedding, places: list[tuple[Segment, NDArray[np.int64]]], k: int) -> list[Candidate]:
        """Compare the whole embeddings of the shortlist; records are made of the best alone."""
        best: list[Candidate] = []
        for segment, rows in places:
            found = segment.best_of(probe, rows, k)
            best += [Candidate(person_id=segment.people[row], similarity=similarity) for row, similarity in found]
        return sorted(best, key=lambda candidate: (-candidate.similarity, candidate.person_id))[:k]

    def _with_room(self) -> Segment:
        for segment in self._segments:
            if not segment.is_full:
                return segment
        self._segments.append(Segment(self._layout, rows_max=self._segment_rows_max))
        return self._segments[-1]
