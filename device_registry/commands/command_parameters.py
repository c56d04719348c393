"""Which parameters does each action take, and for how long may it wait? Checked before a command is written down."""

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from types import MappingProxyType

from device_registry.commands.command_records import LIFETIMES, SHORTEST_LIFETIME, CommandAction
from device_registry.commands.overtaken import FIRMWARE_ID, VERSION
from device_registry.errors import CommandInvalidError, FieldInvalidError

HEARTBEAT_INTERVAL = "heartbeat_interval_ms"
URL = "url"
"""Where the terminal fetches the image; what it fetches is judged by digest and signature, not by where it lay."""
URL_LENGTH_MAX = 512
_INTERVAL_MIN = timedelta(seconds=1)
_INTERVAL_MAX = timedelta(hours=1)
_MILLISECOND = timedelta(milliseconds=1)
_URL = re.compile(rf"https?://[!-~]{{1,{URL_LENGTH_MAX - 8}}}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_KEY = re.compile(r"[A-Za-z0-9._-]{1,64}")

Parameters = Mapping[str, str | int]
NO_PARAMETERS: Parameters = MappingProxyType({})


def refuse_parameters(action: CommandAction, parameters: Parameters) -> None:
    """Raise when an action does not take these parameters; what the registry itself adds is not among them."""
    wanted = _WANTED.get(action, {})
    if parameters.keys() != wanted.keys():
        raise CommandInvalidError(action=action, detail=f"wants {sorted(wanted) or 'no parameters'}")
    for name, (fits, expected) in wanted.items():
        if not fits(parameters[name]):
            raise CommandInvalidError(action=action, detail=f"{name} {expected}")


def refuse_key(idempotency_key: str) -> None:
    """Raise when that cannot be an idempotency key."""
    if not _KEY.fullmatch(idempotency_key):
        raise FieldInvalidError(field="idempotency_key", detail="1 to 64 of A-Z a-z 0-9 . _ -")


def lifetime_of(action: CommandAction, wished: timedelta | None) -> timedelta:
    """Return for how long a command waits: as wished within the action's bounds, or the action's own default."""
    lifetime = LIFETIMES[action]
    if wished is None:
        return lifetime.default
    if not SHORTEST_LIFETIME <= wished <= lifetime.longest:
        raise FieldInvalidError(field="lifetime", detail=f"{SHORTEST_LIFETIME} to {lifetime.longest} for {action}")
    return wished


def _is_interval(value: str | int) -> bool:
    return isinstance(value, int) and _INTERVAL_MIN <= value * _MILLISECOND <= _INTERVAL_MAX


def _is_uuid(value: str | int) -> bool:
    return isinstance(value, str) and _UUID.fullmatch(value) is not None


def _is_url(value: str | int) -> bool:
    return isinstance(value, str) and _URL.fullmatch(value) is not None


_WANTED: Mapping[CommandAction, Mapping[str, tuple[Callable[[str | int], bool], str]]] = MappingProxyType(
    {
        CommandAction.SET_CONFIGURATION: {
            HEARTBEAT_INTERVAL: (_is_interval, f"from {_INTERVAL_MIN} to {_INTERVAL_MAX}")
        },
        CommandAction.OFFER_FIRMWARE: {
            FIRMWARE_ID: (_is_uuid, "is the id of an approved firmware"),
            URL: (_is_url, f"is http(s)://..., up to {URL_LENGTH_MAX} characters without spaces"),
        },
    }
)

__all__ = ["FIRMWARE_ID", "HEARTBEAT_INTERVAL", "NO_PARAMETERS", "URL", "VERSION", "Parameters"]
