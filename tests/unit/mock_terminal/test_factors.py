"""What a person says when the face alone does not tell who they are."""

import io
import sys

import pytest

from mock_terminal.errors import InputError
from mock_terminal.factors import second_factors
from shualian.terminal.v1 import face_pb2

ID_NUMBER = face_pb2.SECOND_FACTOR_KIND_ID_NUMBER_LAST_FOUR
PHONE = face_pb2.SECOND_FACTOR_KIND_PHONE_LAST_FOUR
ASKED = face_pb2.SecondFactorAsked(kinds=[ID_NUMBER, PHONE], tries_left=3)


def test_what_was_given_is_said_in_turn_and_the_last_one_again_and_again() -> None:
    answers = second_factors(id_number_last_four="662x", phone_last_four="0017")

    assert answers is not None
    assert [(answer.kind, answer.value) for answer in (answers(ASKED) for _ in range(3))] == [
        (ID_NUMBER, "662X"),
        (PHONE, "0017"),
        (PHONE, "0017"),
    ]


@pytest.mark.parametrize("text", ["123", "12345", "12a4", "X123", "１２３４"])
def test_i07_what_is_no_four_digits_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(InputError) as refused:
        second_factors(id_number_last_four=text, phone_last_four="")

    assert text not in str(refused.value)


def test_without_an_answer_and_without_a_keyboard_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())

    assert second_factors(id_number_last_four="", phone_last_four="") is None
