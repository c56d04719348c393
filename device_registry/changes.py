"""How a change is made to last: guarded UPDATE, audit entry and announcement, together in the caller's transaction."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from sqlalchemy import Connection

from device_registry import store
from device_registry.audit.log import AuditLog
from device_registry.errors import TransitionLostError
from device_registry.lifecycle import Transition
from device_registry.wording import refuse_actor

Announce = Callable[[Connection, str, str], None]
"""Writes an event (topic, subject) in the caller's transaction; `server.store.events.announce` is one."""

TOPIC_TERMINAL = "terminal"
TOPIC_COMMAND = "command"
TOPIC_AUTHORITY = "authority"
EVERYBODY = "*"
"""The subject of an announcement that is about all terminals."""
_NOTHING: Mapping[str, str | int] = MappingProxyType({})


def terminal_actor(terminal_id: str) -> str:
    """Return how a terminal is named in the audit log when it acts by itself."""
    return f"terminal:{terminal_id}"


class Changes:
    """Writes down what changed and tells whoever follows."""

    def __init__(self, *, audit: AuditLog, announce: Announce) -> None:
        self._audit = audit
        self._announce = announce

    def note(
        self,
        connection: Connection,
        *,
        actor: str,
        action: str,
        subject: str,
        reason: str = "",
        request_id: str = "",
        details: Mapping[str, str | int] = _NOTHING,
    ) -> None:
        """Write an audit entry; what nobody did is not done."""
        refuse_actor(actor)
        self._audit.append(
            connection,
            actor=actor,
            action=action,
            subject=subject,
            reason=reason,
            request_id=request_id,
            details=details,
        )

    def announce(self, connection: Connection, topic: str, terminal_id: str) -> None:
        """Tell the followers of a topic to look at a terminal again."""
        self._announce(connection, topic, terminal_id)

    def move(
        self,
        connection: Connection,
        change: Transition,
        *,
        request_id: str,
        details: Mapping[str, str | int] = _NOTHING,
    ) -> None:
        """Carry out a transition; the UPDATE holds only while the state is the one the decision was made on."""
        moved = store.move_terminal(
            connection,
            terminal_id=change.terminal_id,
            origin=change.origin,
            target=change.target,
            reason=change.reason,
            at=change.at,
        )
        if not moved:
            raise TransitionLostError(terminal_id=change.terminal_id)
        self._audit.append(
            connection,
            actor=change.actor,
            action=f"terminal.{change.target.lower()}",
            subject=change.terminal_id,
            reason=change.reason,
            request_id=request_id,
            details={"from": change.origin, **details},
        )
        self._announce(connection, TOPIC_TERMINAL, change.terminal_id)
