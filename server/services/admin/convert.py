"""What every admin service translates: words of an enum and moments."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

W = TypeVar("W", bound=StrEnum)


def enum_of(names: Any, prefix: str, word: StrEnum | None) -> Any:  # noqa: ANN401  # each enum of a contract is a type of its own
    """Return a word as the contract writes it, by its member's name; UNSPECIFIED for none."""
    return names.Value(f"{prefix}_{word.name if word is not None else 'UNSPECIFIED'}")


def word_of(names: Any, prefix: str, value: int, words: type[W]) -> W | None:  # noqa: ANN401  # as above
    """Return the word that a value of the contract's enum stands for, None for UNSPECIFIED."""
    name = names.Name(value).removeprefix(f"{prefix}_")
    return None if name == "UNSPECIFIED" else words[name]


def when(moment: datetime | None) -> Timestamp | None:
    """Return a moment as the contract writes it; None leaves the field unset."""
    if moment is None:
        return None
    message = Timestamp()
    message.FromDatetime(moment)
    return message


def moment(message: Timestamp) -> datetime:
    """Return a time of the contract, which validation has seen, as an aware moment."""
    return message.ToDatetime(tzinfo=UTC)
