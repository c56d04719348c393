"""What do the fleet checks look for, and what do they do by themselves? Read from data, all mistakes told at once."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, fields
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, TypeVar

from device_registry.errors import RiskPolicyError
from device_registry.fleet.face_risk import FaceAttacks, FaceOnlySite
from device_registry.fleet.finding import FindingKind, Mitigation, Severity
from device_registry.fleet.risk import ALLOWED, RULES, Rule

W = TypeVar("W", Mitigation, Severity)

BOUNDS: Final = "bounds"
PER_HOUR: Final = "automatic_per_hour_max"
PER_HOUR_HIGHEST: Final = 1000
ATTACKS_WITHIN_MAX: Final = timedelta(days=7)
ATTACKS_WITHIN: Final = timedelta(days=1)
"""How far back broken seals are looked for where FACE_ATTACKS, whose window it is, does not look."""
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_SPAN: Final = re.compile(r"(\d{1,6})([smhd])")
_COMMON: Final = frozenset({"enabled", "automatic", "automatic_from"})
_RULES: Final[Mapping[FindingKind, type[Rule]]] = {rule.kind: rule for rule in RULES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What is done about one kind of finding without anybody being asked."""

    automatic: Mitigation
    automatic_from: Severity
    """Below this severity the rule only notifies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskPolicy:
    """The rules that are on, and what each kind of finding brings about."""

    rules: tuple[Rule, ...]
    responses: Mapping[FindingKind, Response]
    automatic_per_hour_max: int

    @property
    def attacks_within(self) -> timedelta:
        """How far back the face rules look."""
        return next((rule.window for rule in self.rules if isinstance(rule, FaceAttacks)), ATTACKS_WITHIN)

    @property
    def face_only_within(self) -> timedelta:
        """How far back is looked for other ways to pay than a face."""
        return next((rule.window for rule in self.rules if isinstance(rule, FaceOnlySite)), ATTACKS_WITHIN)

    def automatic(self, kind: FindingKind, severity: Severity) -> Mitigation:
        """Return what is done by itself about a finding; NOTIFY: nothing but to say so."""
        response = self.responses.get(kind)
        if response is None or severity.rank < response.automatic_from.rank:
            return Mitigation.NOTIFY
        return response.automatic


def load_risk_policy(path: Path | None = None) -> RiskPolicy:
    """Return the shipped policy, with what a file changes of it.

    Raises:
        RiskPolicyError: the file cannot be read, or asks for what is not there or not allowed.
    """
    if path is None:
        return policy_from({})
    try:
        return policy_from(tomllib.loads(path.read_text("utf-8")))
    except (OSError, ValueError) as error:  # a TOMLDecodeError and a UnicodeDecodeError are ValueErrors
        raise RiskPolicyError(mistakes=[f"{path}: {error}"]) from error


def policy_from(changed: Mapping[str, Any]) -> RiskPolicy:
    """Return the shipped policy with these tables laid over its own, setting by setting.

    Raises:
        RiskPolicyError: with everything that is wrong in them.
    """
    mistakes: list[str] = []
    kinds = {kind.value for kind in FindingKind if kind is not FindingKind.MITIGATION_BOUND}
    mistakes += [f"[{name}] is no rule" for name in changed if name not in kinds | {BOUNDS}]
    tables = {name: _laid_over(shipped, changed.get(name, {})) for name, shipped in _shipped().items()}
    rules: list[Rule] = []
    responses: dict[FindingKind, Response] = {}
    for kind in (FindingKind(name) for name in tables if name in kinds):
        told = _Table(str(kind), tables[kind], mistakes)
        is_on = told.flag("enabled", default=True)
        response = Response(
            automatic=told.word("automatic", Mitigation, Mitigation.NOTIFY),
            automatic_from=told.word("automatic_from", Severity, Severity.LOW),
        )
        if response.automatic not in ALLOWED[kind]:
            allowed = ", ".join(sorted(ALLOWED[kind]))
            mistakes.append(f"[{kind}] automatic = {response.automatic} is not allowed; one of {allowed}")
        rule = told.rule(_RULES.get(kind))
        if isinstance(rule, FaceAttacks | FaceOnlySite) and rule.window > ATTACKS_WITHIN_MAX:
            mistakes.append(f"[{kind}] window is at most {ATTACKS_WITHIN_MAX.days}d: no more is kept")
        if is_on:
            responses[kind] = response
            rules += [rule] if rule is not None else []
    bounds = _Table(BOUNDS, tables[BOUNDS], mistakes)
    bounds.refuse_others({PER_HOUR})
    per_hour = bounds.count(PER_HOUR, highest=PER_HOUR_HIGHEST)
    if mistakes:
        raise RiskPolicyError(mistakes=mistakes)
    return RiskPolicy(rules=tuple(rules), responses=responses, automatic_per_hour_max=per_hour)


def _shipped() -> dict[str, Any]:
    return tomllib.loads((files("device_registry.fleet") / "risk_policy.toml").read_text("utf-8"))


def _laid_over(shipped: dict[str, Any], changed: Any) -> Any:  # noqa: ANN401 - what TOML can hold
    return {**shipped, **changed} if isinstance(changed, dict) else changed


class _Table:
    """One table of the file; what is wrong in it goes to `mistakes`, and reading goes on."""

    def __init__(self, name: str, told: Any, mistakes: list[str]) -> None:  # noqa: ANN401 - what TOML can hold
        self._name = name
        self._told: dict[str, Any] = told if isinstance(told, dict) else {}
        self._mistakes = mistakes
        if not isinstance(told, dict):
            self._wrong("", "is no table")

    def flag(self, key: str, *, default: bool) -> bool:
        value = self._told.get(key, default)
        if not isinstance(value, bool):
            self._wrong(key, "is true or false")
            return default
        return value

    def word(self, key: str, words: type[W], default: W) -> W:
        value = self._told.get(key, default)
        if value not in list(words):
            self._wrong(key, f"is one of {', '.join(words)}")
            return default
        return words(value)

    def count(self, key: str, *, highest: int = 1_000_000) -> int:
        value = self._told.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= highest:
            self._wrong(key, f"is a whole number from 0 to {highest}")
            return 0
        return value

    def span(self, key: str) -> timedelta:
        value = self._told.get(key)
        found = _SPAN.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            self._wrong(key, "is a time as in 90s, 15m, 12h or 60d")
            return timedelta()
        return timedelta(**{_UNITS[found[2]]: int(found[1])})

    def rule(self, kind: type[Rule] | None) -> Rule | None:
        """Return the rule with its thresholds; None for a kind that others report."""
        wanted: Sequence[Any] = fields(kind) if kind is not None else ()  # type: ignore[arg-type]  # rules are dataclasses
        self.refuse_others(_COMMON | {field.name for field in wanted})
        values = {
            field.name: self.span(field.name) if field.type is timedelta else self.count(field.name) for field in wanted
        }
        return None if kind is None else kind(**values)

    def refuse_others(self, known: AbstractSet[str]) -> None:
        for key in sorted(self._told.keys() - known):
            self._wrong(key, f"is no setting here; there is {', '.join(sorted(known))}")

    def _wrong(self, key: str, what: str) -> None:
        self._mistakes.append(f"[{self._name}] {key} {what}".replace("  ", " "))
