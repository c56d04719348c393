"""Overdue and flapping are states with deadlines."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from device_registry import DEFAULT_POLICY, Presence
from device_registry.health import presence

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
POLICY = DEFAULT_POLICY


def test_a_terminal_that_never_called_is_unseen_and_stays_so() -> None:
    state = presence(is_connected=False, last_seen_at=None, recent_connects=[], now=NOW, policy=POLICY)

    assert state == (Presence.UNSEEN, None)


def test_a_connected_terminal_becomes_overdue_at_its_deadline() -> None:
    state, until = presence(is_connected=True, last_seen_at=NOW, recent_connects=[NOW], now=NOW, policy=POLICY)
    assert (state, until) == (Presence.CONNECTED, NOW + POLICY.overdue_after)

    later, no_deadline = presence(
        is_connected=True, last_seen_at=NOW, recent_connects=[NOW], now=NOW + POLICY.overdue_after, policy=POLICY
    )
    assert (later, no_deadline) == (Presence.OVERDUE, None)


def test_a_terminal_that_hung_up_is_disconnected_before_it_is_overdue() -> None:
    state, until = presence(is_connected=False, last_seen_at=NOW, recent_connects=[NOW], now=NOW, policy=POLICY)

    assert (state, until) == (Presence.DISCONNECTED, NOW + POLICY.overdue_after)


def test_a_terminal_that_keeps_coming_back_flaps_until_it_has_been_calm() -> None:
    connects = [NOW - timedelta(minutes=minutes) for minutes in range(POLICY.flapping_connects)]
    calm_at = connects[-1] + POLICY.flapping_window

    state, until = presence(is_connected=True, last_seen_at=NOW, recent_connects=connects, now=NOW, policy=POLICY)
    assert state is Presence.FLAPPING
    assert until == min(calm_at, NOW + POLICY.overdue_after)

    calm, _ = presence(is_connected=True, last_seen_at=calm_at, recent_connects=connects, now=calm_at, policy=POLICY)
    assert calm is Presence.CONNECTED


def test_one_connect_too_few_is_no_flapping() -> None:
    connects = [NOW] * (POLICY.flapping_connects - 1)

    state, _ = presence(is_connected=True, last_seen_at=NOW, recent_connects=connects, now=NOW, policy=POLICY)

    assert state is Presence.CONNECTED


moments = st.timedeltas(timedelta(0), timedelta(hours=1)).map(lambda ago: NOW - ago)


@given(
    is_connected=st.booleans(),
    last_seen_at=moments,
    recent_connects=st.lists(moments, max_size=POLICY.flapping_connects).map(lambda times: sorted(times, reverse=True)),
)
def test_a_presence_holds_exactly_until_its_deadline(
    *, is_connected: bool, last_seen_at: datetime, recent_connects: list[datetime]
) -> None:
    def at(now: datetime) -> tuple[Presence, datetime | None]:
        return presence(
            is_connected=is_connected,
            last_seen_at=last_seen_at,
            recent_connects=recent_connects,
            now=now,
            policy=POLICY,
        )

    state, until = at(NOW)

    if until is None:
        assert state is Presence.OVERDUE
    else:
        assert until > NOW
        assert at(until - timedelta(microseconds=1))[0] is state
        assert at(until)[0] is not state
