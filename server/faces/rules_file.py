"""How are the rules of faces read? The shipped ones, an operator's own over them, and every mistake told at once."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from enum import StrEnum
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, TypeVar

from device_registry.model import SiteKind
from server.faces.errors import FaceRulesError
from server.faces.rules import (
    UNMOVED,
    Band,
    BandName,
    Limits,
    Moves,
    Need,
    Places,
    RuleBook,
    Similarity,
    Standing,
    TypeRules,
)
from shualian.terminal.v1 import types_pb2

W = TypeVar("W", bound=StrEnum)
Table = dict[str, Any]

FEN_MAX: Final = 1_000_000_000  # settlement.proto: the largest bill
TURNS: Final = (2, 6)  # face_pipeline.policy: both sides are needed; six are as many as anybody bears
EXTRAS: Final = (0, 4)
TOLERANCE_METRES_MAX: Final = 5_000  # beyond, the site is no place any more

_MOVES: Final = ("turns", "extras", "turns_solid", "extras_solid")
_BAND: Final = frozenset({"up_to_fen", "similarity", "needs", *_MOVES})
_LIMITS: Final = frozenset({"amount_limit_fen", "pin_free_limit_fen", "staff_may_confirm"})
_PLACES: Final = frozenset({"site_kinds", "regions"})
_OF_TYPES: Final = ("bands", "limits", "places")
_REGION: Final = re.compile(r"[0-9A-Za-z-]{0,32}\*?")
_PRACTITIONER: Final = frozenset({*_MOVES, "tolerance_metres"})
BUSINESS_TYPES: Final = tuple(f"{number:05d}" for number in sorted(types_pb2.BusinessType.values()) if number)
"""National codes of the use types there are."""


def load_rule_book(path: Path | None = None) -> RuleBook:
    """Return the shipped rules, with what a file changes of them.

    Raises:
        FaceRulesError: the file cannot be read, or what it makes of the rules is wrong; lists every mistake.
    """
    if path is None:
        return rule_book_from({})
    try:
        return rule_book_from(tomllib.loads(path.read_text("utf-8")))
    except (OSError, ValueError) as error:  # a TOMLDecodeError and a UnicodeDecodeError are ValueErrors
        raise FaceRulesError(mistakes=[f"{path}: {error}"]) from error


def rule_book_from(changed: Mapping[str, Any]) -> RuleBook:
    """Return the shipped rules with these tables laid over them, setting by setting.

    Raises:
        FaceRulesError: with everything that is wrong in them.
    """
    shipped = tomllib.loads((files("server.faces") / "rules.toml").read_text("utf-8"))
    mistakes = list(_unknown("", changed, shipped))
    both = _laid_over(shipped, changed, "", mistakes)
    by_type: dict[int, TypeRules] = {}
    for code, own in both["types"].items():
        try:
            business_type = business_type_of(code)
        except FaceRulesError as error:
            mistakes += [f"[types.{code}] {mistake}" for mistake in error.mistakes]
            continue
        if not isinstance(own, dict):
            mistakes.append(f"[types.{code}] is no table")
            continue
        mistakes += _unknown(f"types.{code}.", own, _OF_TYPES)
        common = {name: both[name] for name in _OF_TYPES}
        by_type[business_type] = _type_rules(_laid_over(common, own, f"types.{code}.", mistakes), code, mistakes)
    common_rules = _type_rules(both, "", mistakes)
    practitioner = _Section("practitioner", both["practitioner"], _PRACTITIONER, mistakes)
    book = RuleBook(
        common=common_rules,
        by_type=by_type,
        practitioner=practitioner.moves(),
        tolerance_metres=practitioner.count("tolerance_metres", 0, TOLERANCE_METRES_MAX),
    )
    if mistakes:
        raise FaceRulesError(mistakes=list(dict.fromkeys(mistakes)))
    return book


def _laid_over(under: Table, over: Mapping[str, Any], where: str, mistakes: list[str]) -> Table:
    """Return the tables with those of `over` on top, as deep as they go."""
    merged = dict(under)
    for key, value in over.items():
        below = under.get(key)
        if isinstance(below, dict) and not isinstance(value, dict):
            mistakes.append(f"[{where}{key}] is no table")
        elif isinstance(below, dict):
            merged[key] = _laid_over(below, value, f"{where}{key}.", mistakes)
        else:
            merged[key] = value
    return merged


def _type_rules(told: Table, code: str, mistakes: list[str]) -> TypeRules:
    prefix = f"types.{code}." if code else ""
    mistakes += _unknown(f"{prefix}bands.", told["bands"], list(BandName))
    mistakes += _unknown(f"{prefix}limits.", told["limits"], list(Standing))
    bands = tuple(
        _band(name, _Section(f"{prefix}bands.{name}", told["bands"][name], _BAND, mistakes)) for name in BandName
    )
    limits = {
        standing: _limits(_Section(f"{prefix}limits.{standing}", told["limits"][standing], _LIMITS, mistakes))
        for standing in Standing
    }
    mistakes += _contradictions(prefix, bands, limits)
    places = _Section(f"{prefix}places", told["places"], _PLACES, mistakes)
    return TypeRules(
        bands=bands,
        limits=limits,
        places=Places(
            site_kinds=frozenset(kind.value for kind in places.words("site_kinds", SiteKind)),
            regions=places.regions("regions"),
        ),
    )


def _band(name: BandName, section: "_Section") -> Band:
    return Band(
        name=name,
        up_to_fen=section.count("up_to_fen", 1, FEN_MAX),
        similarity=section.word("similarity", Similarity, Similarity.TO_PAY),
        moves=section.moves(),
        needs=section.words("needs", Need),
    )


def _limits(section: "_Section") -> Limits:
    return Limits(
        amount_limit_fen=section.count("amount_limit_fen", 0, FEN_MAX),
        pin_free_limit_fen=section.count("pin_free_limit_fen", 0, FEN_MAX),
        staff_may_confirm=section.flag("staff_may_confirm"),
    )


def _contradictions(prefix: str, bands: tuple[Band, ...], limits: Mapping[Standing, Limits]) -> Iterator[str]:
    for lower, upper in pairwise(bands):
        if lower.up_to_fen >= upper.up_to_fen:
            yield f"[{prefix}bands.{upper.name}] up_to_fen must be above that of {lower.name}"
        if lower.similarity is Similarity.TO_PAY and upper.similarity is Similarity.LOW_VALUE:
            yield f"[{prefix}bands.{upper.name}] similarity must not be laxer than that of {lower.name}"
    for standing, limit in limits.items():
        where = f"[{prefix}limits.{standing}]"
        if limit.pin_free_limit_fen > limit.amount_limit_fen:
            yield f"{where} pin_free_limit_fen must not be above amount_limit_fen"
        if standing in UNMOVED and limit.pin_free_limit_fen:
            yield f"{where} pin_free_limit_fen must be 0: who did not move never pays with the face alone"


def business_type_of(code: str) -> int:
    """Return the business type with this national code, as the protocol counts it: 1301 for 01301.

    Raises:
        FaceRulesError: there is none; lists those there are.
    """
    if code not in BUSINESS_TYPES:
        raise FaceRulesError(mistakes=[f"{code} is no business type; there is {', '.join(BUSINESS_TYPES)}"])
    return int(code)


def _unknown(where: str, told: Mapping[str, Any], known: Any) -> Iterator[str]:  # noqa: ANN401 - what has `in`
    return (f"[{where}{key}] is not known; there is {', '.join(sorted(known))}" for key in told if key not in known)


class _Section:
    """One table of settings; what is wrong in it goes to `mistakes`, and reading goes on."""

    def __init__(self, name: str, told: Any, known: frozenset[str], mistakes: list[str]) -> None:  # noqa: ANN401 - TOML
        self._name = name
        self._told: Table = told if isinstance(told, dict) else {}
        self._mistakes = mistakes
        for key in sorted(self._told.keys() - known):
            self._wrong(key, f"is no setting here; there is {', '.join(sorted(known))}")

    def count(self, key: str, lowest: int, highest: int) -> int:
        value = self._told.get(key)
        if type(value) is not int or not lowest <= value <= highest:
            self._wrong(key, f"is a whole number from {lowest} to {highest}")
            return lowest
        return value

    def flag(self, key: str) -> bool:
        value = self._told.get(key)
        if not isinstance(value, bool):
            self._wrong(key, "is true or false")
            return False
        return value

    def word(self, key: str, words: type[W], default: W) -> W:
        value = self._told.get(key)
        if value not in list(words):
            self._wrong(key, f"is one of {', '.join(words)}")
            return default
        return words(value)

    def words(self, key: str, words: type[W]) -> frozenset[W]:
        value = self._told.get(key)
        if not isinstance(value, list) or any(item not in list(words) for item in value):
            self._wrong(key, f"is a list of {', '.join(words)}")
            return frozenset()
        return frozenset(words(item) for item in value)

    def regions(self, key: str) -> tuple[str, ...]:
        value = self._told.get(key)
        if not isinstance(value, list) or any(
            not isinstance(item, str) or not item or not _REGION.fullmatch(item) for item in value
        ):
            self._wrong(key, 'is a list of regions as in ["330100", "32*", "*"]')
            return ()
        return tuple(value)

    def moves(self) -> Moves:
        return Moves(
            turns=self.count("turns", *TURNS),
            extras=self.count("extras", *EXTRAS),
            turns_solid=self.count("turns_solid", *TURNS),
            extras_solid=self.count("extras_solid", *EXTRAS),
        )

    def _wrong(self, key: str, what: str) -> None:
        self._mistakes.append(f"[{self._name}] {key} {what}")
