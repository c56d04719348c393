"""One suite for the port `GalleryIndex`, run against each implementation that lives in memory."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import pytest
from numpy.typing import NDArray

from face_pipeline.frames import Embedding, Template
from face_pipeline.gallery import ExactIndex, GalleryIndex, Layout
from face_pipeline.gallery.scan import ScanIndex
from face_pipeline.gallery.segment import coded
from tests.support.gallery_contract import (
    FUSED,
    MODEL,
    ONE_PART,
    PEOPLE,
    GalleryIndexContract,
    a_face,
    a_template,
    another_look,
    filled,
)


class InMemory(GalleryIndex, Protocol):
    """An index whose memory can be looked through."""

    def buffers(self) -> Iterator[NDArray[Any]]:
        """Yield all memory in which vectors are kept."""


def a_scan(layout: Layout) -> ScanIndex:
    return ScanIndex(layout, shortlist=32, segment_rows_max=50)


@pytest.fixture(params=[ExactIndex, a_scan], ids=["exact", "scan"])
def make(request: pytest.FixtureRequest) -> Callable[[Layout], InMemory]:
    made: Callable[[Layout], InMemory] = request.param
    return made


@pytest.fixture(params=[FUSED, ONE_PART], ids=["fused", "one part"])
def layout(request: pytest.FixtureRequest) -> Layout:
    given: Layout = request.param
    return given


class TestInMemory(GalleryIndexContract):
    """The suite of the port."""


def test_the_scan_finds_what_a_comparison_of_everybody_finds(layout: Layout) -> None:
    """Among those who come into question at all: far below any threshold the order is noise."""
    exact, scan = filled(ExactIndex(layout), layout), filled(a_scan(layout), layout)

    for seed in range(PEOPLE):
        probe = another_look(seed, layout, noise=0.8)
        wanted = [each.person_id for each in exact.search(probe, k=10) if each.similarity >= 0.3]

        assert wanted
        assert [each.person_id for each in scan.search(probe, k=len(wanted))] == wanted


def test_up_to_the_shortlist_the_scan_is_exact_to_the_last(layout: Layout) -> None:
    exact, scan = filled(ExactIndex(layout), layout, people=32), filled(a_scan(layout), layout, people=32)
    probe = another_look(3, layout)

    found, wanted = scan.search(probe, k=32), exact.search(probe, k=32)

    assert {each.person_id for each in found} == {each.person_id for each in wanted}
    for one, other in zip(found, wanted, strict=True):
        assert one.similarity == pytest.approx(other.similarity, abs=3e-4)


def test_the_first_part_alone_does_not_decide() -> None:
    """Two people whose first part is one and the same are told apart by the second."""
    index = a_scan(FUSED)
    one, other = a_face(1, FUSED), a_face(2, FUSED)
    other[: FUSED.first] = one[: FUSED.first]
    index.add("one", Template(embedding=one, model_id=MODEL))
    index.add("other", Template(embedding=other, model_id=MODEL))

    found = index.search(other, k=2)

    assert [each.person_id for each in found] == ["other", "one"]
    assert found[1].similarity < 0.8


def test_a_removed_face_is_in_no_memory_of_the_index_any_more(
    make: Callable[[Layout], InMemory], layout: Layout
) -> None:
    """Neither in its old row nor in a copy: of the first, a middle, and the last row."""
    index = filled(make(layout), layout)
    for seed in (0, 37, PEOPLE - 1):
        before = _holds(index, a_face(seed, layout), layout)

        index.remove(f"p-{seed}")

        assert before
        assert not _holds(index, a_face(seed, layout), layout)


def test_when_everybody_is_gone_nothing_but_zeros_is_left(make: Callable[[Layout], InMemory], layout: Layout) -> None:
    index = filled(make(layout), layout, people=120)
    held = list(index.buffers())

    for seed in range(120):
        index.remove(f"p-{seed}")

    assert index.search(a_face(1, layout), k=3) == []
    assert all(not any(buffer.tobytes()) for buffer in (*held, *index.buffers()))


def test_a_replaced_face_is_in_no_memory_either(make: Callable[[Layout], InMemory], layout: Layout) -> None:
    index = filled(make(layout), layout, people=40)

    index.add("p-7", a_template(7_000, layout))

    assert not _holds(index, a_face(7, layout), layout)
    assert _holds(index, a_face(7_000, layout), layout)


def test_many_may_search_while_one_adds_and_removes(make: Callable[[Layout], InMemory], layout: Layout) -> None:
    """Who stays is found by every search, at any moment; memory moves under the others meanwhile."""
    index = filled(make(layout), layout, people=50)
    probes = [(f"p-{seed}", another_look(seed, layout)) for seed in range(50)]

    def search() -> list[str]:
        return [whose for whose, probe in probes if index.search(probe, k=1)[0].person_id != whose]

    def change() -> None:
        for seed in range(1_000, 1_400):
            index.add(f"p-{seed}", a_template(seed, layout))
        for seed in range(1_000, 1_400):
            index.remove(f"p-{seed}")

    with ThreadPoolExecutor(4) as threads:
        changing = threads.submit(change)
        missed = [each.result() for each in [threads.submit(search) for _ in range(12)]]
        changing.result()

    assert missed == [[]] * 12
    assert len(index) == 50


def _holds(index: InMemory, face: Embedding, layout: Layout) -> bool:
    """Return whether eight neighbouring numbers of a face lie anywhere in the index, in any form it keeps them in."""
    needles = [
        part[at : at + 8].astype(kind).tobytes()
        for part in (face, layout.first_of(face))
        for at in (8, len(part) - 8)
        for kind in (np.float16, np.float32)
    ]
    needles.append(coded(layout.first_of(face)).tobytes())
    return any(needle in buffer.tobytes() for buffer in index.buffers() for needle in needles)
