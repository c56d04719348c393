"""Is there a sentence for whatever a person may be told, in both languages?"""

import tomllib
from importlib.resources import files

import pytest

from server.faces.hints import LANGUAGES, hint_texts
from shualian.terminal.v1 import face_pb2

HINTS = [hint for hint in face_pb2.Hint.values() if hint != face_pb2.HINT_UNSPECIFIED]
WORDS_MAX = {"zh": 20, "en": 70}
"""Characters that fit on one line of a small screen."""


@pytest.mark.parametrize("hint", HINTS, ids=[face_pb2.Hint.Name(hint) for hint in HINTS])
def test_every_hint_is_said_kindly_and_shortly_in_both_languages(hint: face_pb2.Hint.ValueType) -> None:
    words = hint_texts()[hint]

    assert words.key == "face.hint." + face_pb2.Hint.Name(hint).removeprefix("HINT_").lower()
    assert set(words.texts) == set(LANGUAGES)
    for language, text in words.texts.items():
        assert 0 < len(text) <= WORDS_MAX[language]
        assert text == text.strip()
    assert words.texts["zh"] != words.texts["en"]


def test_no_sentence_is_left_over() -> None:
    written = tomllib.loads((files("server.faces") / "hints.toml").read_text("utf-8"))

    assert {f"face.hint.{name}" for name in written} == {words.key for words in hint_texts().values()}
