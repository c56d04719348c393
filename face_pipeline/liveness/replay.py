"""Were these frames shown before? A print of each frame, and a memory of prints without any picture.

A print is made of the fine structure of the face and of where in the picture it lies. The same frame, encoded again,
scaled with the whole picture or made brighter, has nearly the same print. The same person on another visit stands a few
millimetres elsewhere, and already that changes a quarter of the bits: a camera never takes the same picture twice.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from face_pipeline.frames import Image, Points

PRINT_BYTES: Final = 32
BITS: Final = 8 * PRINT_BYTES
GRID: Final = (128, 96)
"""Cells across and down; of the whole picture, so that scaling it changes nothing."""
FINE: Final = 1.0
COARSE: Final = 2.5
"""Cells: structure between these two widths counts. Finer is lost in a JPEG of quality 60, coarser is alike on each
visit."""
CONTRAST_FLOOR: Final = 2.0
"""Gray levels, added to the local contrast that structure is measured in: noise on a bare wall stays small."""
REACH: Final = 1.0
"""Eye distances about the middle of the face (standard deviation of the weight): the wall behind, which is the same on
each visit, hardly counts."""

_WORDS: Final = PRINT_BYTES // 8
_NOBODY: Final = np.empty((0, 2), np.int64)
_RNG: Final = np.random.default_rng(20260101)  # which cells make up which bit; another seed is another kind of print
_ORDER: Final = _RNG.permutation(GRID[0] * GRID[1])
_SIGNS: Final = _RNG.choice(np.array([-1, 1], np.float32), GRID[0] * GRID[1]).reshape(BITS, -1)
_ACROSS: Final = np.arange(GRID[0], dtype=np.float32)
_DOWN: Final = np.arange(GRID[1], dtype=np.float32)[:, None]


def frame_print(image: Image, points: Points) -> bytes:
    """Return what recognises a frame when it is shown again.

    Args:
        image: the whole frame.
        points: five landmarks of its face, in its pixels.

    Returns:
        32 bytes, to be compared by the number of bits in which they differ.
    """
    cells = _cells(image)
    structure = _blurred(cells, _FINE_BELL)
    structure -= _blurred(cells, _COARSE_BELL)
    contrast = _blurred(structure * structure, _CONTRAST_BELL)
    np.sqrt(contrast, out=contrast)
    contrast += CONTRAST_FLOOR
    structure /= contrast
    for weights in _weights(image, points):
        structure *= weights
    # Each bit is the sign of a sum over cells of its own, all over the picture: 256 independent questions.
    sums = np.einsum("ij,ij->i", structure.ravel().take(_ORDER).reshape(BITS, -1), _SIGNS)
    return np.packbits(sums > 0).tobytes()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """What was found of a session's frames in earlier sessions."""

    frames: int
    """How many frames speak for a replay: those of one earlier session, or half of those of all together."""
    session_id: str | None
    """The earlier session that most of them are from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Like:
    """What a print was found to be like."""

    owners: NDArray[np.int64]
    """A row of (session, place) for each remembered print that is this one."""
    until: int
    """How many prints had ever been remembered by then: what came later was not looked at."""


class ReplayMemory:
    """The newest prints of all sessions, in memory; searched from end to end. Safe to share between threads."""

    def __init__(self, *, prints_max: int, distance_max: int) -> None:
        """Begin empty.

        Args:
            prints_max: how many are kept; the oldest make room. 36 bytes each.
            distance_max: bits in which two prints of one frame differ at most; see `FacePolicy.replay_distance_max`.
        """
        self._distance_max: Final = distance_max
        self._words: Final = np.zeros((_WORDS, prints_max), np.uint64)
        self._owners: Final = np.full(prints_max, -1, np.int64)
        # Room to work in: fresh memory would cost more than the search.
        self._xor: Final = np.empty(prints_max, np.uint64)
        self._bits: Final = np.empty(prints_max, np.uint8)
        self._near: Final = np.empty(prints_max, np.bool_)
        self._sessions: Final[dict[int, tuple[str, int]]] = {}  # number: id, and how many of its prints are left
        self._known: Final[set[str]] = set()
        self._ever = self._number = 0
        self._lock: Final = Lock()

    def __len__(self) -> int:
        return min(self._ever, len(self._owners))

    def remember(self, session_id: str, prints: Sequence[bytes]) -> None:
        """Keep the prints of a session; once, however often it is told."""
        with self._lock:
            self._remember(session_id, prints)

    def recognise(self, session_id: str, prints: Sequence[bytes], begun: "ReplaySearch | None" = None) -> Recognised:
        """Return what is known of these frames from other sessions, and keep them as this session's.

        Both in one step: of two sessions that show the same frames at the same time, one is the second.

        Args:
            session_id: the session, which is not held against itself.
            prints: of its frames.
            begun: the search for them as far as it came; the answer is the same without, and takes longer.
        """
        with self._lock:
            known = {} if begun is None else begun.found
            found = [self._like(each, known.get(each)).owners for each in prints]
            self._remember(session_id, prints)
            mine = self._number_of(session_id)
            return self._recognised([owners[owners[:, 0] != mine] for owners in found])

    def like(self, print_: bytes) -> _Like:
        """Return what is remembered now and is this print."""
        with self._lock:
            return self._like(print_)

    def _recognised(self, found: list[NDArray[np.int64]]) -> Recognised:
        """Weigh what was found: one array of (session, place) for each print.

        A frame counts once, and so does a remembered one: a single picture cannot speak for many frames.
        """
        frames: dict[int, set[int]] = {}
        places: dict[int, set[int]] = {}
        for index, owners in enumerate(found):
            for owner, place in owners.tolist():
                frames.setdefault(owner, set()).add(index)
                places.setdefault(owner, set()).add(place)
        counts = {owner: min(len(frames[owner]), len(places[owner])) for owner in frames}
        if not counts:
            return Recognised(frames=0, session_id=None)
        best = max(counts, key=lambda owner: (counts[owner], -owner))  # the earlier of two
        of_any = sum(1 for owners in found if len(owners))
        session_id = self._sessions[best][0] if best in self._sessions else None
        return Recognised(frames=max(counts[best], of_any // 2), session_id=session_id)

    def _like(self, print_: bytes, known: _Like | None = None) -> _Like:
        """Return what is remembered and is this print; `known` is what was found when it was asked before."""
        size, ever = len(self._owners), self._ever
        since = 0 if known is None else known.until
        pieces = [] if known is None else [self._left_of(known.owners)]
        first, last = max(since, ever - size), ever  # of all that were ever remembered; their places go round
        while first < last:
            place = first % size
            length = min(last - first, size - place)
            pieces.append(self._near_among(print_, place, place + length))
            first += length
        return _Like(owners=np.concatenate(pieces) if pieces else _NOBODY, until=ever)

    def _left_of(self, owners: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return those that did not have to make room meanwhile."""
        return np.asarray(owners[self._owners[owners[:, 1]] == owners[:, 0]])

    def _near_among(self, print_: bytes, first: int, last: int) -> NDArray[np.int64]:
        """Return (session, place) of each print in these places that is this one."""
        words, size = np.frombuffer(print_, np.uint64), last - first
        # Whoever differs too much in the first quarter differs too much: 97 of 100 are looked at no further.
        np.bitwise_xor(self._words[0, first:last], words[0], out=self._xor[:size])
        np.bitwise_count(self._xor[:size], out=self._bits[:size])
        np.less_equal(self._bits[:size], self._distance_max, out=self._near[:size])
        places = np.flatnonzero(self._near[:size])
        total = self._bits[places].astype(np.uint16)
        places += first
        for row in range(1, _WORDS):
            total += np.bitwise_count(self._words[row, places] ^ words[row])
        places = places[total <= self._distance_max]
        return np.stack([self._owners[places], places], axis=1)

    def _remember(self, session_id: str, prints: Sequence[bytes]) -> None:
        if session_id in self._known or not prints:
            return
        kept = prints[-len(self._owners) :]
        self._number += 1
        self._known.add(session_id)
        self._sessions[self._number] = (session_id, len(kept))
        for each in kept:
            place = self._ever % len(self._owners)
            self._give_up(int(self._owners[place]))
            self._words[:, place] = np.frombuffer(each, np.uint64)
            self._owners[place] = self._number
            self._ever += 1

    def _give_up(self, owner: int) -> None:
        """Take a print from a session; a session without prints is forgotten."""
        if owner < 0:
            return
        session_id, left = self._sessions[owner]
        if left > 1:
            self._sessions[owner] = (session_id, left - 1)
            return
        del self._sessions[owner]
        self._known.discard(session_id)

    def _number_of(self, session_id: str) -> int:
        newest = self._sessions.get(self._number)
        return self._number if newest is not None and newest[0] == session_id else -1


