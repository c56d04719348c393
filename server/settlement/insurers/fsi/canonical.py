"""How is JSON written the same way every time, and read without losing a digit?

What is signed must be the very text that is sent, and amounts must never pass through a float, in either direction.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from server.settlement.insurers.fsi.errors import AnswerGarbledError

DEPTH_MAX = 32
"""Levels of nesting that are read; an answer has six."""


@dataclass(frozen=True, slots=True)
class Number:
    """A JSON number that is written with exactly these digits."""

    digits: str


Json = str | int | bool | None | Number | Mapping[str, "Json"] | Sequence["Json"]
"""What we write: no floats."""


def json_text(value: Json, *, sort: bool = False) -> str:
    """Return a value as compact JSON with its Chinese as it is.

    Args:
        value: what to write.
        sort: whether keys are sorted, at every depth.
    """
    match value:
        case Number():
            return value.digits
        case Mapping():
            pairs = sorted(value.items()) if sort else value.items()
            return "{" + ",".join(f"{_scalar(key)}:{json_text(item, sort=sort)}" for key, item in pairs) + "}"
        case str() | int() | None:
            return _scalar(value)
        case _:
            return "[" + ",".join(json_text(item, sort=sort) for item in value) + "]"


def sorted_text(value: object) -> str:
    """Return something that was read, as `json_text` with sorted keys writes it; numbers keep their digits."""
    return json_text(_writable(value), sort=True)


def json_from(text: str) -> dict[str, Any]:
    """Read a JSON object; numbers with decimals become Decimal.

    Raises:
        AnswerGarbledError: no JSON, no object, a key twice, NaN, or nested absurdly deep.
    """
    try:
        value = json.loads(
            text, parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_without_repetition
        )
    except (ValueError, RecursionError) as error:
        raise AnswerGarbledError(what="no JSON") from error
    if not isinstance(value, dict):
        raise AnswerGarbledError(what="no JSON object")
    if _depth(value) > DEPTH_MAX:
        raise AnswerGarbledError(what="nested too deep")
    return value


def _scalar(value: str | int | None) -> str:
    return json.dumps(value, ensure_ascii=False)


def _writable(value: object) -> Json:
    match value:
        case dict():
            return {str(key): _writable(item) for key, item in value.items()}
        case list():
            return [_writable(item) for item in value]
        case Decimal():
            return Number(str(value))
        case str() | int() | None:
            return value
        case _:
            raise AnswerGarbledError(what="no JSON value")


def _refuse_constant(constant: str) -> object:
    raise ValueError(constant)


def _without_repetition(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Refuse a key that comes twice: two readers could see two different answers."""
    found = dict(pairs)
    if len(found) != len(pairs):
        msg = "a key comes twice"
        raise ValueError(msg)
    return found


def _depth(value: object) -> int:
    level, depth = [value], 0
    while level and depth <= DEPTH_MAX:
        depth += 1
        level = [
            item
            for holder in level
            for item in (holder.values() if isinstance(holder, dict) else holder if isinstance(holder, list) else ())
        ]
    return depth
