"""Who calls the admin API: the operator behind the call under way, as certificate and database say."""

from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime

from device_registry.errors import RevocationsRolledBackError
from device_registry.operators.roles import Role
from server.caller import NoCallerError


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorCaller:
    """An admitted operator, and the id of the call they are making."""

    name: str
    """As `shualian operator list` has it; in local mode the account on this machine."""
    role: Role
    """What they may do, as the database said when the call began."""
    request_id: str
    """Id of this call; in each log line and audit entry that it causes."""
    certificate_not_after: datetime | None = None
    """End of the certificate they called with; None in local mode."""
    is_local: bool = False
    """Whether it is local mode, where the account on this machine is all that is known of them."""
    rolled_back: RevocationsRolledBackError | None = None
    """Set while the database lacks revocations that it once had: whom it knows, and with which role, is in doubt."""

    @property
    def actor(self) -> str:
        """Return how the audit log names them; an account on a machine is no operator of the same name."""
        return f"{'local' if self.is_local else 'operator'}:{self.name}"


_current: ContextVar[OperatorCaller | None] = ContextVar("shualian_operator", default=None)


def set_operator(caller: OperatorCaller) -> None:
    """Note who makes the call that runs in this context; only the identity layers do this."""
    _current.set(caller)


def current_operator() -> OperatorCaller:
    """Return who makes the call under way.

    Raises:
        NoCallerError: no identity was established; nothing may be done for such a call.
    """
    caller = _current.get()
    if caller is None:
        raise NoCallerError
    return caller
