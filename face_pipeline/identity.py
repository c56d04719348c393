"""Is it one and the same face from rest to the last action, and whose face is it?

What is matched is not the best frame alone: a print of a face that is half the patient's and half the attacker's is
like enough to both. Whoever lived through the actions must be like the template as well.
"""

from enum import Enum, auto
from typing import Final, Protocol

import numpy as np

from face_pipeline.errors import SessionEndedError
from face_pipeline.frames import Embedding, Image
from face_pipeline.liveness.evidence import Stopwatch, Witness
from face_pipeline.matching import similarity
from face_pipeline.policy import FacePolicy

LENGTH_MIN: Final = 1e-6


class FaceEmbedder(Protocol):
    """Turns aligned crops into embeddings."""

    def embedding(self, crop: Image) -> Embedding:
        """Return the whole embedding: what is compared with a template."""
        ...

    def first(self, crop: Image) -> Embedding:
        """Return the cheap part of it: enough to ask whether somebody is still the same."""
        ...

    def first_of(self, embedding: Embedding) -> Embedding:
        """Return the cheap part of a whole embedding."""
        ...


class SamePerson(Enum):
    """What became of the question whether it is still the same person."""

    YES = auto()
    ANOTHER = auto()
    """Not the face at rest; one such frame may be smeared."""
    STRANGER = auto()
    """The frame that was drawn at random shows somebody else."""
    UNSEEN = auto()
    """There was no frame between to draw from."""


class Identity:
    """The face of one unbroken presence."""

    def __init__(self, *, embedder: FaceEmbedder, policy: FacePolicy, watch: Stopwatch, witness: Witness) -> None:
        self._embedder = embedder
        self._policy = policy
        self._watch = watch
        self._embedding: Embedding | None = None
        self._score = 0.0
        self._ahead: tuple[Image, Embedding] | None = None
        """What the first model says of the frame drawn at random so far."""
        self._acting: tuple[Image, Embedding] | None = None
        """The face that seems to have done the action, before anybody asked for it."""
        self.witness = witness
        """Of the frames since the last action that are neither anchor nor action."""
        self.anchor: Image | None = None
        """Crop of the best frame at rest: what the others are held against, and what is matched."""
        self.cosines: list[float] = []
        """Of each accepted action and of each witness, to the anchor."""
        self._accepted: list[Embedding] = []
        """Of the face in each accepted action."""

    def offer(self, crop: Image, score: float) -> Image | None:
        """Take a frame at rest for the anchor if it is the best so far; return the crop that is left over."""
        if score <= self._score:
            return crop
        left_over, self.anchor, self._score, self._embedding = self.anchor, crop, score, None
        return left_over

    def looks_alike(self, crop: Image, before: Image | None) -> bool:
        """Return whether a face is the face at rest, or the one before.

        A head far to the side is unlike itself at rest, but not unlike itself a moment ago.
        """
        first = self._first(crop)
        if similarity(first, self._first_at_rest()) >= self._policy.continuity_min:
            return True
        return before is not None and similarity(first, self._first(before)) >= self._policy.continuity_min

    def same_person(self, acting: Image) -> SamePerson:
        """Say whether the face in an action, and in the frame drawn at random before it, is the face at rest."""
        if self.witness.crop is None:
            return SamePerson.UNSEEN  # nothing between the actions but the actions
        whole = self._embedding_of(acting)
        cosine = similarity(self._embedder.first_of(whole), self._first_at_rest())
        if cosine < self._policy.continuity_min:
            return SamePerson.ANOTHER
        before = self._cosine(self.witness.crop)
        if before < self._policy.continuity_min:
            return SamePerson.STRANGER
        self.cosines += [cosine, before]
        self._accepted.append(whole)
        self._ahead = None
        return SamePerson.YES

    def prepare(self) -> None:
        """Do ahead what the end of an action will ask for, so that the frame that decides has less to wait for.

        One thing at a time: the face at rest, and then the frame drawn at random so far, and again whenever another one
        was drawn instead: seldom, the later the less.
        """
        drawn = self.witness.crop
        if self.anchor is not None and self._embedding is None:
            self.embedding()
        elif drawn is not None and (self._ahead is None or self._ahead[0] is not drawn):
            self._ahead = drawn, self._first(drawn)

    def embed_ahead(self, acting: Image) -> None:
        """Do what `same_person` will ask for while the passive model, which may refuse the frame, is still at work."""
        if self.witness.crop is not None:
            self._acting = acting, self._embedding_of(acting)

    def cosine_to(self, template: Embedding) -> float:
        """Return how like a template the frame at rest is, or the face in the actions where that is less."""
        seen = [self.embedding(), _middle(self._accepted)] if self._accepted else [self.embedding()]
        return min(similarity(face, template) for face in seen)

    def probe(self) -> Embedding:
        """Return what stands for this face among many: the middle of rest and actions."""
        return _middle([self.embedding(), *self._accepted])

    def embedding(self) -> Embedding:
        """Return the embedding of the best frame at rest.

        It is made when it is first asked for, which is at the first action: the last frame then has less to wait for.
        """
        if self.anchor is None:
            raise SessionEndedError("no frame at rest to compare with")
        if self._embedding is None:
            with self._watch.stage("embed"):
                self._embedding = self._embedder.embedding(self.anchor)
        return self._embedding

    def _embedding_of(self, acting: Image) -> Embedding:
        if self._acting is not None and self._acting[0] is acting:
            return self._acting[1]
        with self._watch.stage("embed"):
            return self._embedder.embedding(acting)

    def _cosine(self, crop: Image) -> float:
        return similarity(self._first(crop), self._first_at_rest())

    def _first(self, crop: Image) -> Embedding:
        if self._ahead is not None and self._ahead[0] is crop:
            return self._ahead[1]
        with self._watch.stage("embed"):
            return self._embedder.first(crop)

    def _first_at_rest(self) -> Embedding:
        return self._embedder.first_of(self.embedding())


def _middle(embeddings: list[Embedding]) -> Embedding:
    """Return the direction between embeddings of one face, unit length."""
    whole = np.sum(embeddings, axis=0)
    return np.asarray(whole / max(float(np.linalg.norm(whole)), LENGTH_MIN), np.float32)
