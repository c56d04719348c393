"""How does the simulated core misbehave? By rules: for which calls, how often, and what goes wrong then; seeded."""

import random
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

ANY_CALL: Final = "*"
SECONDS_MAX: Final = 600.0
"""The longest delay a script may ask for."""
RULES_MAX: Final = 100
TEXT_MAX: Final = 200
REFUSAL: Final = "模拟拒绝"
_ALL: Final = 100.0


class Fault(StrEnum):
    """What goes wrong with one call."""

    DELAY = "delay"
    """It waits `seconds`, then is worked off and answered: others may overtake it."""
    COMMIT_THEN_DROP = "commit_then_drop"
    """It is worked off, and the connection closes without an answer."""
    DROP_BEFORE = "drop_before"
    """The connection closes without an answer, and nothing was done."""
    ANSWER_TWICE = "answer_twice"
    """It is answered, and arrives once more by itself, as a network may let it."""
    ANSWER_LATE = "answer_late"
    """It is worked off at once and answered after `seconds`."""
    REFUSE = "refuse"
    """It is refused with `infcode` and `err_msg`."""
    GARBLE = "garble"
    """It is worked off, and its answer is cut in the middle."""
    DOWN = "down"
    """HTTP 503, and nothing was done."""


_NEEDS_SECONDS: Final = frozenset({Fault.DELAY, Fault.ANSWER_LATE})


class ScriptError(Exception):
    """A script cannot be followed; the text says which rule and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One line of the script."""

    fault: Fault
    infno: tuple[str, ...] = (ANY_CALL,)
    """Which calls; `*` is every one."""
    percent: float = _ALL
    """How many of these calls, in 0..100."""
    skip: int = 0
    """How many of these calls are left alone at first."""
    count: int = 0
    """How often it strikes in all; 0: without end."""
    seconds: float = 0.0
    infcode: int = -1
    err_msg: str = REFUSAL

    def meets(self, infno: str) -> bool:
        """Whether it is about this call."""
        return ANY_CALL in self.infno or infno in self.infno


@dataclass
class Script:
    """The rules in force. The first one that strikes counts; which calls it strikes follows from the seed alone."""

    seed: int = 1
    rules: Sequence[Rule] = ()
    _seen: Counter[int] = field(default_factory=Counter)
    _struck: Counter[int] = field(default_factory=Counter)

    def next(self, infno: str) -> Rule | None:
        """Return the rule that strikes this call, or None; each question is one call."""
        struck = None
        for number, rule in enumerate(self.rules):
            if rule.meets(infno):
                self._seen[number] += 1
                if struck is None and self._strikes(number, rule):
                    self._struck[number] += 1
                    struck = rule
        return struck

    def _strikes(self, number: int, rule: Rule) -> bool:
        seen = self._seen[number]
        if seen <= rule.skip or (rule.count and self._struck[number] >= rule.count):
            return False
        # Drawn from seed, rule and how many came before: what other rules or calls do changes nothing.
        return random.Random(f"{self.seed}:{number}:{seen}").random() * _ALL < rule.percent  # noqa: S311 - a script, not a secret

    def strikes(self) -> list[int]:
        """Return how often each rule has struck, in their order."""
        return [self._struck[number] for number in range(len(self.rules))]


def script_from_file(path: Path) -> Script:
    """Return the script of a TOML file.

    Raises:
        ScriptError: it cannot be followed.
    """
    try:
        with path.open("rb") as file:
            return script_from(tomllib.load(file))
    except tomllib.TOMLDecodeError as error:
        raise ScriptError(f"{path}: {error}") from error


def script_from(document: object) -> Script:
    """Return a script from `seed` and a list of `rule`, as TOML or JSON have them.

    Raises:
        ScriptError: it cannot be followed.
    """
    if not isinstance(document, Mapping):
        raise ScriptError("a script is a table")
    unknown = sorted(set(document) - {"seed", "rule"})
    entries, seed = document.get("rule", []), document.get("seed", 1)
    if unknown or isinstance(seed, bool) or not isinstance(seed, int) or not isinstance(entries, list):
        raise ScriptError("a script has a whole number `seed`, a list of `rule`, and nothing else")
    if len(entries) > RULES_MAX:
        raise ScriptError(f"more than {RULES_MAX} rules")
    return Script(seed=seed, rules=[_rule(number, entry) for number, entry in enumerate(entries, 1)])


def _rule(number: int, entry: object) -> Rule:
    if not isinstance(entry, Mapping):
        raise ScriptError(f"rule {number} is no table")
    unknown = sorted(set(entry) - {"fault", "infno", "percent", "skip", "count", "seconds", "infcode", "err_msg"})
    if unknown:
        raise ScriptError(f"rule {number}: there is no {', '.join(map(str, unknown))}")
    try:
        named = entry.get("infno", ANY_CALL)
        rule = Rule(
            fault=Fault(entry.get("fault", "")),
            infno=tuple(map(str, [named] if isinstance(named, str) else named)),
            percent=float(entry.get("percent", _ALL)),
            skip=int(entry.get("skip", 0)),
            count=int(entry.get("count", 0)),
            seconds=float(entry.get("seconds", 0.0)),
            infcode=int(entry.get("infcode", -1)),
            err_msg=str(entry.get("err_msg", REFUSAL)),
        )
    except (TypeError, ValueError) as error:
        raise ScriptError(f"rule {number}: {error}") from error
    return _bounded(number, rule)


def _bounded(number: int, rule: Rule) -> Rule:
    """Return a rule, once its numbers make sense."""
    wrong = {
        "percent": not 0 <= rule.percent <= _ALL,
        "skip": rule.skip < 0,
        "count": rule.count < 0,
        "seconds": not 0 <= rule.seconds <= SECONDS_MAX or (rule.fault in _NEEDS_SECONDS and not rule.seconds),
        "infcode": rule.infcode == 0,
        "err_msg": len(rule.err_msg) > TEXT_MAX,
        "infno": not rule.infno,
    }
    found = [name for name, is_wrong in wrong.items() if is_wrong]
    if found:
        raise ScriptError(f"rule {number}: {', '.join(found)} out of bounds")
    return rule
