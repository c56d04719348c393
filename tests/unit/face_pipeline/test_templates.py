"""A template rests sealed, and opens only for the person and the key it was sealed for."""

import struct

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from face_pipeline import EmbeddingShapeError, Template, TemplateModelError, TemplateSealError, open_sealed, seal
from face_pipeline.frames import Embedding
from face_pipeline.matching import checked_template, similarity
from face_pipeline.template_keys import HeldKeys, key_id_of
from face_pipeline.templates import key_id_in

KEY = bytes(range(32))
KEYS = HeldKeys(KEY)


def an_embedding(seed: int = 1, size: int = 128) -> Embedding:
    numbers = np.random.default_rng(seed).normal(size=size).astype(np.float32)
    return np.asarray(numbers / np.linalg.norm(numbers), np.float32)


def a_template() -> Template:
    return Template(embedding=an_embedding(), model_id="sface@0123456789abcdef")


def test_i07_a_sealed_template_shows_nothing_of_the_face_and_opens_again() -> None:
    sealed = seal(a_template(), keys=KEYS, person_id="person-1")

    opened = open_sealed(sealed, keys=KEYS, person_id="person-1")

    assert a_template().embedding.tobytes() not in sealed
    assert np.array_equal(opened.embedding, a_template().embedding)
    assert opened.model_id == a_template().model_id


def test_sealing_twice_never_gives_the_same_bytes() -> None:
    assert seal(a_template(), keys=KEYS, person_id="p") != seal(a_template(), keys=KEYS, person_id="p")


def test_a_template_moved_to_another_person_does_not_open() -> None:
    sealed = seal(a_template(), keys=KEYS, person_id="person-1")

    with pytest.raises(TemplateSealError):
        open_sealed(sealed, keys=KEYS, person_id="person-2")


def test_another_key_does_not_open_it() -> None:
    sealed = seal(a_template(), keys=KEYS, person_id="person-1")

    with pytest.raises(TemplateSealError):
        open_sealed(sealed, keys=HeldKeys(bytes(32)), person_id="person-1")


@pytest.mark.parametrize("position", [0, 1, 5, 30, 100, -1])
def test_a_changed_byte_anywhere_does_not_open(position: int) -> None:
    sealed = bytearray(seal(a_template(), keys=KEYS, person_id="person-1"))
    sealed[position] ^= 1

    with pytest.raises(TemplateSealError):
        open_sealed(bytes(sealed), keys=KEYS, person_id="person-1")


@pytest.mark.parametrize("length", [0, 1, 3, 20, 40])
def test_a_shortened_template_does_not_open(length: int) -> None:
    sealed = seal(a_template(), keys=KEYS, person_id="person-1")

    with pytest.raises(TemplateSealError):
        open_sealed(sealed[:length], keys=KEYS, person_id="person-1")


def test_a_short_key_is_refused() -> None:
    with pytest.raises(TemplateSealError, match="32 bytes"):
        HeldKeys(bytes(16))
    with pytest.raises(TemplateSealError, match="no template key"):
        HeldKeys()


def test_the_newest_key_seals_and_every_key_opens() -> None:
    before, after = HeldKeys(KEY), HeldKeys(b"n" * 32, KEY)
    sealed = seal(a_template(), keys=before, person_id="p")
    anew = seal(a_template(), keys=after, person_id="p")

    assert (key_id_in(sealed), key_id_in(anew)) == (key_id_of(KEY), key_id_of(b"n" * 32))
    for each in (sealed, anew):
        assert np.array_equal(open_sealed(each, keys=after, person_id="p").embedding, a_template().embedding)
    with pytest.raises(TemplateSealError):
        open_sealed(anew, keys=before, person_id="p")


def test_a_template_says_which_key_opens_it_and_that_cannot_be_changed() -> None:
    """The name of the key is authenticated: another one, even of a key that is there, does not open it."""
    keys = HeldKeys(KEY, b"n" * 32)
    sealed = seal(a_template(), keys=keys, person_id="p")

    renamed = sealed[:1] + key_id_of(b"n" * 32) + sealed[9:]

    with pytest.raises(TemplateSealError):
        open_sealed(renamed, keys=keys, person_id="p")


def test_what_was_sealed_in_the_first_format_still_opens() -> None:
    """Made the way the platform made it before keys had names; it says none, so every key is tried."""
    model, person, nonce = b"sface@0123456789abcdef", b"person-1", bytes(12)
    bound_to = b"\x01" + struct.pack(">H", len(person)) + person + struct.pack(">H", len(model)) + model
    numbers = a_template().embedding.astype("<f4").tobytes()
    sealed = b"\x01" + struct.pack(">H", len(model)) + model + nonce + AESGCM(KEY).encrypt(nonce, numbers, bound_to)

    opened = open_sealed(sealed, keys=HeldKeys(b"n" * 32, KEY), person_id="person-1")

    assert np.array_equal(opened.embedding, a_template().embedding)
    assert key_id_in(sealed) is None
    for keys, whose in ((HeldKeys(b"n" * 32), "person-1"), (KEYS, "person-2")):
        with pytest.raises(TemplateSealError):
            open_sealed(sealed, keys=keys, person_id=whose)


def test_a_face_is_most_like_itself() -> None:
    one, other = an_embedding(1), an_embedding(2)

    assert similarity(one, one) == pytest.approx(1, abs=1e-6)
    assert -0.5 < similarity(one, other) < 0.5


def test_embeddings_of_different_models_are_not_compared() -> None:
    with pytest.raises(EmbeddingShapeError):
        similarity(an_embedding(size=128), an_embedding(size=512))
    with pytest.raises(EmbeddingShapeError):
        similarity(np.full(128, np.nan, np.float32), an_embedding())
    with pytest.raises(TemplateModelError):
        checked_template(a_template(), "other@0")
