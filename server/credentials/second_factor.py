"""What does somebody add to their face, so that it is sure which of the people who look alike they are?"""

import unicodedata
from enum import StrEnum
from typing import Final

_CHARACTERS: Final = 4
_NOBODY: Final = b""  # as long as nothing that anybody can say: it never fits


class SecondFactor(StrEnum):
    """What is asked; the values are the contract's words (`SecondFactorKind` in face.proto)."""

    ID_NUMBER_LAST_FOUR = "ID_NUMBER_LAST_FOUR"
    PHONE_LAST_FOUR = "PHONE_LAST_FOUR"


def last_four(number: str) -> bytes:
    """Return the end of a number, as it is compared; nothing that fits when there is no number."""
    return number[-_CHARACTERS:].encode() if len(number) >= _CHARACTERS else _NOBODY


def as_typed(text: str) -> str:
    """Return what somebody typed in its one written form: full-width digits and a small x are forgiven."""
    return unicodedata.normalize("NFKC", text).strip().upper()


def is_four(text: str) -> bool:
    """Return whether there are four characters: anything else is wrong without looking."""
    return len(text) == _CHARACTERS
