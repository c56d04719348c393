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
_RNG: Final = np.random.default_rng(20260101)  # which cells make up which bit; another seed is another kind of print
_ORDER: Final = _RNG.permutation(GRID[0] * GRID[1])
_SIGNS: Final = _RNG.choice(np.array([-1, 1], np.float32), GRID[0] * GRID[1]).reshape(BITS, -1)
_ACROSS: Final = np.arange(GRID[0], dtype=np.float32)
_DOWN: Final = np.arange(GRID[1], dtype=np.float32)


def frame_print(image: Image, points: Points) -> bytes:
    """Return what recognises a frame when it is shown again.

    Args:
        image: the whole frame.
        points: five landmarks of its face, in its pixels.

    Returns:
        32 bytes, to be compared by the number of bits in which they differ.
    """
    cells = _cells(image)
    structure = _blurred(cells, FINE)
    structure -= _blurred(cells, COARSE)
    contrast = _blurred(structure * structure, 2 * COARSE)
    np.sqrt(contrast, out=contrast)
    contrast += CONTRAST_FLOOR
    structure /= contrast
    height, width = image.shape[:2]
    structure *= _weights(points * np.array([GRID[0] / width, GRID[1] / height], np.float32))
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
        self._xor: Final = np.empty(
            prints_max, np.uint64
        )  # room to work in: fresh memory would cost more than the search
        self._bits: Final = np.empty(prints_max, np.uint8)
        self._near: Final = np.empty(prints_max, np.bool_)
        self._sessions: Final[dict[int, tuple[str, int]]] = {}  # number: id, and how many of its prints are left
        self._known: Final[set[str]] = set()
        self._count = self._next = self._number = 0
        self._lock: Final = Lock()

    def __len__(self) -> int:
        return self._count

    def remember(self, session_id: str, prints: Sequence[bytes]) -> None:
        """Keep the prints of a session; once, however often it is told."""
        with self._lock:
            self._remember(session_id, prints)

    def recognise(self, session_id: str, prints: Sequence[bytes]) -> Recognised:
        """Return what is known of these frames from other sessions, and keep them as this session's.

        Both in one step: of two sessions that show the same frames at the same time, one is the second.
        """
        with self._lock:
            found = [self._owners_like(each) for each in prints]
            self._remember(session_id, prints)
            mine = self._number_of(session_id)
            return self._recognised([owners[owners[:, 0] != mine] for owners in found])

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
        best = max(counts, key=lambda owner: counts[owner])
        of_any = sum(1 for owners in found if len(owners))
        session_id = self._sessions[best][0] if best in self._sessions else None
        return Recognised(frames=max(counts[best], of_any // 2), session_id=session_id)

    def _owners_like(self, print_: bytes) -> NDArray[np.int64]:
        """Return (session, place) of each remembered print that is this one."""
        words = np.frombuffer(print_, np.uint64)
        # Whoever differs too much in the first quarter differs too much: 97 of 100 are looked at no further.
        count = self._count
        np.bitwise_xor(self._words[0, :count], words[0], out=self._xor[:count])
        np.bitwise_count(self._xor[:count], out=self._bits[:count])
        np.less_equal(self._bits[:count], self._distance_max, out=self._near[:count])
        places = np.flatnonzero(self._near[:count])
        total = self._bits[places].astype(np.uint16)
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
            self._give_up(int(self._owners[self._next]))
            self._words[:, self._next] = np.frombuffer(each, np.uint64)
            self._owners[self._next] = self._number
            self._next = (self._next + 1) % len(self._owners)
            self._count = min(self._count + 1, len(self._owners))

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


def _cells(image: Image) -> NDArray[np.float32]:
    """Return the picture in gray, a pixel for each cell."""
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    while gray.shape[1] >= 2 * GRID[0]:  # gray, and by halves: OpenCV takes a quarter of the time for that
        gray = cv2.resize(gray, (gray.shape[1] // 2, gray.shape[0] // 2), interpolation=cv2.INTER_AREA)
    return cv2.resize(gray, GRID).astype(np.float32)


def _blurred(cells: NDArray[np.float32], width: float) -> NDArray[np.float32]:
    side = 2 * round(3 * width) + 1  # as far as a bell is felt; OpenCV's own choice for floats reaches a third farther
    return np.asarray(cv2.GaussianBlur(cells, (side, side), width), np.float32)


def _weights(points: Points) -> NDArray[np.float32]:
    """Return how much each cell counts: a bell over the face."""
    places: list[list[float]] = points.tolist()
    x, y = (sum(place[axis] for place in places) / len(places) for axis in (0, 1))
    narrow = np.float32(-1 / (2 * (REACH * math.dist(places[0], places[1])) ** 2 + 1e-6))
    across, down = _ACROSS - np.float32(x), _DOWN - np.float32(y)
    return np.asarray(np.exp(across * across * narrow) * np.exp(down * down * narrow)[:, None], np.float32)
