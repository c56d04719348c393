"""What must never stand in a log line, and how is it kept out even when someone passes it?

Three nets, one behind the other (I3, I7). Keys: a field called `pin` or `name` loses its value whatever it is. Types:
only plain values pass; a message, an image, bytes or a record of ours is replaced by the name of its type. Patterns:
what is left of text is searched for ID numbers, tokens, PINs, encoded blobs and Chinese characters (our own texts are
in English, so those are a name, or a site). A line too bare can be mended tomorrow; a leaked face cannot.
"""

import re
from collections.abc import Callable, Mapping, MutableMapping
from datetime import date, timedelta
from enum import Enum
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

REDACTED: Final = "[redacted]"
DEPTH_MAX: Final = 4
ITEMS_MAX: Final = 50
TEXT_MAX: Final = 8_000  # characters; a traceback with its causes fits

FORBIDDEN: Final = re.compile(
    r"(?:^|_)(?:assertion|authorization|bearer|credential|embedding|frame|image|jpeg|jw[est]|nonce|passphrase|password|pem|pin|png"
    r"|portrait|private|secret|seed|signature|template|ticket|token"  # a secret or a picture, anywhere in the key
    r"|card_?n(?:umber|o)|id_?n(?:umber|o)|id_?card|phone)(?:_|$)"
    r"|(?:^|_)(?:name|value)$|^(?:card|data|holder|key|landmarks|patient|person|insured_person|pixels|request|response)$"
)
"""Searched in the key, written in snake case; a hit loses the value, whatever it is."""

PLAIN_KEYS: Final = frozenset(
    {
        "pin_required",
        "token_id",
        "assertion_id",
        "template_count",
        "frame_count",
        "model_name",
        "file_name",
        "host_name",
    }
)
"""Harmless although they carry a forbidden word: an id of a record, a count, or the name of a thing."""

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_FIELD = "name|id_?number|pin|token|ticket|assertion|card_?number|pass(?:word|phrase)|data|nonce|value"
_QUOTED = r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'"
_ESCAPE = r"\\(?:x[0-9a-fA-F]{2}|[0-7]{3})"
_QUOTED_BYTES = rf"\"(?:[^\"\\]|\\.)*?{_ESCAPE}(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*?{_ESCAPE}(?:[^'\\]|\\.)*'"
_DIGEST_OR_ID = r"(?<![0-9a-fA-F])([0-9a-f]{64}|[0-9a-f]{40}|[0-9a-f]{32})(?![0-9a-fA-F])|(?<!\d)\d{17}[\dXx](?!\d)"
_BLOB = r"[\w+/=-]"
_MIXED_BLOB = rf"(?<!{_BLOB})(?={_BLOB}*[a-z])(?={_BLOB}*[A-Z])(?={_BLOB}*\d){_BLOB}{{24,}}"

PATTERNS: Final[tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...]] = (
    (re.compile(r"-----BEGIN [A-Z ]+-----.*?(?:-----END [A-Z ]+-----|\Z)", re.DOTALL), "[pem]"),
    (re.compile(rf"\bb(?:{_QUOTED})|{_QUOTED_BYTES}|(?:{_ESCAPE}){{2,}}"), "[bytes]"),
    (re.compile(rf"(?i)\b({_FIELD})(['\"]?\s*[:=]\s*)b?(?:{_QUOTED})"), r"\1\2" + REDACTED),
    (re.compile(r"(?i)\b(pin)\b(\W{1,3})\d{4,12}"), r"\1\2" + REDACTED),
    (re.compile(r"\b(?:eyJ[\w-]{5,}|[\w-]{16,})\.[\w-]{16,}\.[\w-]*"), "[token]"),
    (re.compile(_DIGEST_OR_ID), lambda found: found[1] or "[id-number]"),
    (re.compile(r"(?<![0-9a-zA-Z])(?![0-9a-f]{64}\b|[0-9a-f]{40}\b|[0-9a-f]{32}\b)[0-9a-fA-F]{24,}"), "[bytes]"),
    (re.compile(_MIXED_BLOB), "[token]"),
    (re.compile(r"[\u3400-\u9fff\uf900-\ufaff·]{2,}"), "[text]"),
)
"""In this order: what is told apart by its surroundings comes before what is told apart by its look."""


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Return the event without anything personal or secret: a structlog processor, the last one before rendering."""
    return {key: (REDACTED if forbidden(key) else clean(value)) for key, value in event.items()}


def forbidden(key: str) -> bool:
    """Tell whether a value under this key must not be logged, whatever it is."""
    return key not in PLAIN_KEYS and FORBIDDEN.search(_HUMP.sub("_", key).lower()) is not None


def clean(value: object, depth: int = 0) -> object:
    """Return what may be logged of a value; below `DEPTH_MAX` only the type is told."""
    match value:
        case Mapping() if depth < DEPTH_MAX:
            items = [(str(key), item) for key, item in list(value.items())[:ITEMS_MAX]]
            return {clean_text(key): REDACTED if forbidden(key) else clean(item, depth + 1) for key, item in items}
        case list() | tuple() | set() | frozenset() if depth < DEPTH_MAX:
            return [clean(item, depth + 1) for item in list(value)[:ITEMS_MAX]]
        case None | bool() | float():
            return value
        case int() if not isinstance(value, Enum):
            text = clean_text(str(value))
            return value if text == str(value) else text
        case _:
            return _clean_scalar(value)


def _clean_scalar(value: object) -> str:
    match value:
        case Enum():
            return value.name
        case str() | UUID() | PurePath() | BaseException() | timedelta() | date():
            return clean_text(str(value))
        case bytes() | bytearray() | memoryview():
            return f"[{len(value)} bytes]"
        case _:
            return f"[{type(value).__name__}]"


def clean_text(text: str) -> str:
    """Return the text with everything that looks personal or secret taken out."""
    if len(text) > TEXT_MAX:
        text = f"{text[:TEXT_MAX]} [cut]"
    for pattern, replacement in PATTERNS:
        text = pattern.sub(replacement, text)
    return text
