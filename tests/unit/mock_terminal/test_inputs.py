"""What a verb reads from files: clear errors, and nothing personal in them."""

import io
import json
import sys
from pathlib import Path

import pytest

from mock_terminal.errors import InputError
from mock_terminal.inputs import (
    STDIN,
    card_from,
    claim_from,
    location_from,
    pin_from,
    position_from,
    roots_from,
)

CLAIM = {"id_number": "990000195101010017", "name": "林夏"}


def written(folder: Path, content: str) -> Path:
    path = folder / "input"
    path.write_text(content, encoding="utf-8")
    return path


def test_a_claim_is_read_from_a_file(tmp_path: Path) -> None:
    claim = claim_from(written(tmp_path, json.dumps(CLAIM)))

    assert (claim.id_number, claim.name) == (CLAIM["id_number"], CLAIM["name"])


def test_a_claim_is_read_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(CLAIM)))

    assert claim_from(STDIN).name == CLAIM["name"]


def test_i07_a_claim_says_nothing_of_the_person_in_its_repr(tmp_path: Path) -> None:
    shown = repr(claim_from(written(tmp_path, json.dumps(CLAIM))))

    assert CLAIM["id_number"] not in shown
    assert CLAIM["name"] not in shown


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", '{"id_number": "990000195101010017"}', '{"id_number": 990000195101010017, "name": "林夏"}'],
)
def test_i07_what_is_no_claim_is_refused_without_repeating_it(tmp_path: Path, content: str) -> None:
    with pytest.raises(InputError) as refused:
        claim_from(written(tmp_path, content))

    assert "990000195101010017" not in str(refused.value)


def test_nesting_without_end_is_no_claim(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        claim_from(written(tmp_path, "[" * 100_000))


def test_a_card_needs_number_and_pin(tmp_path: Path) -> None:
    card = card_from(written(tmp_path, '{"card_number": "A12345678", "pin": "274916"}'))

    assert (card.card_number, card.pin) == ("A12345678", "274916")
    with pytest.raises(InputError):
        card_from(written(tmp_path, '{"card_number": "A12345678"}'))


def test_a_pin_is_the_first_line(tmp_path: Path) -> None:
    assert pin_from(written(tmp_path, "274916\n")) == "274916"


@pytest.mark.parametrize("content", ["", "\n274916"])
def test_an_empty_pin_file_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(InputError):
        pin_from(written(tmp_path, content))


@pytest.mark.parametrize("name", ["missing", "."])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        pin_from(tmp_path / name)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_bytes(b"\xff\xfe\xfa")

    with pytest.raises(InputError, match="cannot be read"):
        claim_from(path)


def test_roots_must_be_certificates(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="certificate"):
        roots_from(written(tmp_path, "-----BEGIN NOTHING-----"))


def test_a_position_is_two_numbers_and_none_when_nothing_is_said() -> None:
    position = position_from("30.25,120.15")

    assert position is not None
    assert (position.latitude, position.longitude) == (30.25, 120.15)
    assert position_from("") is None


def test_a_location_is_a_position_with_how_sure_it_is() -> None:
    location = location_from("30.25,120.15")

    assert (location.latitude, location.longitude) == (30.25, 120.15)
    assert location.accuracy_m > 0


@pytest.mark.parametrize("text", ["here", "30.25", "30.25,120.15,7"])
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="two numbers"):
        position_from(text)
    with pytest.raises(InputError, match="two numbers"):
        location_from(text)
