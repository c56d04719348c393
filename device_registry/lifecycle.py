"""Which changes of a terminal's state are legal, and what each one must carry."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from device_registry.errors import (
    EvictionOfShutOutError,
    IllegalTransitionError,
    TerminalBannedError,
    TerminalRetiredError,
    TerminalRevokedError,
)
from device_registry.model import Terminal, TerminalState
from device_registry.wording import refuse_actor, refuse_reason

_S = TerminalState

_ENDED = frozenset({_S.REVOKED, _S.BANNED})

# DESIGN 4. ENROLLED to itself: the answer to an enrollment was lost, and an operator gave a second token before the
# first certificate was ever used. Back to REGISTERED: an eviction, after which it must enroll again. Nothing can be
# suspended of a REGISTERED terminal; and no way leads from SUSPENDED or QUARANTINED to ENROLLED, nor to REGISTERED,
# from where a factory identity enrolls by itself: only a person who resumes it ends a suspension.
TRANSITIONS: Mapping[TerminalState, frozenset[TerminalState]] = {
    _S.REGISTERED: frozenset({_S.ENROLLED, *_ENDED}),
    _S.ENROLLED: frozenset({_S.ENROLLED, _S.ACTIVE, _S.SUSPENDED, _S.QUARANTINED, _S.REGISTERED, *_ENDED}),
    _S.ACTIVE: frozenset({_S.SUSPENDED, _S.QUARANTINED, _S.REGISTERED, *_ENDED}),
    _S.SUSPENDED: frozenset({_S.ACTIVE, _S.QUARANTINED, *_ENDED}),
    _S.QUARANTINED: frozenset({_S.ACTIVE, _S.SUSPENDED, *_ENDED}),
    _S.REVOKED: frozenset({_S.BANNED, _S.RETIRED}),
    _S.BANNED: frozenset({_S.RETIRED}),
    _S.RETIRED: frozenset(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """A legal change of state; `transition` is the only one who makes these."""

    terminal_id: str
    origin: TerminalState
    target: TerminalState
    reason: str
    actor: str
    at: datetime


def refuse_out_of_service(terminal: Terminal) -> None:
    """Raise when a terminal will never come back under this registration."""
    if terminal.state is TerminalState.REVOKED:
        raise TerminalRevokedError(terminal_id=terminal.terminal_id)
    if terminal.state is TerminalState.BANNED:
        raise TerminalBannedError(terminal_id=terminal.terminal_id)
    if terminal.state is TerminalState.RETIRED:
        raise TerminalRetiredError(terminal_id=terminal.terminal_id)


def is_legal(origin: TerminalState, target: TerminalState) -> bool:
    """Return whether a terminal may go from one state to the other."""
    return target in TRANSITIONS[origin]


def transition(terminal: Terminal, target: TerminalState, *, reason: str, actor: str, at: datetime) -> Transition:
    """Return the change, or raise: an illegal one, or one without a reason or an actor, does not exist."""
    if target is _S.REGISTERED and terminal.state in (_S.SUSPENDED, _S.QUARANTINED):
        raise EvictionOfShutOutError(terminal_id=terminal.terminal_id, state=terminal.state, wanted=target)
    if not is_legal(terminal.state, target):
        raise IllegalTransitionError(terminal_id=terminal.terminal_id, state=terminal.state, wanted=target)
    refuse_reason(reason)
    refuse_actor(actor)
    return Transition(
        terminal_id=terminal.terminal_id,
        origin=terminal.state,
        target=target,
        reason=reason,
        actor=actor,
        at=at,
    )
