"""Whom does the simulated register know, and how does it behave? From two TOML files, changed while it runs."""

import base64
import binascii
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

PEOPLE_MAX: Final = 10_000
PORTRAIT_BYTES_MAX: Final = 2_097_152
DELAY_MS_MAX: Final = 60_000


class SimulatorInputError(Exception):
    """A file or a request of the simulator is not as it must be; says what is wrong."""


class Mode(StrEnum):
    """How it answers."""

    UP = "up"
    DOWN = "down"
    """503 to everybody."""
    SLOW = "slow"
    """After `delay_ms`."""
    GARBLED = "garbled"
    """With half of a JSON."""
    OTHER_PERSON = "other-person"
    """With somebody else's record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedPerson:
    """Somebody made up."""

    id_number: str = field(repr=False)
    name: str = field(repr=False)
    region: str
    former_id_numbers: tuple[str, ...] = field(default=(), repr=False)
    portrait: bytes | None = field(default=None, repr=False)
    guardians: tuple[str, ...] = field(default=(), repr=False)
    """ID numbers of those who may speak for them while they are a child."""

    @property
    def born(self) -> str:
        """YYYY-MM-DD, from the number."""
        digits = self.id_number[6:14]
        return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}"


@dataclass(slots=True)
class Script:
    """How it behaves at the moment."""

    mode: Mode = Mode.UP
    delay_ms: int = 0


class SimulatedRegister:
    """The people and the script, in memory."""

    def __init__(self, people: tuple[SimulatedPerson, ...] = (), script: Script | None = None) -> None:
        self._people: Final = {person.id_number: person for person in people}
        self.script = script or Script()
        self.questions = 0

    def __len__(self) -> int:
        return len(self._people)

    def put(self, person: SimulatedPerson) -> None:
        """Add somebody, or change whoever has this number or had it before.

        Raises:
            SimulatorInputError: there are as many as there may be.
        """
        if len(self._people) >= PEOPLE_MAX and person.id_number not in self._people:
            raise SimulatorInputError(f"{PEOPLE_MAX} people are enough")
        known = self._people.get(person.id_number)
        for former in person.former_id_numbers:
            known = known or self._people.pop(former, None)
        if person.portrait is None and known is not None:  # a change of name leaves the portrait as it is
            numbers = person.former_id_numbers or known.former_id_numbers
            person = replace(person, former_id_numbers=numbers, portrait=known.portrait)
        self._people[person.id_number] = person

    def find(self, *, id_number: str, name: str) -> SimulatedPerson | None:
        """Return who has both."""
        found = self._people.get(id_number)
        return found if found is not None and found.name == name else None

    def is_guardian(self, child: SimulatedPerson, *, id_number: str, name: str) -> bool:
        """Return whether somebody who has both is a guardian of this child."""
        return id_number in child.guardians and self.find(id_number=id_number, name=name) is not None

    def somebody_but(self, person: SimulatedPerson) -> SimulatedPerson | None:
        """Return anybody else."""
        return next((other for other in self._people.values() if other != person), None)


def register_from(people: Path | None, script: Path | None) -> SimulatedRegister:
    """Return the register of two files, either of which may be left out.

    Raises:
        SimulatorInputError: one of them is not as it must be.
    """
    rows = _table(people).get("people", []) if people is not None else []
    folder = people.parent if people is not None else Path()
    register = SimulatedRegister(script=script_from(_table(script)) if script is not None else None)
    for row in rows if isinstance(rows, list) else []:
        register.put(person_from(row, folder=folder))
    return register


def script_from(table: Mapping[str, Any]) -> Script:
    """Return a script.

    Raises:
        SimulatorInputError: no such mode, or no such delay.
    """
    try:
        mode, delay_ms = Mode(table.get("mode", Mode.UP)), int(table.get("delay_ms", 0))
    except (TypeError, ValueError) as error:
        raise SimulatorInputError(f"mode is one of {', '.join(Mode)}, delay_ms a number") from error
    if not 0 <= delay_ms <= DELAY_MS_MAX:
        raise SimulatorInputError(f"delay_ms is at most {DELAY_MS_MAX}")
    return Script(mode=mode, delay_ms=delay_ms)


def person_from(table: Mapping[str, Any], *, folder: Path | None) -> SimulatedPerson:
    """Return somebody; the portrait is the name of a file in `folder`, or base64 in `portrait_jpeg`.

    Raises:
        SimulatorInputError: something is missing or is not as it must be.
    """
    try:
        number, name, region = (str(table[key]) for key in ("id_number", "name", "region"))
        former = tuple(str(each) for each in table.get("former_id_numbers", ()))
        guardians = tuple(str(each) for each in table.get("guardians", ()))
        portrait = _portrait(table, folder)
    except (AttributeError, KeyError, TypeError, OSError, binascii.Error) as error:
        raise SimulatorInputError("a person has id_number, name, region, perhaps a portrait that is there") from error
    if not number.startswith("99"):
        raise SimulatorInputError("people of a simulator are made up: their ID numbers begin with 99")
    return SimulatedPerson(
        id_number=number,
        name=name,
        region=region,
        former_id_numbers=former,
        portrait=portrait,
        guardians=guardians,
    )


def _portrait(table: Mapping[str, Any], folder: Path | None) -> bytes | None:
    portrait: bytes | None = None
    if folder is not None and table.get("portrait"):
        portrait = (folder / str(table["portrait"])).read_bytes()
    elif table.get("portrait_jpeg"):
        portrait = base64.b64decode(str(table["portrait_jpeg"]), validate=True)
    if portrait is not None and len(portrait) > PORTRAIT_BYTES_MAX:
        raise SimulatorInputError(f"a portrait has at most {PORTRAIT_BYTES_MAX} bytes")
    return portrait


def _table(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SimulatorInputError(f"{path}: {error}") from error
