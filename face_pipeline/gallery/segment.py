"""How does a stretch of a gallery lie in memory? As faiss scans it, with nothing left over of those who went.

faiss appends and removes by itself, but its memory then keeps what was there: a vector that grew leaves its old copy in
the heap, and one that shrank keeps its tail. So the memory of a segment is laid out here, once for a number of rows,
and overwritten by hand; faiss only ever scans it.
"""

from collections.abc import Iterator
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from face_pipeline.frames import Embedding
from face_pipeline.gallery.index import Layout

_ROWS_FIRST = 16
Half = NDArray[np.float16]
Codes = NDArray[np.uint8]
QUANTIZER = faiss.ScalarQuantizer.QT_8bit_direct_signed
"""One byte a number: half of the time of half precision (8.7 against 18 ms of processor time for a million people)."""
STEPS = 256
"""Steps of a code to 1; a number above 0.49 is cut. A cosine of 128 numbers scatters by 0.002 for it (one sigma)."""
_CODE_MAX = 127
_CODE_ZERO = 128


def stepped(first_part: Embedding) -> Embedding:
    """Return the whole numbers, in -127..127, that stand for a first part in the scan."""
    return np.clip(np.rint(first_part * STEPS), -_CODE_MAX, _CODE_MAX).astype(np.float32)


def coded(first_part: Embedding) -> Codes:
    """Return the same as faiss keeps them."""
    return (stepped(first_part) + _CODE_ZERO).astype(np.uint8)


class Segment:
    """Rows of one gallery: the first part of each embedding for the scan, the whole for the decision.

    The first part is coded in bytes: it only says who comes into question. The whole is kept in half precision, which
    moves a cosine by less than 0.0003.
    """

    def __init__(self, layout: Layout, *, rows_max: int) -> None:
        self._layout = layout
        self._rows_max = rows_max
        self.people: list[str] = []
        """Whose row it is, by row."""
        self._lay_out(min(_ROWS_FIRST, rows_max))

    @property
    def is_full(self) -> bool:
        """Whether no further row fits."""
        return len(self.people) == self._rows_max

    def append(self, person_id: str, embedding: Embedding) -> int:
        """Add a row and return its number."""
        row = len(self.people)
        if row == len(self._firsts):
            self._grow()
        self.people.append(person_id)
        self.write(row, embedding)
        self._scan.ntotal = len(self.people)
        return row

    def write(self, row: int, embedding: Embedding) -> None:
        """Put an embedding in the place of what a row holds."""
        self._firsts[row] = coded(self._layout.first_of(embedding))
        self._wholes[row] = embedding

    def take_out(self, row: int) -> str | None:
        """Remove a row: the last one moves to its place, and the last place is overwritten with zeros.

        Returns:
            Whose row moved, None when none did.
        """
        last = len(self.people) - 1
        moved = self.people.pop()
        if row != last:
            self._firsts[row] = self._firsts[last]
            self._wholes[row] = self._wholes[last]
            self.people[row] = moved
        self._firsts[last] = 0
        self._wholes[last] = 0
        self._scan.ntotal = last
        return moved if row != last else None

    def shortlist(self, first_part: Embedding, k: int) -> tuple[Embedding, NDArray[np.int64]]:
        """Return scores and rows of the `k` whose first part is most alike, best first."""
        faiss.omp_set_num_threads(1)  # of this thread: one query is one scan, and idle helpers would spin beside it
        scores, rows = self._scan.search(stepped(first_part)[None, :], min(k, len(self.people)))
        return scores[0], rows[0]

    def best_of(self, probe: Embedding, rows: NDArray[np.int64], k: int) -> list[tuple[int, float]]:
        """Return those `k` of these rows whose whole embeddings are most alike, best first, and their cosines.

        faiss multiplies half precision as it is; to let numpy widen it first took most of a small search's time.
        """
        picked = faiss.IndexScalarQuantizer(
            self._layout.width, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        )
        picked.add_sa_codes(self._wholes[rows].view(np.uint8))
        scores, places = picked.search(probe[None, :], min(k, len(rows)))
        return [(int(rows[at]), float(score)) for at, score in zip(places[0], scores[0], strict=True)]

    def buffers(self) -> Iterator[NDArray[Any]]:
        """Yield all memory in which vectors are kept."""
        yield self._firsts
        yield self._wholes

    def _lay_out(self, rows: int) -> None:
        self._scan = faiss.IndexScalarQuantizer(self._layout.first, QUANTIZER, faiss.METRIC_INNER_PRODUCT)
        self._scan.codes.resize(rows * self._scan.code_size)
        self._firsts: Codes = np.asarray(_Codes(self._scan, (rows, self._layout.first)))
        self._firsts[:] = 0
        self._wholes: Half = np.zeros((rows, self._layout.width), np.float16)

    def _grow(self) -> None:
        firsts, wholes = self._firsts, self._wholes
        self._lay_out(min(2 * len(firsts), self._rows_max))
        self._firsts[: len(firsts)] = firsts
        self._wholes[: len(wholes)] = wholes
        firsts[:] = 0
        wholes[:] = 0


class _Codes:
    """Lends the memory of a faiss index to numpy, and keeps the index for as long as somebody looks at it."""

    def __init__(self, scan: faiss.IndexScalarQuantizer, shape: tuple[int, int]) -> None:
        self._scan = scan
        address = int(scan.codes.data())
        self.__array_interface__ = {"data": (address, False), "shape": shape, "typestr": "|u1", "version": 3}
