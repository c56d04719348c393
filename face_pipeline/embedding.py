"""Which numbers stand for a face?"""

from dataclasses import dataclass

import numpy as np

from face_pipeline.frames import Embedding, Image
from face_pipeline.runtime import InferenceError, LoadedModel

NORM_MIN = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedder:
    """SFace by default; any model that turns an aligned crop into numbers whose cosine means likeness."""

    model: LoadedModel

    @property
    def model_id(self) -> str:
        """What is stored beside each template: embeddings of different models cannot be compared."""
        return self.model.file.model_id

    def embedding(self, crop: Image) -> Embedding:
        """Return the embedding of an aligned crop, unit length.

        Raises:
            InferenceError: the model gave no usable numbers.
        """
        raw = self.model.session.run(self.model.planes(crop))[0][0]
        length = float(np.linalg.norm(raw))
        if not np.isfinite(length) or length < NORM_MIN:
            raise InferenceError("the embedding has no length")
        return np.asarray(raw / length, np.float32)
