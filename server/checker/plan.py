"""What goes wrong, where and when? All of it from one seed, so that the same command plans the same run again.

A plan says what is done to whom; how the machine schedules the processes meanwhile is not in it. So a replay meets the
same faults at the same places, and close to, but not exactly, the same instants.
"""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from enum import StrEnum
from itertools import count
from typing import Any, Final


class Kind(StrEnum):
    """What goes wrong."""

    KILL = "kill"
    """kill -9, at a place of the conversation or at any instant; started again after `down_ms`."""
    RESTART = "restart"
    """SIGTERM, and started again."""
    FREEZE = "freeze"
    """The process stands still for a while: everything of it comes late."""
    CUT = "cut"
    """All connections of a leg break; what is under way is dropped."""
    BLACK_HOLE = "black-hole"
    """A leg swallows every answer for a while, then breaks."""
    LATE = "late"
    """Every piece of a leg's traffic takes `value` milliseconds longer for a while."""
    DUPLICATE = "duplicate"
    """The core gets the next call of this kind twice, byte for byte, the second time over another connection."""
    SCRIPT = "script"
    """The core itself misbehaves for a while: `action`, for `value` percent of the calls."""
    DISK_FULL = "disk-full"
    """No file of the process may grow for a while."""
    CLOCK = "clock"
    """The terminal comes back with a clock that is wrong by `value` seconds."""


class Place(StrEnum):
    """Where in a conversation a kill strikes."""

    ANY_INSTANT = "any-instant"
    INTENT_WRITTEN = "intent-written"
    """Terminal: the journal has the intent, nothing was sent."""
    ANSWER_RECEIVED = "answer-received"
    """Terminal: the answer is there, the journal does not know."""
    REQUEST_HELD = "request-held"
    """The request has left the asking side and not reached the other one; it never does."""
    REQUEST_PASSED = "request-passed"
    """The request was handed to the other side, which has not answered."""
    ANSWER_HELD = "answer-held"
    """The answer has left the other side and not reached the asking one; it never does."""
    ANSWER_PASSED = "answer-passed"
    """The answer was handed to the asking side, which may or may not have acted on it."""


ON_THE_WIRE: Final = (Place.REQUEST_HELD, Place.REQUEST_PASSED, Place.ANSWER_HELD, Place.ANSWER_PASSED)
IN_THE_TERMINAL: Final = (Place.INTENT_WRITTEN, Place.ANSWER_RECEIVED)
SERVER: Final = "server"
CORE: Final = "core"
DATABASE: Final = "database"
"""The PostgreSQL of a run, with every process of it."""
MONEY_CALLS: Final = ("2207", "2208", "2601", "5203", "2206")
"""Of the core: settle, cancel, reverse, query, and the quote; each is weighed by how much hangs on it."""
_CALL_WEIGHTS: Final = (8, 3, 4, 2, 1)
_ACTIONS: Final = (
    "commit_then_drop",
    "drop_before",
    "answer_twice",
    "answer_late",
    "garble",
    "delay",
    "down",
    "refuse",
)
_SLOW: Final = frozenset({"answer_late", "delay"})
_KILLS: Final = 0.7
_AT_THE_CORE: Final = 0.7
"""Of the server's kills, where there is a core: most of what can be in doubt happens on that side."""
_GAP_SECONDS: Final = (1.5, 6.5)
_FIRST_GAP_SECONDS: Final = (1.0, 2.5)
_DAY_SECONDS: Final = 86_400
_CLOCKS_SECONDS: Final = (-3_600, -90, 90, 3_600, 3 * _DAY_SECONDS, -45 * _DAY_SECONDS)
"""Wrong by a little, wrong by a time zone, and so wrong that every id of it is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong."""

    at_ms: int
    """From the beginning of the load, on a clock that nearly stands still while somebody is down: see the injector."""
    kind: Kind
    victim: str
    """`server`, `core`, `database`, or a terminal: `till-1`."""
    place: Place = Place.ANY_INSTANT
    leg: str = ""
    """The conversation that is listened to or disturbed: a terminal's, or `core` for the one behind the server."""
    call: str = ""
    """infno that a place or a script is about; empty for any."""
    action: str = ""
    """What the core is told to do."""
    delay_ms: int = 0
    """From the place to the kill; of a script: how late."""
    down_ms: int = 0
    """From the kill to the next start."""
    lasting_ms: int = 0
    value: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A whole run."""

    seed: int
    lasting_ms: int
    terminals: int
    has_core: bool
    has_database: bool
    """Whether the server's database is a process of its own; else it is a file, which can be kept from growing."""
    faults: tuple[Fault, ...]

    def as_json(self) -> str:
        """Return it as text."""
        return json.dumps(asdict(self), indent=1)


def plan_from(text: str) -> Plan:
    """Return a plan from its text.

    Raises:
        ValueError, KeyError, TypeError: it is none.
    """
    said: dict[str, Any] = json.loads(text)
    faults = tuple(
        Fault(**{**fault, "kind": Kind(fault["kind"]), "place": Place(fault["place"])}) for fault in said.pop("faults")
    )
    return Plan(**said, faults=faults)


def make_plan(*, seed: int, lasting: timedelta, terminals: int, has_core: bool, has_database: bool = False) -> Plan:
    """Return the plan of a seed.

    The first faults kill each kind of process once, so that the shortest run has them all.
    """
    lasting_ms = lasting // timedelta(milliseconds=1)
    dice = random.Random(f"{seed}/faults")  # noqa: S311 - repeatable on purpose
    tills = [f"till-{number}" for number in range(1, terminals + 1)]
    chooser = _Chooser(dice=dice, tills=tills, has_core=has_core, has_database=has_database)
    first = [SERVER, dice.choice(tills), *([CORE] if has_core else []), *([DATABASE] if has_database else [])]
    dice.shuffle(first)
    faults = [
        chooser.kill(at_ms, first.pop()) if first else chooser.any(at_ms)
        for at_ms in _instants(dice, lasting_ms, hurried=len(first))
    ]
    return Plan(
        seed=seed,
        lasting_ms=lasting_ms,
        terminals=terminals,
        has_core=has_core,
        has_database=has_database,
        faults=tuple(faults),
    )


