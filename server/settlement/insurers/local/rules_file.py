"""How are benefit rules read? A TOML file, checked as a whole, every problem named where it is.

A file is never laid over another one: an operator's own stands alone. Half a scheme that is filled up with figures of
an example would pay somebody's money by them.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from device_registry.model import SiteKind
from server.settlement.errors import RulesInvalidError
from server.settlement.insurers.local.rules import PREPAYMENT_TYPES, Chronic, Inpatient, RuleBook, RuleSet, SiteRules
from server.settlement.insurers.local.split import WHOLE_BP, Catastrophic, Tier

DEFAULT_RULES: Final = Path(__file__).with_name("rules.toml")
FEN_MAX: Final = 10**13
"""A hundred billion yuan: beyond it a figure is a mistake, and sums of many stay far below 64 bits."""
_DISEASE: Final = re.compile(r"[A-Za-z0-9._-]{1,32}")  # settlement.proto: Bill.chronic_disease


def load_rules(path: Path | None = None) -> RuleBook:
    """Read and check a rules file, the shipped one when none is named.

    Raises:
        RulesInvalidError: lists every problem.
    """
    path = path or DEFAULT_RULES
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RulesInvalidError(problems=(f"{path.name}: {error}",)) from error
    return rules_from(data)


def rules_from(data: Mapping[str, Any]) -> RuleBook:
    """Return the rules in a parsed TOML document.

    Raises:
        RulesInvalidError: lists every problem.
    """
    problems: list[str] = []
    top = _Table("", data, problems)
    sets = [_rule_set(table) for table in top.tables("rule_sets", "at least one set of rules")]
    top.close()
    problems += _days_told_twice(sets)
    if problems:
        raise RulesInvalidError(problems=tuple(problems))
    return RuleBook(sets=tuple(sorted(sets, key=lambda rules: rules.effective_from)))


def _rule_set(table: "_Table") -> RuleSet:
    away = table.table("out_of_region")
    filed, unfiled = away.ratio("filed_reduction_bp"), away.ratio("unfiled_reduction_bp")
    if filed > unfiled:
        away.wrong("filed_reduction_bp", "not above unfiled_reduction_bp")
    away.close()
    sites = {kind: _site(site) for kind, site in table.named("sites", "at least one kind of site")}
    for kind in sites:
        if kind not in list(SiteKind):
            table.wrong(f"sites.{kind}", f"unknown kind of site; there is {', '.join(SiteKind)}")
    found = RuleSet(
        effective_from=table.day("effective_from"),
        business_types=table.business_types("business_types"),
        annual_cap_fen=table.fen("annual_cap_fen"),
        filed_reduction_bp=filed,
        unfiled_reduction_bp=unfiled,
        catastrophic=_catastrophic(table.table("catastrophic")) if table.has("catastrophic") else None,
        sites=sites,
        chronic={key: _chronic(key, disease, sites) for key, disease in table.named("chronic")},
    )
    table.close()
    return found


def _site(table: "_Table") -> SiteRules:
    found = SiteRules(
        deductible_fen=table.fen("deductible_fen"),
        tiers=table.tiers(),
        inpatient=_inpatient(table.table("inpatient")) if table.has("inpatient") else None,
    )
    table.close()
    return found


def _inpatient(table: "_Table") -> Inpatient:
    found = Inpatient(
        deductible_fen=table.fen("deductible_fen"),
        deductible_per_stay=table.word("deductible_per", ("STAY", "YEAR")) == "STAY",
        tiers=table.tiers(),
    )
    table.close()
    return found


def _catastrophic(table: "_Table") -> Catastrophic:
    found = Catastrophic(
        threshold_fen=table.fen("threshold_fen"),
        tiers=table.tiers(),
        annual_cap_fen=table.fen("annual_cap_fen") if table.has("annual_cap_fen") else None,
    )
    table.close()
    return found


def _chronic(key: str, table: "_Table", sites: Mapping[str, SiteRules]) -> Chronic:
    if not _DISEASE.fullmatch(key):
        table.wrong("", "a key is 1 to 32 letters, digits, dots, hyphens or underscores")
    found = Chronic(
        name_zh=table.text("name_zh"),
        name_en=table.text("name_en"),
        sites=table.words("sites", tuple(sites)),
        deductible_fen=table.fen("deductible_fen"),
        annual_cap_fen=table.fen("annual_cap_fen"),
        tiers=table.tiers(),
    )
    table.close()
    return found


def _days_told_twice(sets: list[RuleSet]) -> Iterator[str]:
    days = [rules.effective_from for rules in sets]
    for number, day in enumerate(days, start=1):
        if day in days[: number - 1] and day != _NO_DAY:
            yield f"rule_sets[{number}].effective_from: another set begins on {day} too"


_NO_DAY: Final = date.min  # stands for a day that could not be read; that is a problem of its own already


class _Table:
    """One table of the file; what is wrong in it goes to `problems`, and reading goes on with a harmless value."""

    def __init__(self, where: str, told: Any, problems: list[str]) -> None:  # noqa: ANN401 - TOML
        self._where: Final = where
        self._told: Final[Mapping[str, Any]] = told if isinstance(told, Mapping) else {}
        self._is_missing: Final = told is None
        self._problems: Final = problems
        self._asked: Final[set[str]] = set()
        if not isinstance(told, Mapping) and not self._is_missing:
            self.wrong("", "a table")

    def has(self, key: str) -> bool:
        """Return whether an optional key is there."""
        self._asked.add(key)
        return key in self._told

    def wrong(self, key: str, what: str) -> None:
        """Note a problem."""
        where = ".".join(part for part in (self._where, key) if part)
        self._problems.append(f"{where}: {what}")

    def close(self) -> None:
        """Note every key that nobody has asked for."""
        for key in self._told:
            if key not in self._asked:
                self.wrong(key, "unknown")

    def fen(self, key: str) -> int:
        value = self._value(key)
        if value is not None and not _is_whole(value, 0, FEN_MAX):
            self.wrong(key, f"a whole number of fen from 0 to {FEN_MAX}")
            return 0
        return value or 0

    def ratio(self, key: str) -> int:
        value = self._value(key)
        if value is not None and not _is_whole(value, 0, WHOLE_BP):
            self.wrong(key, f"0 to {WHOLE_BP}")
            return 0
        return value or 0

    def day(self, key: str) -> date:
        value = self._value(key)
        if isinstance(value, date) and not isinstance(value, datetime):
            return value
        if value is not None:
            self.wrong(key, "a day, like 2026-01-01 without quotes")
        return _NO_DAY

    def text(self, key: str) -> str:
        value = self._value(key)
        if value is not None and not (isinstance(value, str) and value.strip()):
            self.wrong(key, "a text that is not empty")
            return ""
        return value or ""

    def word(self, key: str, words: tuple[str, ...]) -> str:
        value = self._value(key)
        if value is not None and value not in words:
            self.wrong(key, f"one of {', '.join(words)}")
        return str(value)

    def words(self, key: str, words: tuple[str, ...]) -> frozenset[str]:
        value = self._value(key)
        if value is None:
            return frozenset()
        if not isinstance(value, list) or not value or any(item not in words for item in value):
            self.wrong(key, f"a list, at least one of {', '.join(words)}")
            return frozenset()
        return frozenset(value)

    def business_types(self, key: str) -> frozenset[int]:
        value = self._value(key)
        if value is None:
            return frozenset()
        if not isinstance(value, list) or not value or not all(_is_whole(code, 1, 99_999) for code in value):
            self.wrong(key, "a list of use types, at least one")
            return frozenset()
        for code in PREPAYMENT_TYPES:
            if code in value:
                self.wrong(key, f"{code} is a prepayment, for which nothing is paid out; leave it out")
        return frozenset(value)

    def tiers(self) -> tuple[Tier, ...]:
        value = self._value("tiers")
        if value is None:
            return ()
        if not isinstance(value, list) or not value or not all(isinstance(tier, Mapping) for tier in value):
            self.wrong("tiers", "a list of tables, at least one")
            return ()
        found: list[Tier] = []
        bound = 0
        for number, told in enumerate(value, start=1):
            tier = _Table(f"{self._where}.tiers[{number}]", told, self._problems)
            up_to = told.get("up_to_fen") if tier.has("up_to_fen") else None
            is_last = number == len(value)
            if is_last and up_to is not None:
                tier.wrong("up_to_fen", "the last tier has no bound")
            elif not is_last and not _is_whole(up_to, bound + 1, FEN_MAX):
                tier.wrong("up_to_fen", f"a whole number of fen above {bound}")
            elif up_to is not None:
                bound = up_to
            found.append(Tier(up_to_fen=up_to, ratio_bp=tier.ratio("ratio_bp")))
            tier.close()
        return tuple(found)

    def table(self, key: str) -> "_Table":
        return _Table(".".join(part for part in (self._where, key) if part), self._value(key), self._problems)

    def tables(self, key: str, needed: str) -> "Iterator[_Table]":
        value = self._value(key)
        if value is None:
            return
        if not isinstance(value, list) or not value:
            self.wrong(key, needed)
            return
        for number, told in enumerate(value, start=1):
            yield _Table(f"{key}[{number}]", told, self._problems)

    def named(self, key: str, needed: str = "") -> "Iterator[tuple[str, _Table]]":
        """Yield the tables in a table, by name; without `needed` there may be none."""
        if not needed and not self.has(key):
            return
        value = self._value(key)
        if value is None:
            return
        if not isinstance(value, Mapping) or (needed and not value):
            self.wrong(key, needed or "a table")
            return
        for name, told in value.items():
            yield name, _Table(f"{self._where}.{key}.{name}", told, self._problems)

    def _value(self, key: str) -> Any:  # noqa: ANN401 - TOML
        """Return what stands under a needed key; None, and a problem, when nothing does."""
        self._asked.add(key)
        value = self._told.get(key)
        if value is None and not self._is_missing:
            self.wrong(key, "missing")
        return value


def _is_whole(value: object, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most
