"""Whose face may this be, of those an index found? Nobody, one person, or a few whom the face alone cannot part."""

from collections.abc import Sequence
from dataclasses import dataclass

from face_pipeline.gallery.index import Candidate
from face_pipeline.policy import FacePolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Identification:
    """What a search among many led to. It never settles anything by itself: a second factor always does."""

    candidates: tuple[Candidate, ...]
    """Everybody it may be, best first: alike enough, and not clearly less alike than the best."""
    margin: float | None
    """From the best to the second best of all, candidate or not; None when nobody else was there."""
    is_crowded: bool = False
    """More people look alike than may be asked about, so that it is taken for nobody."""

    @property
    def is_ambiguous(self) -> bool:
        """Whether the face fits several people: twins, or chance."""
        return len(self.candidates) > 1


def identified(found: Sequence[Candidate], policy: FacePolicy) -> Identification:
    """Return who it may be.

    Args:
        found: the most alike, best first; one more than `identify_candidates_max` if there are so many.
        policy: says how alike is alike enough, and how far behind the best is clearly behind.
    """
    margin = found[0].similarity - found[1].similarity if len(found) > 1 else None
    if not found:
        return Identification(candidates=(), margin=None)
    lowest = max(policy.similarity_identify, found[0].similarity - policy.identify_margin)
    candidates = tuple(candidate for candidate in found if candidate.similarity >= lowest)
    if len(candidates) > policy.identify_candidates_max:
        return Identification(candidates=(), margin=margin, is_crowded=True)
    return Identification(candidates=candidates, margin=margin)
