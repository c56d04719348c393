"""Who of a labelled folder is enrolled, who knocks, and whom does the gallery name?"""

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from face_pipeline.evaluation.folders import Picture
from face_pipeline.evaluation.pictures import System, Tick
from face_pipeline.frames import Embedding, Template
from face_pipeline.gallery import GalleryIndex, Layout, identified
from face_pipeline.policy import FacePolicy

SIZES: Final = (10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Who is enrolled, who is looked for, and who is a stranger."""

    enrolled: tuple[Picture, ...]
    """One picture of each, in an order that was drawn."""
    mated: tuple[Picture, ...]
    """Other pictures of enrolled people."""
    strangers: tuple[Picture, ...]
    """Every picture of people who are not enrolled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """One look into the gallery."""

    picture: Picture
    named: str = ""
    """The best candidate; empty when the picture showed no face."""
    similarity: float | None = None
    margin: float | None = None
    candidates: tuple[str, ...] = ()
    """Whom the platform would ask a second factor about."""

    @property
    def right(self) -> bool:
        """Whether the best candidate is the person in the picture."""
        return self.named == self.picture.person


def split(pictures: Sequence[Picture], *, share: float, draw: random.Random) -> Split:
    """Return who is enrolled: this share of the people, those with a second picture no likelier than others.

    Somebody enrolled without a second picture only fills the gallery, as most people of a real one do.
    """
    by_person: defaultdict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        by_person[picture.person].append(picture)
    people = sorted(by_person)
    chosen = draw.sample(people, max(1, min(len(people) - 1, round(share * len(people)))))
    enrolled, mated = list[Picture](), list[Picture]()
    for person in chosen:
        first = draw.choice(by_person[person])
        enrolled.append(first)
        mated += [picture for picture in by_person[person] if picture is not first]
    strangers = [picture for person in people if person not in set(chosen) for picture in by_person[person]]
    return Split(enrolled=tuple(enrolled), mated=tuple(mated), strangers=tuple(strangers))


def galleries(
    system: System, roles: Split, found: Mapping[str, Embedding], tick: Tick
) -> Iterator[tuple[int, list[Search]]]:
    """Yield the searches in galleries of each size.

    Those who are enrolled are cut into as many galleries of one size as they fill. Everybody is looked for in their
    own, each stranger in one of them, in turn: so that small galleries are measured by about as many searches.
    """
    whole = len(roles.enrolled)
    for size in (*(size for size in SIZES if size < whole), whole):
        parts = [roles.enrolled[start : start + size] for start in range(0, whole - size + 1, size)]
        searches: list[Search] = []
        for place, part in enumerate(parts):
            inside = {picture.person for picture in part}
            probes = [picture for picture in roles.mated if picture.person in inside]
            searches += _searched(system, part, [*probes, *roles.strangers[place :: len(parts)]], found)
            tick(f"{system.name}, {size} people", place + 1, len(parts))
        yield size, searches


def _searched(
    system: System, enrolled: Sequence[Picture], probes: Sequence[Picture], found: Mapping[str, Embedding]
) -> list[Search]:
    """Return what one gallery says of each probe; an enrolled picture without a face leaves its person out."""
    index = _empty_index(system)
    for picture in enrolled:
        if picture.file in found:
            index.add(picture.person, Template(embedding=found[picture.file], model_id=system.pipeline.model_id))
    return [_search(index, picture, found.get(picture.file), system.pipeline.policy) for picture in probes]


def _empty_index(system: System) -> GalleryIndex:
    from face_pipeline.gallery.scan import ScanIndex  # noqa: PLC0415 - brings faiss

    sizes = [part.file.output.size for part in system.pipeline.stages.embedder.parts if part.file.output]
    layout = Layout(model_id=system.pipeline.model_id, width=sum(sizes), first=sizes[0])
    return ScanIndex(layout, shortlist=system.pipeline.policy.identify_shortlist)


def _search(index: GalleryIndex, picture: Picture, probe: Embedding | None, policy: FacePolicy) -> Search:
    found = () if probe is None else index.search(probe, k=policy.identify_candidates_max + 1)
    if not found:
        return Search(picture=picture)
    decided = identified(found, policy)
    return Search(
        picture=picture,
        named=found[0].person_id,
        similarity=found[0].similarity,
        margin=decided.margin,
        candidates=tuple(candidate.person_id for candidate in decided.candidates),
    )
