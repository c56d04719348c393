"""Several models that embed together: their cosines are weighed, and a template remembers who made it."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Event
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

from face_pipeline import InferenceError, Job, load_manifest
from face_pipeline.beside import Beside
from face_pipeline.matching import similarity
from face_pipeline.models.runtime import LoadedModel, OnnxSession
from face_pipeline.models.weights import ModelInput, ModelOutput
from face_pipeline.picture.embedding import Embedder

INPUT = ModelInput(width=112, height=112, channels="BGR")


@dataclass(slots=True)
class Saying:
    """A session that reads its numbers from the first pixels of the picture."""

    size: int
    offset: int
    runs: int = 0

    def run(self, planes: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return the row, less its middle gray."""
        self.runs += 1
        return [planes[0, 0, self.offset, : self.size][None] - 100]


def a_part(name: str, size: int, weight: float, offset: int = 0) -> tuple[LoadedModel, Saying]:
    session = Saying(size=size, offset=offset)
    file = replace(
        load_manifest().model(Job.EMBEDDING),
        name=name,
        installed_sha256=name * 32,
        weight=weight,
        output=ModelOutput(shape="embedding", size=size),
    )
    return LoadedModel(file=file, session=cast("OnnxSession", session), input=INPUT), session


def a_crop(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 255, (112, 112, 3)).astype(np.uint8)


def cosine_of(part: LoadedModel, one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    alone = Embedder(parts=(replace(part, file=replace(part.file, weight=1.0)),))
    return similarity(alone.embedding(one), alone.embedding(other))


def test_the_cosine_of_two_faces_is_the_weighed_mean_of_what_the_models_say() -> None:
    (first, _), (second, _) = a_part("a", 8, 0.6), a_part("b", 20, 0.4, offset=1)
    both, one, other = Embedder(parts=(first, second)), a_crop(1), a_crop(2)

    embedding = both.embedding(one)

    assert embedding.shape == (28,)
    assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-6)
    expected = 0.6 * cosine_of(first, one, other) + 0.4 * cosine_of(second, one, other)
    assert similarity(embedding, both.embedding(other)) == pytest.approx(expected, abs=1e-6)


def test_what_the_first_model_said_can_be_taken_out_again() -> None:
    (first, _), (second, _) = a_part("a", 8, 0.6), a_part("b", 20, 0.4, offset=1)
    both, crop = Embedder(parts=(first, second)), a_crop(3)

    assert both.first_of(both.embedding(crop)) == pytest.approx(both.first(crop), abs=1e-6)


def test_a_part_that_no_thread_has_begun_is_run_by_whoever_waits_for_it() -> None:
    (first, _), (second, session) = a_part("a", 8, 0.6), a_part("b", 20, 0.4, offset=1)
    busy, crop = ThreadPoolExecutor(max_workers=1), a_crop(5)
    free = Event()
    busy.submit(free.wait)

    embedding = Embedder(parts=(first, second), beside=Beside(busy)).embedding(crop)
    free.set()
    busy.shutdown()

    assert session.runs == 1
    assert np.array_equal(embedding, Embedder(parts=(first, second)).embedding(crop))


def test_a_template_names_every_model_and_its_weight() -> None:
    (first, _), (second, _) = a_part("a", 8, 0.6), a_part("b", 20, 0.4)
    (alone, _) = a_part("a", 8, 1.0)
    other_weights = Embedder(parts=(a_part("a", 8, 0.5)[0], a_part("b", 20, 0.5)[0]))

    both = Embedder(parts=(first, second))

    assert both.model_id == "0.6*a@" + "a" * 16 + "+0.4*b@" + "b" * 16
    assert Embedder(parts=(alone,)).model_id == "a@" + "a" * 16
    assert both.model_id != other_weights.model_id


def test_a_model_that_gives_nothing_is_an_error_whichever_it_is() -> None:
    (first, _), (second, _) = a_part("a", 8, 0.6), a_part("b", 20, 0.4, offset=1)
    crop = a_crop(4)
    crop[1] = 100  # the second model reads this row as zeros

    with pytest.raises(InferenceError):
        Embedder(parts=(first, second)).embedding(crop)
