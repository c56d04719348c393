"""Who among many is this? What an index of enrolled faces must do, whichever way it does it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from face_pipeline.errors import EmbeddingShapeError
from face_pipeline.frames import Embedding, Template
from face_pipeline.matching import checked_template

NORM_MIN = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Somebody a face may belong to."""

    person_id: str
    similarity: float
    """Cosine of the whole embeddings, in [-1, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How the embeddings of one model are made up.

    A fused embedding is the embeddings of several models one behind the other, each times the root of its weight. The
    first part alone tells most people apart, and is what a long list is looked through by; the whole then decides.
    """

    model_id: str
    width: int
    """Numbers in an embedding."""
    first: int
    """Numbers of its first part; the same as `width` when one model made it."""

    def checked(self, probe: Embedding) -> Embedding:
        """Return the embedding as float32.

        Raises:
            EmbeddingShapeError: it has another shape, or holds no usable numbers.
        """
        if probe.shape != (self.width,):
            raise EmbeddingShapeError(f"{probe.shape} in a gallery of ({self.width},)")
        if not np.isfinite(probe).all() or float(np.linalg.norm(probe[: self.first])) < NORM_MIN:
            raise EmbeddingShapeError("an embedding holds no numbers")
        return np.asarray(probe, np.float32)

    def of(self, template: Template) -> Embedding:
        """Return a template's embedding.

        Raises:
            TemplateModelError: another model made it.
            EmbeddingShapeError: as above.
        """
        return self.checked(checked_template(template, self.model_id).embedding)

    def first_of(self, embedding: Embedding) -> Embedding:
        """Return the first part, scaled to unit length."""
        part = embedding[: self.first]
        return np.asarray(part / np.linalg.norm(part), np.float32)


class GalleryIndex(Protocol):
    """Finds the people a face may belong to. Any thread may search while one adds and removes."""

    def add(self, person_id: str, template: Template) -> None:
        """Let the person be found, by this template in the place of any earlier one.

        Raises:
            TemplateModelError, EmbeddingShapeError: the template is not of the model this index is for.
        """
        ...

    def remove(self, person_id: str) -> bool:
        """Forget the person, vector and all; return whether they were there."""
        ...

    def search(self, probe: Embedding, *, k: int) -> Sequence[Candidate]:
        """Return the `k` most alike, best first; fewer when there are fewer people.

        Raises:
            EmbeddingShapeError: the probe is not of the model this index is for.
        """
        ...

    def __contains__(self, person_id: object) -> bool:
        """Return whether the person can be found."""
        ...

    def __len__(self) -> int:
        """Return how many people can be found."""
        ...
