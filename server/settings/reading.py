"""How frozen dataclasses are filled from a TOML file and the environment, with every mistake found at once."""

import ast
import dataclasses
import difflib
import inspect
import re
import textwrap
import tomllib
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from datetime import timedelta
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")

_UNITS = {"ms": 0.001, "s": 1, "min": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|h|d)")
_BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Between:
    """The bounds of a setting, both included; the type is that of the setting."""

    low: float | timedelta
    high: float | timedelta

    def __str__(self) -> str:
        return f"{shown(self.low)} to {shown(self.high)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One row of the configuration reference."""

    key: str
    variable: str
    kind: str
    default: str
    bound: str
    meaning: str


class ConfigError(Exception):
    """The configuration cannot be used; every mistake is listed."""

    reason = "CONFIG_INVALID"

    def __init__(self, *, mistakes: tuple[str, ...]) -> None:
        self.mistakes = mistakes
        super().__init__("; ".join(mistakes))


class _UnfitError(Exception):
    """A value that its setting cannot take."""


def read_settings(cls: type[T], *, path: Path | None, environ: Mapping[str, str], prefix: str) -> T:
    """Fill `cls` from a TOML file and, over it, from variables that start with `prefix`.

    Raises:
        ConfigError: the file cannot be read, a key is unknown, or a value is wrong; all of that at once.
    """
    table = _table_from_file(path)
    mistakes: list[str] = []
    _lay_over(table, cls, environ, prefix, mistakes)
    filled = _filled(cls, table, "", mistakes)
    if mistakes:
        raise ConfigError(mistakes=tuple(mistakes))
    return filled


def settings_of(cls: type, *, prefix: str) -> Iterator[Setting]:
    """Yield one row for each setting of `cls` and its sections, for the reference page."""
    for key, field, hint in _walk(cls):
        kind, bound = _kind_and_bound(hint)
        yield Setting(
            key=key,
            variable=_variable(prefix, key),
            kind=_kind_name(kind),
            default=shown(_default(field)),
            bound=str(bound) if bound else "",
            meaning=_docstrings(_owner(cls, key))[field.name],
        )


def shown(value: object) -> str:
    """Return a setting's value as it would be written in the file."""
    match value:
        case timedelta():
            return _duration_shown(value)
        case bool():
            return str(value).lower()
        case StrEnum():
            return value.value
        case tuple():
            return ", ".join(shown(item) for item in value)
        case None:
            return ""
        case _:
            return str(value)


