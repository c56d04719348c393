"""How alike are two faces, and is that alike enough?"""

import math

import numpy as np

from face_pipeline.errors import EmbeddingShapeError, PolicyError, TemplateModelError
from face_pipeline.frames import Embedding, Template
from face_pipeline.policy import SIMILARITY_FLOOR


def similarity(probe: Embedding, other: Embedding) -> float:
    """Return how alike two faces are.

    Args:
        probe: embedding, shape (n,), unit length.
        other: embedding of the same model, shape (n,), unit length.

    Returns:
        Cosine of the angle between them, in [-1, 1]; 1 means the same direction.

    Raises:
        EmbeddingShapeError: the two come from different models.
    """
    if probe.shape != other.shape or probe.ndim != 1:
        raise EmbeddingShapeError(f"{probe.shape} against {other.shape}")
    cosine = float(np.dot(probe, other))
    if not math.isfinite(cosine):
        raise EmbeddingShapeError("an embedding holds no numbers")
    return min(max(cosine, -1.0), 1.0)


def checked_similarity_min(similarity_min: float) -> float:
    """Return the threshold, if it is one that may decide.

    Raises:
        PolicyError: it is below the floor, or no cosine.
    """
    if not SIMILARITY_FLOOR <= similarity_min < 1:
        raise PolicyError(mistakes=(f"similarity_min must lie in {SIMILARITY_FLOOR}..1, not {similarity_min}",))
    return similarity_min


def checked_template(template: Template, model_id: str) -> Template:
    """Return the template, if the loaded model made it.

    Raises:
        TemplateModelError: another model did.
    """
    if template.model_id != model_id:
        raise TemplateModelError(template_model=template.model_id, loaded_model=model_id)
    return template
