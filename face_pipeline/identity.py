"""Is it one and the same face from rest to the last action, and which frame of it is the best?"""

from enum import Enum, auto
from typing import Protocol

from face_pipeline.errors import SessionEndedError
from face_pipeline.frames import Embedding, Image
from face_pipeline.liveness.evidence import Stopwatch, Witness
from face_pipeline.matching import similarity
from face_pipeline.policy import FacePolicy


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
        self.witness = witness
        """Of the frames since the last action that are neither anchor nor action."""
        self.anchor: Image | None = None
        """Crop of the best frame at rest: what the others are held against, and what is matched."""
        self.cosines: list[float] = []
        """Of each accepted action and of each witness, to the anchor."""

    def offer(self, crop: Image, score: float) -> Image | None:
        """Take a frame at rest for the anchor if it is the best so far; return the crop that is left over."""
        if score <= self._score:
            return crop
        left_over, self.anchor, self._score, self._embedding = self.anchor, crop, score, None
        return left_over

    def looks_alike(self, crop: Image) -> bool:
        """Return whether a face is the face at rest."""
        return self._cosine(crop) >= self._policy.continuity_min

    def same_person(self, acting: Image) -> SamePerson:
        """Say whether the face in an action, and in the frame drawn at random before it, is the face at rest."""
        if self.witness.crop is None:
            return SamePerson.UNSEEN  # nothing between the actions but the actions
        cosine = self._cosine(acting)
        if cosine < self._policy.continuity_min:
            return SamePerson.ANOTHER
        before = self._cosine(self.witness.crop)
        if before < self._policy.continuity_min:
            return SamePerson.STRANGER
        self.cosines += [cosine, before]
        return SamePerson.YES

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

    def _cosine(self, crop: Image) -> float:
        anchor = self._embedder.first_of(self.embedding())
        with self._watch.stage("embed"):
            return similarity(self._embedder.first(crop), anchor)
