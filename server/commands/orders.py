"""What is a terminal to do? Options of the command line as an order of the admin API, for one terminal or for many."""

from datetime import timedelta
from typing import Annotated

import typer

from server.settings import duration_from_text
from shualian.admin.v1 import command_pb2 as pb

_PREFIX = "COMMAND_ACTION_"
_NAMES = tuple(pb.CommandAction.DESCRIPTOR.values_by_name)[1:]  # without UNSPECIFIED
ACTIONS = tuple(name.removeprefix(_PREFIX).lower().replace("_", "-") for name in _NAMES)


def action_from_text(text: str) -> str:
    """Return an action's name as the contract has it: `renew-certificate` or `RENEW_CERTIFICATE`."""
    name = text.upper().replace("-", "_")
    if f"{_PREFIX}{name}" not in _NAMES:
        raise typer.BadParameter(f"one of {', '.join(ACTIONS)}")
    return name


def span(text: str) -> timedelta:
    """Return a time such as 90s, 15min, 12h or 30d."""
    try:
        return duration_from_text(text)
    except ValueError:
        raise typer.BadParameter("a time such as 90s, 15min, 12h or 30d") from None


Heartbeat = Annotated[
    float | None,
    typer.Option("--heartbeat-seconds", min=1, max=3600, help="For set-configuration: new time between heartbeats."),
]
Firmware = Annotated[str, typer.Option("--firmware", help="For offer-firmware: id of the approved firmware.")]
Url = Annotated[str, typer.Option("--url", help="For offer-firmware: where terminals fetch the image.")]
LifetimeOption = Annotated[
    timedelta | None,
    typer.Option(
        "--lifetime", parser=span, metavar="TIME", help="For how long it is worth doing, such as 2h; else its own time."
    ),
]
Key = Annotated[str, typer.Option("--key", help="Made by you: the same key does it once, however often you ask.")]


def order(
    action: str, *, heartbeat_seconds: float | None, firmware: str, url: str, lifetime: timedelta | None
) -> pb.Order:
    """Return the order."""
    asked = pb.Order(action=pb.CommandAction.Value(f"{_PREFIX}{action}"), firmware_id=firmware, url=url)
    if heartbeat_seconds is not None:
        asked.heartbeat_interval.FromTimedelta(timedelta(seconds=heartbeat_seconds))
    if lifetime is not None:
        asked.lifetime.FromTimedelta(lifetime)
    return asked
