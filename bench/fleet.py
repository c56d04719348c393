"""How many terminals does one process hold, what does each cost, and how long until all are back after a restart?

The server is the real one, as a process. Each terminal is a TCP connection of its own with mutual TLS, a certificate of
its own and one control stream on which it sends heartbeats as often as the platform asks for. The terminals run on the
same machine, in two processes; what they cost the machine is part of every time here, and none of the memory.

A restart is played twice: in good order (SIGTERM, the platform says when to come back) and as a crash (SIGKILL, every
terminal comes back by itself, after the mock terminal's pauses). Both are timed from the signal to the last Welcome.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench.crowd import Crowd, a_crowd
from bench.deployment import Deployment, Settings, a_deployment, allow_open_files
from bench.holders import Count
from bench.terminals import enrolled

TERMINALS, TERMINALS_QUICK = 500, 100
SETTINGS: Settings = {}
"""Nothing is widened: ten thousand terminals fit the defaults."""
SETTINGS_QUICK: Settings = {"limits.reconnect_spread": "2s"}
COME_SECONDS_MAX = 300.0
SETTLE_SECONDS = 2.0
IDLE_SECONDS, IDLE_SECONDS_QUICK = 10.0, 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Terminals that are all connected, and how it came to that."""

    deployment: Deployment
    crowd: Crowd
    identities: tuple[str, ...]
    """Their ids."""
    seconds: float
    """From the first that came to the last that was welcomed."""
    rss_kib: float
    """What the server's memory grew by, for each."""
    cpu_ms: float
    """The server's processor time for each."""


def measure(quick: bool, terminals: int | None = None) -> dict[str, object]:  # noqa: FBT001  # every bench is called alike
    """Return memory and processor time of each, the rate at which they come, and the time until all are back."""
    settings = SETTINGS_QUICK if quick else SETTINGS
    with a_fleet(terminals or (TERMINALS_QUICK if quick else TERMINALS), settings) as fleet:
        idle = _idle_percent(fleet.deployment, IDLE_SECONDS_QUICK if quick else IDLE_SECONDS)
        in_order = _back_after(fleet, signal.SIGTERM)
        crashed = _back_after(fleet, signal.SIGKILL)
        return {
            "fleet_terminals": len(fleet.identities),
            "fleet_rss_kib_each": round(fleet.rss_kib, 1),
            "fleet_connects_per_second": round(len(fleet.identities) / fleet.seconds, 1),
            "fleet_connect_server_ms": round(fleet.cpu_ms, 2),
            "fleet_idle_cpu_percent": round(idle, 1),
            "fleet_back_after_restart_seconds": round(in_order, 1),
            "fleet_back_after_crash_seconds": round(crashed, 1),
            "fleet_settings": dict(settings),
        }


@contextmanager
def a_fleet(terminals: int, settings: Settings) -> Iterator[Fleet]:
    """Give a platform with so many terminals connected."""
    allow_open_files(terminals)
    with a_deployment(settings) as deployment:
        identities = enrolled(deployment, terminals)
        deployment.start()
        with a_crowd(deployment, identities) as crowd:
            time.sleep(SETTLE_SECONDS)
            rss_before, cpu_before, began = deployment.rss_kib(), deployment.cpu_seconds(), time.monotonic()
            crowd.count("come")
            count = _all_here(crowd, terminals, since=began)
            cpu = deployment.cpu_seconds() - cpu_before
            time.sleep(SETTLE_SECONDS)
            yield Fleet(
                deployment=deployment,
                crowd=crowd,
                identities=tuple(identity.terminal_id for identity in identities),
                seconds=count.welcomed_at - began,
                rss_kib=(deployment.rss_kib() - rss_before) / terminals,
                cpu_ms=1000 * cpu / terminals,
            )


def _all_here(crowd: Crowd, terminals: int, *, since: float) -> Count:
    return crowd.wait(
        lambda count: count.connected == terminals and count.welcomed_at > since,
        within=COME_SECONDS_MAX,
        what=f"{terminals} terminals connected",
    )


def _idle_percent(deployment: Deployment, seconds: float) -> float:
    """Return how much of one core it takes to keep the fleet: heartbeats, keepalive, the platform's own rounds."""
    cpu_before = deployment.cpu_seconds()
    time.sleep(seconds)
    return 100 * (deployment.cpu_seconds() - cpu_before) / seconds


def _back_after(fleet: Fleet, how: signal.Signals) -> float:
    """End the server, start it again, and return how long it took from the signal until everybody was back."""
    deployment, began = fleet.deployment, time.monotonic()
    os.kill(deployment.server.pid, how)
    deployment.server.wait(within=COME_SECONDS_MAX)
    started = time.monotonic()
    deployment.start()
    count = _all_here(fleet.crowd, len(fleet.identities), since=started)
    time.sleep(SETTLE_SECONDS)
    return count.welcomed_at - began
