"""What is decided about a terminal, and everything that follows from it: state, certificates, tokens, the logs."""

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType

from sqlalchemy import Connection

from device_registry import lifecycle, store
from device_registry.changes import Changes
from device_registry.errors import IllegalTransitionError, SerialNumberTakenError
from device_registry.model import Terminal, TerminalState
from device_registry.revocation.revocation_log import Revocations
from device_registry.revocation.revoked import RevocationKind, RevocationReason

_S = TerminalState
KINDS: Mapping[TerminalState, RevocationKind] = MappingProxyType(
    {
        _S.SUSPENDED: RevocationKind.SUSPENSION,
        _S.QUARANTINED: RevocationKind.QUARANTINE,
        _S.ACTIVE: RevocationKind.RELEASE,
        _S.REGISTERED: RevocationKind.EVICTION,
        _S.REVOKED: RevocationKind.TERMINAL,
        _S.BANNED: RevocationKind.BAN,
    }
)
"""What the log of revocations calls a decision; one that it does not name takes nothing from anybody."""
CLOSING = frozenset({_S.REGISTERED, _S.REVOKED, _S.BANNED})
"""Decisions that end certificates and open tokens too."""


class Decisions:
    """Carries out what operators and rules decide."""

    def __init__(self, *, now: Callable[[], datetime], changes: Changes, revocations: Revocations) -> None:
        self._now = now
        self._changes = changes
        self._revocations = revocations

    def move(
        self,
        connection: Connection,
        terminal_id: str,
        target: TerminalState,
        *,
        reason: str,
        actor: str,
        request_id: str,
        code: RevocationReason = RevocationReason.UNSPECIFIED,
    ) -> Terminal:
        """Move a terminal on somebody's word, with all that follows, and return it as it is then."""
        terminal = store.the_terminal(connection, terminal_id)
        now = self._now()
        change = lifecycle.transition(terminal, target, reason=reason, actor=actor, at=now)
        if target in KINDS:
            self._note(connection, terminal, KINDS[target], code)
        if target in CLOSING:
            self._revocations.close_certificates(connection, terminal_id=terminal_id, code=code, at=now)
            store.close_tokens(connection, terminal_id=terminal_id, at=now)
        self._changes.move(connection, change, request_id=request_id)
        return store.the_terminal(connection, terminal_id)

    def resume(self, connection: Connection, terminal_id: str, *, reason: str, actor: str, request_id: str) -> Terminal:
        """Let a suspended or quarantined terminal in again."""
        terminal = store.the_terminal(connection, terminal_id)
        if terminal.state is _S.ENROLLED:  # becomes ACTIVE by its first call alone
            raise IllegalTransitionError(terminal_id=terminal_id, state=terminal.state, wanted=_S.ACTIVE)
        return self.move(connection, terminal_id, _S.ACTIVE, reason=reason, actor=actor, request_id=request_id)

    def retire(self, connection: Connection, terminal_id: str, *, reason: str, actor: str, request_id: str) -> Terminal:
        """Close the file of a revoked terminal; a ban is lifted by `unban` alone."""
        terminal = store.the_terminal(connection, terminal_id)
        if terminal.state is _S.BANNED:
            raise IllegalTransitionError(terminal_id=terminal_id, state=terminal.state, wanted=_S.RETIRED)
        return self.move(connection, terminal_id, _S.RETIRED, reason=reason, actor=actor, request_id=request_id)

    def unban(self, connection: Connection, terminal_id: str, *, reason: str, actor: str, request_id: str) -> Terminal:
        """Lift a ban: the terminal is retired, its serial number and factory key may be registered again."""
        terminal = store.the_terminal(connection, terminal_id)
        if terminal.state is not _S.BANNED:
            raise IllegalTransitionError(terminal_id=terminal_id, state=terminal.state, wanted=_S.RETIRED)
        self._note(connection, terminal, RevocationKind.UNBAN, RevocationReason.REMOVE_FROM_CRL)
        return self.move(connection, terminal_id, _S.RETIRED, reason=reason, actor=actor, request_id=request_id)

    def make_room_for(self, connection: Connection, serial_number: str, *, actor: str, request_id: str) -> None:
        """Retire the revoked terminal that has the serial number; one still in service keeps it, a banned one too."""
        self._revocations.refuse_banned(connection, serial_number=serial_number)
        former = store.find_in_service(connection, serial_number)
        if former is None:
            return
        if former.state is not _S.REVOKED:
            raise SerialNumberTakenError(serial_number=serial_number, terminal_id=former.terminal_id)
        self.retire(connection, former.terminal_id, reason="registered anew", actor=actor, request_id=request_id)

    def _note(self, connection: Connection, terminal: Terminal, kind: RevocationKind, code: RevocationReason) -> None:
        self._revocations.note_revoked(
            connection,
            kind=kind,
            subject=terminal.terminal_id,
            code=code,
            serial_number=terminal.serial_number,
            factory_key_sha256=terminal.factory_key_sha256,
        )
