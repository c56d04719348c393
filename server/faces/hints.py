"""In which words is a person told what to do? The texts of `hints.toml`, for terminals without their own."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from shualian.terminal.v1 import face_pb2

LANGUAGES: Final = ("zh", "en")
KEY_PREFIX: Final = "face.hint."
_FILE: Final = Path(__file__).with_name("hints.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class HintText:
    """One hint in words."""

    key: str
    """Stable, for a terminal's own translations."""
    texts: Mapping[str, str]
    """By language."""


@cache
def hint_texts() -> Mapping[int, HintText]:
    """Return the words of each hint, by its number in the protocol.

    Raises:
        KeyError: the file lacks a hint, or a hint a language.
    """
    words = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return {
        number: HintText(key=KEY_PREFIX + name, texts={language: words[name][language] for language in LANGUAGES})
        for number, name in _names()
    }


def _names() -> list[tuple[int, str]]:
    hints = [hint for hint in face_pb2.Hint.values() if hint != face_pb2.HINT_UNSPECIFIED]
    return [(hint, face_pb2.Hint.Name(hint).removeprefix("HINT_").lower()) for hint in hints]
