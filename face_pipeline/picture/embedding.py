"""Which numbers stand for a face?"""

import math
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import numpy as np

from face_pipeline.beside import Beside
from face_pipeline.frames import Embedding, Image
from face_pipeline.models.runtime import InferenceError, LoadedModel
from face_pipeline.models.weights import embedding_id

NORM_MIN: Final = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedder:
    """One model, or several whose opinions are weighed; each turns a crop into numbers whose cosine means likeness.

    The parts stand one after the other, each of unit length times the root of its weight. The cosine of two such
    embeddings is then the weighed mean of the parts' cosines: whoever stores and searches templates need not know of
    parts.
    """

    parts: tuple[LoadedModel, ...]
    """At least one; the weights in their manifest entries add up to 1."""
    beside: Beside = field(default_factory=Beside)

    @property
    def model_id(self) -> str:
        """What is stored beside each template: embeddings of different models, or weights, cannot be compared."""
        return embedding_id([part.file for part in self.parts])

    def embedding(self, crop: Image) -> Embedding:
        """Return the embedding of an aligned crop, unit length; the parts run beside each other.

        Args:
            crop: 112 x 112 pixels, BGR.

        Raises:
            InferenceError: a model gave no usable numbers.
        """
        others = [self.beside.begin(partial(_unit, part, crop)) for part in self.parts[1:]]
        pieces = [self.first(crop), *(other() for other in others)]
        weights = [np.float32(np.sqrt(part.file.weight)) for part in self.parts]
        return np.concatenate([weight * piece for weight, piece in zip(weights, pieces, strict=True)])

    def first(self, crop: Image) -> Embedding:
        """Return what the first model alone says, unit length: enough to ask whether somebody is still the same.

        Raises:
            InferenceError: the model gave no usable numbers.
        """
        return _unit(self.parts[0], crop)

    def first_of(self, embedding: Embedding) -> Embedding:
        """Return what the first model alone said, out of a whole embedding."""
        leader = self.parts[0].file
        size = leader.output.size if leader.output else len(embedding)
        return np.asarray(embedding[:size] / np.sqrt(leader.weight), np.float32)


def _unit(part: LoadedModel, crop: Image) -> Embedding:
    raw = part.session.run(part.planes(crop))[0][0]
    length = math.sqrt(raw @ raw)
    if not math.isfinite(length) or length < NORM_MIN:
        raise InferenceError("the embedding has no length")
    return np.asarray(raw / length, np.float32)