class ReplaySearch:
    """The search for the frames of one session, begun while they come: in the end only what is new is to be searched.

    Belongs to one session, and to one thread at a time.
    """

    def __init__(self, memory: ReplayMemory) -> None:
        self._memory: Final = memory
        self.found: Final[dict[bytes, _Like]] = {}

    def look_for(self, print_: bytes) -> None:
        """Search what is remembered by now."""
        self.found[print_] = self._memory.like(print_)


def _cells(image: Image) -> NDArray[np.float32]:
    """Return the picture in gray, a pixel for each cell."""
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    while gray.shape[1] >= 2 * GRID[0]:  # gray, and by halves: OpenCV takes a quarter of the time for that
        gray = cv2.resize(gray, (gray.shape[1] // 2, gray.shape[0] // 2), interpolation=cv2.INTER_AREA)
    return cv2.resize(gray, GRID).astype(np.float32)


def _bell(width: float) -> NDArray[np.float32]:
    side = 2 * round(3 * width) + 1  # as far as a bell is felt; OpenCV's own choice for floats reaches a third farther
    return np.asarray(cv2.getGaussianKernel(side, width, cv2.CV_32F), np.float32)


_FINE_BELL: Final = _bell(FINE)
_COARSE_BELL: Final = _bell(COARSE)
_CONTRAST_BELL: Final = _bell(2 * COARSE)


def _blurred(cells: NDArray[np.float32], bell: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.sepFilter2D(cells, -1, bell, bell), np.float32)


def _weights(image: Image, points: Points) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return how much each column and each row of cells counts: a bell over the face."""
    height, width = image.shape[:2]
    places = [(x * GRID[0] / width, y * GRID[1] / height) for x, y in points.tolist()]
    x, y = (sum(place[axis] for place in places) / len(places) for axis in (0, 1))
    narrow = np.float32(-1 / (2 * (REACH * math.dist(places[0], places[1])) ** 2 + 1e-6))
    across, down = _ACROSS - np.float32(x), _DOWN - np.float32(y)
    return np.exp(across * across * narrow), np.exp(down * down * narrow)
