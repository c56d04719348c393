"""How is a rollout's plan written down? As JSON, whole, to be read back the same."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from device_registry.commands.command_records import CommandAction
from device_registry.model import Presence, TerminalClass, TerminalState
from device_registry.rollouts.rollout_records import RolloutPlan, RosterFilter
from device_registry.tables.columns import microseconds_from_time, time_from_microseconds

_MICROSECOND = timedelta(microseconds=1)
_READERS: Mapping[str, Callable[[Any], object]] = {
    "action": CommandAction,
    "state": TerminalState,
    "terminal_class": TerminalClass,
    "presence": Presence,
    "groups": tuple,
}


def text_from_plan(plan: RolloutPlan) -> str:
    """Return a plan as text; what was left open is left out, so that a later default of ours changes nothing."""
    return json.dumps(_written(asdict(plan)), sort_keys=True)


def plan_from_text(text: str) -> RolloutPlan:
    """Return the plan that a text was made from."""
    values = json.loads(text)
    where = RosterFilter(**_read(values.pop("where")))
    return RolloutPlan(**_read(values), where=where)


def _written(value: object) -> Any:  # noqa: ANN401  # what JSON can hold
    match value:
        case Mapping():
            return {name: _written(item) for name, item in value.items() if item is not None}
        case datetime():
            return {"time": microseconds_from_time(value)}
        case timedelta():
            return {"span": value // _MICROSECOND}
        case StrEnum():
            return value.value
        case _:
            return value


def _read(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _READERS[name](value) if name in _READERS else _valued(value) for name, value in values.items()}


def _valued(value: Any) -> Any:  # noqa: ANN401  # as above
    match value:
        case {"time": int(microseconds)}:
            return time_from_microseconds(microseconds)
        case {"span": int(microseconds)}:
            return microseconds * _MICROSECOND
        case _:
            return value
