"""Sealed fields open for their own row alone; the blind index finds and does not tell."""

import pytest

from server.credentials.errors import FieldSealError
from server.credentials.sealing import BlindIndex, FieldSeal, derived_key

SEAL = FieldSeal(b"k" * 32)


def test_a_sealed_field_opens_again_and_never_looks_the_same() -> None:
    first = SEAL.seal("某甲", field="name", person_id="p-1")
    second = SEAL.seal("某甲", field="name", person_id="p-1")

    assert SEAL.open(first, field="name", person_id="p-1") == "某甲"
    assert first != second
    assert "某甲".encode() not in first


@pytest.mark.parametrize(
    ("field", "person_id", "change"),
    [
        ("name", "p-2", lambda sealed: sealed),
        ("id_number", "p-1", lambda sealed: sealed),
        ("name", "p-1", lambda sealed: sealed[:-1] + bytes([sealed[-1] ^ 1])),
        ("name", "p-1", lambda sealed: b"\x02" + sealed[1:]),
        ("name", "p-1", lambda sealed: sealed[:5]),
        ("name", "p-1", lambda _: b""),
    ],
    ids=["other person", "other field", "changed", "other format", "cut off", "empty"],
)
def test_a_field_that_was_moved_or_changed_does_not_open(field: str, person_id: str, change: object) -> None:
    sealed = SEAL.seal("某甲", field="name", person_id="p-1")

    with pytest.raises(FieldSealError):
        SEAL.open(change(sealed), field=field, person_id=person_id)  # type: ignore[operator]  # a lambda from above


def test_another_key_does_not_open() -> None:
    with pytest.raises(FieldSealError):
        FieldSeal(b"x" * 32).open(SEAL.seal("某甲", field="name", person_id="p"), field="name", person_id="p")


def test_the_index_depends_on_key_field_and_text() -> None:
    found = {
        BlindIndex(b"k" * 32).of("1", field="id_number"),
        BlindIndex(b"x" * 32).of("1", field="id_number"),
        BlindIndex(b"k" * 32).of("1", field="card_number"),
        BlindIndex(b"k" * 32).of("2", field="id_number"),
    }

    assert len(found) == 4
    assert BlindIndex(b"k" * 32).of("1", field="id_number") in found


def test_keys_for_two_purposes_differ() -> None:
    assert derived_key(b"k" * 32, purpose="pin") != derived_key(b"k" * 32, purpose="other")


@pytest.mark.parametrize("make", [FieldSeal, BlindIndex, lambda key: derived_key(key, purpose="pin")])
def test_a_short_key_is_refused(make: object) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        make(b"short")  # type: ignore[operator]  # a class or a lambda from above
