"""Who calls: the terminal behind the call under way, as its certificate and the registry say."""

from contextvars import ContextVar
from dataclasses import dataclass

from device_registry.model import Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """An admitted terminal, and the id of the call it is making."""

    terminal_id: str
    """The registry's name for it."""
    site_id: str
    """Where it stands."""
    region: str
    """The site's insurance region (统筹区)."""
    terminal_class: str
    """What it is certified for: `I`, `II` or `III`."""
    request_id: str
    """Id of this call; in each log line and audit entry that it causes."""


class NoCallerError(Exception):
    """A service that needs an admitted terminal was reached without one; the wiring is wrong."""

    reason = "NO_CALLER"


_current: ContextVar[Caller | None] = ContextVar("shualian_caller", default=None)


_standing: ContextVar[Standing | None] = ContextVar("shualian_standing", default=None)


def set_caller(caller: Caller, standing: Standing) -> None:
    """Note who makes the call that runs in this context; only the identity layer does this."""
    _current.set(caller)
    _standing.set(standing)


def current_caller() -> Caller:
    """Return who makes the call under way.

    Raises:
        NoCallerError: no identity was established; nothing may be done for such a call.
    """
    caller = _current.get()
    if caller is None:
        raise NoCallerError
    return caller


def current_standing() -> Standing:
    """Return the standing of the certificate behind the call under way.

    Raises:
        NoCallerError: no identity was established.
    """
    standing = _standing.get()
    if standing is None:
        raise NoCallerError
    return standing


_request_id: ContextVar[str] = ContextVar("shualian_request_id", default="")


def set_request_id(request_id: str) -> None:
    """Note the id of the call that runs in this context."""
    _request_id.set(request_id)


def current_request_id() -> str:
    """Return the id of the call under way; empty outside of a call."""
    return _request_id.get()
