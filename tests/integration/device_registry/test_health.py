"""What heartbeats leave behind, and when silence becomes a state."""

from datetime import timedelta

import pytest
from sqlalchemy import Connection

from device_registry import (
    DEFAULT_POLICY,
    CameraState,
    Presence,
    ReceivedHeartbeat,
    Terminal,
    TerminalState,
    Vitals,
)
from tests.support.builders import RegistryBench, a_heartbeat, a_terminal


@pytest.fixture
def terminal(connection: Connection, bench: RegistryBench) -> Terminal:
    return a_terminal(connection, bench.registry)


def vitals_of(connection: Connection, bench: RegistryBench, terminal: Terminal) -> Vitals:
    vitals = bench.registry.vitals(connection, terminal.terminal_id)
    assert vitals is not None
    return vitals


def connect(connection: Connection, bench: RegistryBench, terminal: Terminal) -> None:
    bench.registry.connected(
        connection, terminal_id=terminal.terminal_id, firmware_version="4.2.1", clock_skew=timedelta(seconds=-3)
    )


def test_a_new_terminal_is_unseen(connection: Connection, bench: RegistryBench) -> None:
    registered = a_terminal(connection, bench.registry, state=TerminalState.REGISTERED)

    vitals = vitals_of(connection, bench, registered)

    assert vitals.presence is Presence.UNSEEN
    assert vitals.certificate_days_left is None
    assert vitals.last_seen_at is None


def test_nobodys_vitals_are_none(connection: Connection, bench: RegistryBench) -> None:
    assert bench.registry.vitals(connection, "nobody") is None


def test_a_heartbeat_leaves_all_its_vitals(connection: Connection, bench: RegistryBench, terminal: Terminal) -> None:
    connect(connection, bench, terminal)
    now = bench.clock.advance(timedelta(seconds=30))

    report = a_heartbeat(
        now, skew=timedelta(days=-2), camera_state=CameraState.DEGRADED, temperature_celsius=63.25, queue_length=7
    )
    bench.registry.heartbeat(connection, terminal_id=terminal.terminal_id, report=report, received_at=now)

    vitals = vitals_of(connection, bench, terminal)
    assert vitals.presence is Presence.CONNECTED
    assert vitals.presence_until == now + DEFAULT_POLICY.overdue_after
    assert vitals.last_seen_at == now
    assert vitals.firmware_version == "4.2.1"
    assert vitals.camera_state is CameraState.DEGRADED
    assert vitals.temperature_celsius == 63.25
    assert vitals.queue_length == 7
    assert vitals.clock_skew == timedelta(days=-2)
    assert vitals.certificate_days_left == 29


def test_a_lapsed_certificate_has_less_than_no_days_left(
    connection: Connection, bench: RegistryBench, terminal: Terminal
) -> None:
    bench.clock.advance(timedelta(days=31))

    assert vitals_of(connection, bench, terminal).certificate_days_left == -1


def test_a_heartbeat_that_was_overtaken_changes_nothing(
    connection: Connection, bench: RegistryBench, terminal: Terminal
) -> None:
    early = bench.clock.now()
    late = bench.clock.advance(timedelta(seconds=30))

    bench.registry.heartbeats(
        connection,
        [
            ReceivedHeartbeat(
                terminal_id=terminal.terminal_id, report=a_heartbeat(at, queue_length=queue), received_at=at
            )
            for at, queue in ((late, 2), (early, 1))
        ],
    )

    vitals = vitals_of(connection, bench, terminal)
    assert (vitals.last_seen_at, vitals.queue_length) == (late, 2)


def test_many_heartbeats_are_written_at_once(connection: Connection, bench: RegistryBench) -> None:
    fleet = [a_terminal(connection, bench.registry, state=TerminalState.REGISTERED) for _ in range(5)]
    now = bench.clock.now()

    bench.registry.heartbeats(
        connection,
        [
            ReceivedHeartbeat(terminal_id=it.terminal_id, report=a_heartbeat(now, queue_length=n), received_at=now)
            for n, it in enumerate(fleet)
        ],
    )
    bench.registry.heartbeats(connection, [])

    assert [vitals_of(connection, bench, it).queue_length for it in fleet] == [0, 1, 2, 3, 4]


def test_silence_becomes_overdue_at_the_deadline_and_a_heartbeat_ends_it(
    connection: Connection, bench: RegistryBench, terminal: Terminal
) -> None:
    connect(connection, bench, terminal)
    deadline = vitals_of(connection, bench, terminal).presence_until
    assert deadline is not None

    bench.clock.set(deadline)
    assert vitals_of(connection, bench, terminal).presence is Presence.OVERDUE

    bench.registry.heartbeat(
        connection, terminal_id=terminal.terminal_id, report=a_heartbeat(deadline), received_at=deadline
    )
    assert vitals_of(connection, bench, terminal).presence is Presence.CONNECTED


def test_a_terminal_that_reconnects_again_and_again_flaps_until_it_is_calm(
    connection: Connection, bench: RegistryBench, terminal: Terminal
) -> None:
    for _ in range(DEFAULT_POLICY.flapping_connects + 2):
        connect(connection, bench, terminal)
        bench.registry.disconnected(connection, terminal_id=terminal.terminal_id)
        bench.clock.advance(timedelta(seconds=1))
    assert vitals_of(connection, bench, terminal).presence is Presence.FLAPPING

    calm = bench.clock.advance(DEFAULT_POLICY.flapping_window)
    bench.registry.heartbeat(connection, terminal_id=terminal.terminal_id, report=a_heartbeat(calm), received_at=calm)

    assert vitals_of(connection, bench, terminal).presence is Presence.CONNECTED


def test_a_terminal_that_hung_up_is_disconnected(
    connection: Connection, bench: RegistryBench, terminal: Terminal
) -> None:
    connect(connection, bench, terminal)

    bench.registry.disconnected(connection, terminal_id=terminal.terminal_id)

    assert vitals_of(connection, bench, terminal).presence is Presence.DISCONNECTED
