"""Who is looked for where, in memory: one index of faces for each site or region, and who is in which."""

from collections.abc import Callable, Iterable, Mapping
from threading import Lock

from face_pipeline.frames import Template
from face_pipeline.gallery import GalleryIndex
from server.faces.errors import GalleryOverfullError


class Members:
    """Indexes by place. One thread changes them; any may search."""

    def __init__(self, *, make_index: Callable[[str], GalleryIndex], people_max: int) -> None:
        self._make_index = make_index
        self._people_max = people_max
        self._lock = Lock()
        self._indexes: dict[str, GalleryIndex] = {}
        self._places_of: dict[str, frozenset[str]] = {}
        self._overfull: set[str] = set()
        self.is_outdated = False
        """Whether somebody left a place that was overfull: who was left out there must be loaded."""

    def sizes(self) -> Mapping[str, int]:
        """Return how many people are looked among, by place."""
        with self._lock:
            return {place: len(index) for place, index in self._indexes.items()}

    def index_of(self, place: str) -> GalleryIndex | None:
        """Return the index of a place, None when nobody is looked for there.

        Raises:
            GalleryOverfullError: more people would have to be looked among than is safe.
        """
        with self._lock:
            if place in self._overfull:
                raise GalleryOverfullError(people_max=self._people_max)
            return self._indexes.get(place)

    def put(self, person_id: str, template: Template, places: Iterable[str]) -> None:
        """Let a person be found at these places and no others, by this template."""
        wanted = frozenset(places)
        self._leave(person_id, self._places_of.get(person_id, frozenset()) - wanted)
        for place in wanted:
            self._join(person_id, template, place)
        self._places_of[person_id] = wanted

    def remove(self, person_id: str) -> None:
        """Let a person be found nowhere; the vectors are overwritten before this returns."""
        self._leave(person_id, self._places_of.pop(person_id, frozenset()))

    def _join(self, person_id: str, template: Template, place: str) -> None:
        with self._lock:
            index = self._indexes.get(place)
            if index is None:
                index = self._indexes[place] = self._make_index(place)
            if len(index) >= self._people_max and person_id not in index:
                self._overfull.add(place)
                return
        index.add(person_id, template)

    def _leave(self, person_id: str, places: Iterable[str]) -> None:
        for place in places:
            index = self._indexes[place]
            index.remove(person_id)
            self.is_outdated |= place in self._overfull
            if not len(index):
                with self._lock:
                    del self._indexes[place]
