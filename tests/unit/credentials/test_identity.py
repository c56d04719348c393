"""ID numbers, names and card numbers in one written form each."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.credentials.errors import CardNumberInvalidError, IdNumberInvalidError, NameInvalidError
from server.credentials.identity import (
    card_number_from_text,
    checksum,
    id_number_from_text,
    masked_id_number,
    masked_name,
    name_from_text,
)

DIGITS = st.text(alphabet="0123456789", min_size=17, max_size=17)


def test_the_example_of_the_standard_has_its_check_character() -> None:
    """GB 11643-1999 gives 11010519491231002X as its example."""
    assert checksum("11010519491231002") == "X"
    assert id_number_from_text("11010519491231002X") == "11010519491231002X"


@given(digits=DIGITS)
def test_exactly_one_check_character_fits(digits: str) -> None:
    fitting = []
    for last in "0123456789X":
        try:
            fitting.append(id_number_from_text(digits + last)[-1])
        except IdNumberInvalidError:
            continue

    assert fitting == [checksum(digits)]


@given(digits=DIGITS, place=st.integers(0, 16), other=st.integers(1, 9))
def test_one_wrong_digit_is_noticed(digits: str, place: int, other: int) -> None:
    wrong = str((int(digits[place]) + other) % 10)

    with pytest.raises(IdNumberInvalidError):
        id_number_from_text(digits[:place] + wrong + digits[place + 1 :] + checksum(digits))


@given(digits=DIGITS, place=st.integers(0, 15))
def test_two_neighbours_swapped_are_noticed(digits: str, place: int) -> None:
    swapped = digits[:place] + digits[place + 1] + digits[place] + digits[place + 2 :]
    if swapped == digits:
        return

    with pytest.raises(IdNumberInvalidError):
        id_number_from_text(swapped + checksum(digits))


@pytest.mark.parametrize("text", ["", "1", "11010519491231002", "11010519491231002Y", "1101051949123100200", "٣" * 18])
def test_what_is_no_id_number_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(IdNumberInvalidError) as caught:
        id_number_from_text(text)

    assert str(caught.value) == ""


def test_a_small_x_full_width_digits_and_spaces_around_are_forgiven() -> None:
    assert id_number_from_text(" 110105194912310０2x ".replace("０", "０")) == "11010519491231002X"


@pytest.mark.parametrize(
    ("typed", "kept"),
    [("  某  甲 ", "某 甲"), ("阿某•甲", "阿某·甲"), ("阿某・甲", "阿某·甲"), ("ＡＢ", "AB"), ("某甲", "某甲")],
)
def test_a_name_has_one_written_form(typed: str, kept: str) -> None:
    assert name_from_text(typed) == kept


@pytest.mark.parametrize("text", ["", "   ", "某" * 51])
def test_an_empty_or_endless_name_is_refused(text: str) -> None:
    with pytest.raises(NameInvalidError):
        name_from_text(text)


def test_a_card_number_has_one_written_form() -> None:
    assert card_number_from_text(" a1234567890 ") == "A1234567890"
    with pytest.raises(CardNumberInvalidError):
        card_number_from_text("A-1")


def test_a_screen_sees_little_of_a_person() -> None:
    assert masked_name("某甲乙") == "某**"
    assert masked_name("某") == "*"
    assert masked_id_number("11010519491231002X") == "110************02X"
