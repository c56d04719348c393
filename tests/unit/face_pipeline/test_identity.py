"""Whose face is it from rest to the last action, and when is a model asked?"""

import numpy as np
import pytest

from face_pipeline import FacePolicy
from face_pipeline.frames import Embedding, Image
from face_pipeline.identity import Identity, SamePerson
from face_pipeline.liveness.evidence import Stopwatch, Witness

HER, HIM, BOTH = 10, 20, 15  # gray of the pictures; BOTH is a print of a face mixed of the two


FACES = {HER: (1, 0), HIM: (0, 1), BOTH: (0.8**0.5, 0.2**0.5)}


class Counting:
    """An embedder that knows three faces by the gray of their pictures, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def embedding(self, crop: Image) -> Embedding:
        """Return the whole embedding, which is the first part here."""
        return self.first(crop)

    def first(self, crop: Image) -> Embedding:
        """Return the face, and count."""
        self.asked += 1
        return np.array(FACES[int(crop[0, 0, 0])], np.float32)

    def first_of(self, embedding: Embedding) -> Embedding:
        """Return it as it is."""
        return embedding


@pytest.fixture
def embedder() -> Counting:
    return Counting()


@pytest.fixture
def identity(embedder: Counting) -> Identity:
    drawn_always = Witness(lambda _: 0)  # each frame that is offered replaces the one before
    identity = Identity(embedder=embedder, policy=FacePolicy(), watch=Stopwatch(), witness=drawn_always)
    identity.offer(_a_crop(HER), 1.0)
    return identity


def test_what_was_prepared_is_not_asked_for_again_when_the_action_is_done(
    identity: Identity, embedder: Counting
) -> None:
    _prepared(identity)
    before = embedder.asked

    assert identity.same_person(_a_crop(HER)) is SamePerson.YES
    assert embedder.asked == before + 1  # the action itself


def test_each_call_prepares_one_thing_and_nothing_twice(identity: Identity, embedder: Counting) -> None:
    identity.witness.offer(_a_crop(HER))

    asked = []
    for _ in range(4):
        identity.prepare()
        asked.append(embedder.asked)

    assert asked == [1, 2, 2, 2]


def test_what_was_drawn_instead_is_prepared_as_well(identity: Identity, embedder: Counting) -> None:
    _prepared(identity)
    identity.witness.offer(_a_crop(HER))
    identity.prepare()
    before = embedder.asked

    assert identity.same_person(_a_crop(HER)) is SamePerson.YES
    assert embedder.asked == before + 1  # the action itself


def test_a_face_that_was_embedded_ahead_is_not_embedded_again(identity: Identity, embedder: Counting) -> None:
    _prepared(identity)
    before, acting = embedder.asked, _a_crop(HER)

    identity.embed_ahead(acting)

    assert identity.same_person(acting) is SamePerson.YES
    assert embedder.asked == before + 1


def test_what_was_embedded_ahead_does_not_speak_for_another_frame(identity: Identity) -> None:
    identity.witness.offer(_a_crop(HER))
    identity.embed_ahead(_a_crop(HER))

    assert identity.same_person(_a_crop(HIM)) is SamePerson.ANOTHER


def test_nothing_is_embedded_ahead_where_there_is_no_frame_between(identity: Identity, embedder: Counting) -> None:
    identity.embed_ahead(_a_crop(HER))

    assert embedder.asked == 0


def test_a_stranger_drawn_after_the_preparation_is_found_all_the_same(identity: Identity) -> None:
    _prepared(identity)
    identity.witness.offer(_a_crop(HIM))

    assert identity.same_person(_a_crop(HER)) is SamePerson.STRANGER


def test_what_was_prepared_for_one_action_does_not_speak_in_the_next(identity: Identity) -> None:
    _prepared(identity)
    assert identity.same_person(_a_crop(HER)) is SamePerson.YES
    identity.witness.begin_again()
    identity.witness.offer(_a_crop(HIM))
    identity.prepare()

    assert identity.same_person(_a_crop(HER)) is SamePerson.STRANGER


def test_i09_whoever_moves_after_a_print_of_a_mixed_face_is_no_more_like_the_template_than_he_is(
    embedder: Counting,
) -> None:
    identity = _mixed(embedder)
    herself = embedder.first(_a_crop(HER))

    assert identity.cosine_to(herself) == pytest.approx(FACES[BOTH][0])  # the print alone would match
    assert identity.same_person(_a_crop(HIM)) is SamePerson.YES
    assert identity.cosine_to(herself) == pytest.approx(0, abs=1e-6)


def test_what_is_looked_for_among_many_lies_between_rest_and_actions(embedder: Counting) -> None:
    identity = _mixed(embedder)
    assert identity.same_person(_a_crop(HIM)) is SamePerson.YES

    probe = identity.probe()

    assert float(np.linalg.norm(probe)) == pytest.approx(1)
    for shown in (BOTH, HIM):  # equally far from both
        assert float(probe @ embedder.first(_a_crop(shown))) == pytest.approx(((1 + 0.2**0.5) / 2) ** 0.5)


def test_before_any_action_the_frame_at_rest_stands_for_the_face(identity: Identity, embedder: Counting) -> None:
    assert identity.cosine_to(embedder.first(_a_crop(HER))) == pytest.approx(1)
    assert identity.probe() == pytest.approx(np.array(FACES[HER], np.float32))


def _mixed(embedder: Counting) -> Identity:
    """Return a presence whose frame at rest is a print of two faces mixed."""
    identity = Identity(embedder=embedder, policy=FacePolicy(), watch=Stopwatch(), witness=Witness(lambda _: 0))
    identity.offer(_a_crop(BOTH), 1.0)
    identity.witness.offer(_a_crop(BOTH))
    return identity


def _prepared(identity: Identity) -> None:
    """Draw a frame of her, and do all ahead that the end of an action will ask for."""
    identity.witness.offer(_a_crop(HER))
    identity.prepare()
    identity.prepare()


def _a_crop(gray: int) -> Image:
    return np.full((112, 112, 3), gray, np.uint8)
