"""Amounts cross the border exactly, or not at all."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.settlement.insurers.fsi.amounts import fen_from_yuan, yuan_from_fen
from server.settlement.insurers.fsi.canonical import Json, Number, json_from, json_text
from server.settlement.insurers.fsi.errors import AmountUnreadableError, AnswerGarbledError

FEN = st.integers(min_value=-(10**15), max_value=10**15)


@given(FEN)
def test_fen_to_yuan_and_back_are_the_same_fen_as_text_and_as_number(fen: int) -> None:
    yuan = yuan_from_fen(fen)

    sent_as_number = json_from(json_text({"amount": Number(yuan)}))["amount"]

    assert fen_from_yuan(yuan) == fen_from_yuan(sent_as_number) == fen
    assert Decimal(yuan) * 100 == fen


@pytest.mark.parametrize(
    ("written", "fen"),
    [
        ("83.20", 8_320),
        ("83.2", 8_320),
        ("83", 8_300),
        ("0.01", 1),
        ("-0.01", -1),
        ("-83.20", -8_320),
        (Decimal("0.07"), 7),
        (Decimal("1.1"), 110),
        (83, 8_300),
        (0, 0),
    ],
)
def test_amounts_are_read_with_up_to_two_decimals(written: object, fen: int) -> None:
    assert fen_from_yuan(written) == fen


@pytest.mark.parametrize(
    "written",
    [
        *("83.200", "0.001", "8.32E1", "1e2", "", " 1", "1 ", "+1", ".5", "5.", "1,000", "١", "NaN", "--1", "0x10"),
        *("9" * 15, "10000000000000.01"),
        *(Decimal("0.005"), Decimal("83.200"), Decimal("8.32E+3"), Decimal("NaN"), None, True, 83.2, [], {}),
    ],
)
def test_anything_else_is_refused_a_third_decimal_too(written: object) -> None:
    with pytest.raises(AmountUnreadableError):
        fen_from_yuan(written)


@pytest.mark.parametrize("text", ['{"a":NaN}', '{"a":Infinity}', '{"a":1,"a":2}', "[]", "1", "", "{", "[" * 100_000])
def test_json_that_two_readers_could_read_differently_is_refused(text: str) -> None:
    with pytest.raises(AnswerGarbledError):
        json_from(text)


def test_json_nested_absurdly_deep_is_refused() -> None:
    with pytest.raises(AnswerGarbledError):
        json_from('{"a":' * 40 + "1" + "}" * 40)


def test_keys_are_sorted_at_every_depth_and_chinese_stays_as_it_is() -> None:
    value: Json = {"b": [{"d": 1, "c": "刷脸"}], "a": None}

    assert json_text(value, sort=True) == '{"a":null,"b":[{"c":"刷脸","d":1}]}'
    assert json_text(value) == '{"b":[{"d":1,"c":"刷脸"}],"a":null}'
