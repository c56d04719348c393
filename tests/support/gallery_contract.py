"""What every `GalleryIndex` must do; each implementation's tests inherit it and say how one is made."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import pytest

from face_pipeline.errors import EmbeddingShapeError, TemplateModelError
from face_pipeline.frames import Embedding, Template
from face_pipeline.gallery import GalleryIndex, Layout

MODEL = "fused@0123456789abcdef"
FUSED = Layout(model_id=MODEL, width=640, first=128)
ONE_PART = Layout(model_id=MODEL, width=128, first=128)
PEOPLE = 120
"""More than the shortlist and more than one segment of the index under test, so that neither is everything."""

Make = Callable[[Layout], GalleryIndex]
Index = TypeVar("Index", bound=GalleryIndex)


def a_face(seed: int, layout: Layout) -> Embedding:
    """Return a made-up embedding, fused the way the embedder does: each part of unit length times its weight's root."""
    generator = np.random.default_rng(seed)
    parts = [generator.normal(size=layout.first)]
    if layout.width > layout.first:
        parts.append(generator.normal(size=layout.width - layout.first))
    weights = [0.6, 0.4] if len(parts) > 1 else [1.0]
    scaled = [np.sqrt(weight) * part / np.linalg.norm(part) for weight, part in zip(weights, parts, strict=True)]
    return np.concatenate(scaled).astype(np.float32)


def a_template(seed: int, layout: Layout) -> Template:
    """Return the same as a template."""
    return Template(embedding=a_face(seed, layout), model_id=layout.model_id)


def another_look(seed: int, layout: Layout, *, noise: float = 0.5) -> Embedding:
    """Return the same face as a camera sees it on another day."""
    numbers = a_face(seed, layout) + noise * a_face(seed + 1_000_000, layout)
    return np.asarray(numbers / np.linalg.norm(numbers), np.float32)


def filled(index: Index, layout: Layout, people: int = PEOPLE) -> Index:
    """Add people, named `p-` and the seed."""
    for seed in range(people):
        index.add(f"p-{seed}", a_template(seed, layout))
    return index


class GalleryIndexContract:
    """Inherit it, and give the fixtures `make` and `layout`."""

    def test_each_person_is_found_first_and_the_others_in_order(self, make: Make, layout: Layout) -> None:
        """The similarity is the cosine of the whole embeddings."""
        index = filled(make(layout), layout)

        for seed in range(0, PEOPLE, 7):
            probe = another_look(seed, layout)
            found = index.search(probe, k=5)

            assert len(found) == 5
            assert found[0].person_id == f"p-{seed}"
            assert found[0].similarity == pytest.approx(float(probe @ a_face(seed, layout)), abs=3e-4)
            assert [each.similarity for each in found] == sorted((each.similarity for each in found), reverse=True)

    def test_an_empty_gallery_finds_nobody(self, make: Make, layout: Layout) -> None:
        """Nor does it remove anybody."""
        index = make(layout)

        assert index.search(a_face(1, layout), k=5) == []
        assert len(index) == 0
        assert "p-1" not in index
        assert not index.remove("p-1")

    def test_who_is_added_again_is_there_once_and_by_the_newer_face(self, make: Make, layout: Layout) -> None:
        """A new portrait takes the place of the old one."""
        index = make(layout)
        index.add("p-1", a_template(1, layout))
        index.add("p-1", a_template(2, layout))

        [found] = index.search(a_face(2, layout), k=5)

        assert (found.person_id, len(index)) == ("p-1", 1)
        assert found.similarity == pytest.approx(1, abs=5e-4)

    def test_who_is_removed_is_found_no_more_and_everybody_else_is(self, make: Make, layout: Layout) -> None:
        """Rows move when somebody goes; the people do not."""
        index = filled(make(layout), layout)
        gone = set(range(0, PEOPLE, 3))

        assert all(index.remove(f"p-{seed}") for seed in gone)

        assert len(index) == PEOPLE - len(gone)
        for seed in range(PEOPLE):
            best = index.search(another_look(seed, layout), k=1)[0]
            assert (best.person_id == f"p-{seed}") == (seed not in gone)
            assert (f"p-{seed}" in index) == (seed not in gone)

    def test_a_face_of_another_model_is_neither_added_nor_looked_for(self, make: Make, layout: Layout) -> None:
        """Nor one without numbers."""
        index = make(layout)

        with pytest.raises(TemplateModelError):
            index.add("p-1", Template(embedding=a_face(1, layout), model_id="other@0"))
        with pytest.raises(EmbeddingShapeError):
            index.add("p-1", Template(embedding=a_face(1, layout)[:-1], model_id=MODEL))
        for unusable in (a_face(1, layout)[:-1], np.zeros(layout.width, np.float32), a_face(1, layout) * np.nan):
            with pytest.raises(EmbeddingShapeError):
                index.search(np.asarray(unusable, np.float32), k=1)
        assert len(index) == 0