def _instants(dice: random.Random, lasting_ms: int, *, hurried: int) -> Iterator[int]:
    """Yield when something goes wrong; the first ones come sooner."""
    at = 0.0
    for number in count():
        at += dice.uniform(*(_FIRST_GAP_SECONDS if number < hurried else _GAP_SECONDS))
        if at * 1000 >= lasting_ms:
            return
        yield round(at * 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chooser:
    """Draws faults."""

    dice: random.Random
    tills: Sequence[str]
    has_core: bool
    has_database: bool

    def any(self, at_ms: int) -> Fault:
        """Return a fault of any kind: seven in ten are kills."""
        if self.dice.random() < _KILLS:
            victims, weights = [SERVER, self.dice.choice(self.tills)], [3, 5]
            if self.has_core:
                victims, weights = [*victims, CORE], [*weights, 4]
            if self.has_database:
                victims, weights = [*victims, DATABASE], [*weights, 3]
            return self.kill(at_ms, self.dice.choices(victims, weights)[0])
        kinds = [Kind.RESTART, Kind.FREEZE, Kind.CUT, Kind.BLACK_HOLE, Kind.LATE, Kind.DISK_FULL, Kind.CLOCK]
        if self.has_core:
            kinds += [Kind.DUPLICATE, Kind.SCRIPT, Kind.SCRIPT, Kind.SCRIPT]
        return self._other(at_ms, self.dice.choice(kinds))

    def kill(self, at_ms: int, victim: str) -> Fault:
        """Return a kill of this process."""
        dice = self.dice
        leg = victim if victim in self.tills else CORE
        places = [Place.ANY_INSTANT, *ON_THE_WIRE]
        if victim == SERVER and not (self.has_core and dice.random() < _AT_THE_CORE):
            leg = dice.choice(self.tills)
        elif victim in self.tills:
            places += IN_THE_TERMINAL
        elif victim == DATABASE:  # while the server works on a call, or on what the core has just told it
            leg = CORE if self.has_core and dice.randrange(2) else dice.choice(self.tills)
            places = [Place.ANY_INSTANT, *([Place.ANSWER_PASSED if leg == CORE else Place.REQUEST_PASSED] * 3)]
        place = dice.choice(places)
        on_core = leg == CORE and place in ON_THE_WIRE
        return Fault(
            at_ms=at_ms,
            kind=Kind.KILL,
            victim=victim,
            place=place,
            leg=leg if place in ON_THE_WIRE else "",
            call=dice.choices(MONEY_CALLS, _CALL_WEIGHTS)[0] if on_core else "",
            # What a process does after it was asked, or told, takes some tens of milliseconds: strike within.
            delay_ms=dice.choice((0, 0, dice.randrange(1, 120))) if place in _AFTERWARDS else 0,
            down_ms=dice.randrange(0, 1_000),
        )

    def _other(self, at_ms: int, kind: Kind) -> Fault:
        dice, till = self.dice, self.dice.choice(self.tills)
        lasting_ms = dice.randrange(500, 3_000)
        legs = [*self.tills, *([CORE] * len(self.tills) if self.has_core else [])]
        processes = [SERVER, till, *([CORE] if self.has_core else [])]
        match kind:
            case Kind.RESTART:
                return Fault(at_ms=at_ms, kind=kind, victim=dice.choice(processes), down_ms=dice.randrange(0, 500))
            case Kind.FREEZE:
                return Fault(at_ms=at_ms, kind=kind, victim=dice.choice(processes), lasting_ms=lasting_ms)
            case Kind.CUT | Kind.BLACK_HOLE | Kind.LATE:
                leg, value = dice.choice(legs), dice.randrange(50, 1_500) if kind is Kind.LATE else 0
                return Fault(at_ms=at_ms, kind=kind, victim=leg, leg=leg, lasting_ms=lasting_ms, value=value)
            case Kind.DISK_FULL:
                full = [process for process in processes if not (self.has_database and process == SERVER)]
                return Fault(at_ms=at_ms, kind=kind, victim=dice.choice(full), lasting_ms=lasting_ms)
            case Kind.CLOCK:
                value = dice.choice(_CLOCKS_SECONDS)
                return Fault(at_ms=at_ms, kind=kind, victim=till, lasting_ms=2 * lasting_ms, value=value)
            case _:
                return self._of_the_core(at_ms, kind, lasting_ms)

    def _of_the_core(self, at_ms: int, kind: Kind, lasting_ms: int) -> Fault:
        dice = self.dice
        call = dice.choices(MONEY_CALLS, _CALL_WEIGHTS)[0]
        if kind is Kind.DUPLICATE:
            return Fault(at_ms=at_ms, kind=kind, victim=CORE, leg=CORE, call=call)
        action = dice.choice(_ACTIONS)
        return Fault(
            at_ms=at_ms,
            kind=kind,
            victim=CORE,
            call=dice.choice((call, "")),
            action=action,
            delay_ms=dice.randrange(300, 5_000) if action in _SLOW else 0,
            lasting_ms=2 * lasting_ms,
            value=dice.choice((20, 50, 100)),
        )


_AFTERWARDS: Final = frozenset({Place.REQUEST_PASSED, Place.ANSWER_PASSED})