def duration_from_text(text: str) -> timedelta:
    """Return the duration that a text such as `250ms`, `90s`, `5min`, `12h` or `30d` stands for.

    Raises:
        ValueError: the text is no such thing.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ValueError(text)
    return timedelta(seconds=float(found[1]) * _UNITS[found[2]])


def _duration_shown(value: timedelta) -> str:
    seconds = value.total_seconds()
    for unit in ("d", "h", "min", "s"):
        amount = seconds / _UNITS[unit]
        if amount >= 1 and amount.is_integer():
            return f"{amount:.0f}{unit}"
    return f"{seconds * 1000:g}ms"


def _table_from_file(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(mistakes=(f"{path}: {error}",)) from error


def _lay_over(table: dict[str, Any], cls: type, environ: Mapping[str, str], prefix: str, mistakes: list[str]) -> None:
    """Put variables into the table, where they win over the file."""
    keys = {_variable(prefix, key): key for key, _, _ in _walk(cls)}
    for variable in sorted(name for name in environ if name.startswith(prefix)):
        if variable not in keys:
            mistakes.append(f"environment: unknown variable {variable}{_nearest(variable, keys)}")
            continue
        section, _, name = keys[variable].rpartition(".")
        place = table.setdefault(section, {}) if section else table
        if isinstance(place, dict):
            place[name] = environ[variable]


def _filled(cls: type[T], table: Mapping[str, Any], section: str, mistakes: list[str]) -> T:
    hints = get_type_hints(cls, include_extras=True)
    values: dict[str, Any] = {}
    mistakes += [f"unknown key {_joined(section, name)}{_nearest(name, hints)}" for name in table if name not in hints]
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]  # each caller passes a dataclass
        key = _joined(section, field.name)
        kind, bound = _kind_and_bound(hints[field.name])
        if is_dataclass(kind):
            values[field.name] = _section(kind, table.get(field.name, {}), key, mistakes)
        elif field.name in table:
            try:
                values[field.name] = _within(bound, _value(table[field.name], kind))
            except _UnfitError as error:
                mistakes.append(f"{key}: {error}")
    return cls(**values)


def _section(cls: Any, table: object, key: str, mistakes: list[str]) -> object:  # noqa: ANN401  # the class of a section
    if not isinstance(table, dict):
        mistakes.append(f"{key}: must be a section, written [{key}]")
        return cls()
    return _filled(cls, table, key, mistakes)


def _within(bound: Between | None, value: Any) -> Any:  # noqa: ANN401  # of any type that can be compared
    if bound is not None and value is not None and not bound.low <= value <= bound.high:
        raise _UnfitError(f"{shown(value)} is outside {bound}")
    return value


def _value(raw: object, kind: Any) -> Any:  # noqa: ANN401  # from whatever TOML holds to whatever the field wants
    """Return `raw`, as TOML or the environment gave it, as the type the field asks for."""
    if get_origin(kind) in {Union, types.UnionType}:
        kind = next(item for item in get_args(kind) if item is not type(None))
        return None if raw == "" else _value(raw, kind)
    if get_origin(kind) is tuple:
        items = raw.split(",") if isinstance(raw, str) else raw
        if not isinstance(items, list):
            raise _UnfitError("must be a list of texts")
        return tuple(str(item).strip() for item in items if str(item).strip())
    reader = _READERS.get(kind)
    return reader(raw) if reader else _choice(raw, kind)


def _choice(raw: object, kind: Any) -> object:  # noqa: ANN401  # a StrEnum class
    try:
        return kind(raw)
    except ValueError:
        raise _UnfitError(f"must be one of {', '.join(kind)}") from None


def _boolean(raw: object) -> bool:
    value = _BOOLEANS.get(raw.lower()) if isinstance(raw, str) else raw
    if not isinstance(value, bool):
        raise _UnfitError("must be true or false")
    return value


def _integer(raw: object) -> int:
    if isinstance(raw, str) and re.fullmatch(r"-?\d+", raw):
        return int(raw)
    if isinstance(raw, bool) or not isinstance(raw, int):
        raise _UnfitError("must be a whole number")
    return raw


def _number(raw: object) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise _UnfitError("must be a number")
    try:
        return float(raw)
    except ValueError:
        raise _UnfitError("must be a number") from None


def _text(raw: object) -> str:
    if not isinstance(raw, str):
        raise _UnfitError("must be a text")
    return raw


def _path(raw: object) -> Path:
    return Path(_text(raw)).expanduser()


def _duration(raw: object) -> timedelta:
    try:
        return duration_from_text(_text(raw))
    except ValueError:
        raise _UnfitError('must be a duration such as "250ms", "90s", "5min", "12h" or "30d"') from None


_READERS: dict[Any, Any] = {
    bool: _boolean,
    int: _integer,
    float: _number,
    str: _text,
    Path: _path,
    timedelta: _duration,
}

_KIND_NAMES: dict[Any, str] = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    Path: "path",
    timedelta: "duration",
    Path | None: "path, may be empty",
    tuple[str, ...]: "list of texts",
}


def _walk(cls: Any, section: str = "") -> Iterator[tuple[str, dataclasses.Field[Any], Any]]:  # noqa: ANN401  # a dataclass
    hints = get_type_hints(cls, include_extras=True)
    for field in dataclasses.fields(cls):
        kind, _ = _kind_and_bound(hints[field.name])
        key = _joined(section, field.name)
        if is_dataclass(kind):
            yield from _walk(kind, key)
        else:
            yield key, field, hints[field.name]


def _owner(cls: type, key: str) -> type:
    """Return the class whose body holds the field that `key` names."""
    for name in key.split(".")[:-1]:
        cls = get_type_hints(cls)[name]
    return cls


@cache
def _docstrings(cls: type) -> dict[str, str]:
    """Return the text under each field of a dataclass; it is not kept at run time, so the source is read."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    found: dict[str, str] = {}
    name = ""
    for statement in body.body if isinstance(body, ast.ClassDef) else ():
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name)):
                pass
            case ast.Expr(value=ast.Constant(value=str(text))) if name:
                found[name] = " ".join(text.split())
    return found


def _kind_and_bound(hint: Any) -> tuple[Any, Between | None]:  # noqa: ANN401  # a type, annotated or not
    if get_origin(hint) is Annotated:
        kind, *notes = get_args(hint)
        return kind, next((note for note in notes if isinstance(note, Between)), None)
    return hint, None


def _kind_name(kind: Any) -> str:  # noqa: ANN401  # a type
    return _KIND_NAMES.get(kind) or " or ".join(kind)


def _default(field: dataclasses.Field[Any]) -> object:
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default


def _variable(prefix: str, key: str) -> str:
    return prefix + key.replace(".", "_").upper()


def _joined(section: str, name: str) -> str:
    return f"{section}.{name}" if section else name


def _nearest(name: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""
