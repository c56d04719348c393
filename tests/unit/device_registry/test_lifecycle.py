"""Which changes of state a terminal can make, and what each must carry."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from device_registry import Terminal, TerminalClass, TerminalState
from device_registry.errors import (
    EvictionOfShutOutError,
    FieldInvalidError,
    IllegalTransitionError,
    TerminalBannedError,
    TerminalRetiredError,
    TerminalRevokedError,
)
from device_registry.lifecycle import TRANSITIONS, is_legal, refuse_out_of_service, transition
from device_registry.wording import REASON_LENGTH_MAX

NOW = datetime(2026, 3, 2, tzinfo=UTC)
S = TerminalState
TERMINAL = Terminal(
    terminal_id="t-1",
    serial_number="SN-1",
    manufacturer="Heron Devices",
    model="HD-3",
    terminal_class=TerminalClass.FACE,
    site_id="s-1",
    region="330100",
    certification_number="C-1",
    record_number="R-1",
    state=S.ACTIVE,
    state_reason="",
    state_since=NOW,
    registered_at=NOW,
)
LEGAL = {
    (S.REGISTERED, S.ENROLLED),
    (S.REGISTERED, S.REVOKED),
    (S.REGISTERED, S.BANNED),
    (S.ENROLLED, S.ENROLLED),
    (S.ENROLLED, S.ACTIVE),
    (S.ENROLLED, S.SUSPENDED),
    (S.ENROLLED, S.QUARANTINED),
    (S.ENROLLED, S.REGISTERED),
    (S.ENROLLED, S.REVOKED),
    (S.ENROLLED, S.BANNED),
    (S.ACTIVE, S.SUSPENDED),
    (S.ACTIVE, S.QUARANTINED),
    (S.ACTIVE, S.REGISTERED),
    (S.ACTIVE, S.REVOKED),
    (S.ACTIVE, S.BANNED),
    (S.SUSPENDED, S.ACTIVE),
    (S.SUSPENDED, S.QUARANTINED),
    (S.SUSPENDED, S.REVOKED),
    (S.SUSPENDED, S.BANNED),
    (S.QUARANTINED, S.ACTIVE),
    (S.QUARANTINED, S.SUSPENDED),
    (S.QUARANTINED, S.REVOKED),
    (S.QUARANTINED, S.BANNED),
    (S.REVOKED, S.BANNED),
    (S.REVOKED, S.RETIRED),
    (S.BANNED, S.RETIRED),
}


@pytest.mark.parametrize("state", [S.SUSPENDED, S.QUARANTINED])
def test_an_eviction_is_no_way_around_a_suspension(state: S) -> None:
    with pytest.raises(EvictionOfShutOutError):
        transition(replace(TERMINAL, state=state), S.REGISTERED, reason="asked for", actor="operator:lin", at=NOW)


@pytest.mark.parametrize("origin", S)
@pytest.mark.parametrize("target", S)
def test_every_pair_of_states_is_decided_as_the_design_says(origin: S, target: S) -> None:
    terminal = replace(TERMINAL, state=origin)

    assert is_legal(origin, target) == ((origin, target) in LEGAL)
    if (origin, target) in LEGAL:
        change = transition(terminal, target, reason="asked for", actor="operator:lin", at=NOW)
        assert (change.origin, change.target, change.reason) == (origin, target, "asked for")
    else:
        with pytest.raises(IllegalTransitionError) as refused:
            transition(terminal, target, reason="asked for", actor="operator:lin", at=NOW)
        assert (refused.value.state, refused.value.wanted) == (origin, target)


def test_the_table_knows_every_state() -> None:
    assert set(TRANSITIONS) == set(S)


def test_no_way_but_a_decision_leads_from_a_suspension_to_a_certificate() -> None:
    for state in (S.SUSPENDED, S.QUARANTINED, S.REVOKED, S.BANNED):
        assert not is_legal(state, S.ENROLLED)


def test_nothing_leads_out_of_retired() -> None:
    assert not TRANSITIONS[S.RETIRED]


@pytest.mark.parametrize("reason", ["", "   ", "x" * (REASON_LENGTH_MAX + 1)])
def test_a_change_without_a_sensible_reason_does_not_exist(reason: str) -> None:
    with pytest.raises(FieldInvalidError) as refused:
        transition(TERMINAL, S.SUSPENDED, reason=reason, actor="operator:lin", at=NOW)

    assert refused.value.field == "reason"


@pytest.mark.parametrize("actor", ["", " ", "x" * 129])
def test_a_change_without_an_actor_does_not_exist(actor: str) -> None:
    with pytest.raises(FieldInvalidError) as refused:
        transition(TERMINAL, S.SUSPENDED, reason="asked for", actor=actor, at=NOW)

    assert refused.value.field == "actor"


def test_only_revoked_banned_and_retired_terminals_are_out_of_service() -> None:
    for state in set(S) - {S.REVOKED, S.BANNED, S.RETIRED}:
        refuse_out_of_service(replace(TERMINAL, state=state))

    with pytest.raises(TerminalRevokedError):
        refuse_out_of_service(replace(TERMINAL, state=S.REVOKED))
    with pytest.raises(TerminalBannedError):
        refuse_out_of_service(replace(TERMINAL, state=S.BANNED))
    with pytest.raises(TerminalRetiredError):
        refuse_out_of_service(replace(TERMINAL, state=S.RETIRED))
