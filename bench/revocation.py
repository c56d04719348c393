"""How long from an operator's commit, in another process, to the closed stream at the terminal?

The fleet is that of `bench.fleet`: the real server as a process, so many terminals connected. The operator is this
process, which writes to the database beside the server as the command line does. Each delay begins when the commit is
sent off and ends when the terminal reads the end of its stream, both on the machine's monotonic clock.

Three rounds: one terminal after another, at leisure; a tenth of the fleet in one transaction; another tenth one after
another as fast as commits go. After each round they are resumed and come back, so that all are always connected.
"""

import secrets
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection

from bench.deployment import percentile
from bench.fleet import Fleet, a_fleet
from bench.holders import Count
from bench.terminals import ACTOR

TERMINALS, TERMINALS_QUICK = 500, 100
SINGLE, SINGLE_QUICK = 100, 20
PAUSE_MS_MAX = 150
"""Longest wait between two at leisure; longer than the server's polls are apart, so that every phase is met."""
MANY_PART = 10
CUT_SECONDS_MAX = 60.0


def measure(quick: bool, terminals: int | None = None) -> dict[str, object]:  # noqa: FBT001  # every bench is called alike
    """Return the delays, in milliseconds, by round."""
    with a_fleet(terminals or (TERMINALS_QUICK if quick else TERMINALS), {}) as fleet:
        ids = fleet.identities
        many = max(1, len(ids) // MANY_PART)
        single = ids[: min(SINGLE_QUICK if quick else SINGLE, len(ids))]
        rounds = {
            "revocation": _cut(fleet, [(name,) for name in single], pause_ms_max=PAUSE_MS_MAX),
            "revocation_at_once": _cut(fleet, [ids[:many]], pause_ms_max=0),
            "revocation_in_a_row": _cut(fleet, [(name,) for name in ids[-many:]], pause_ms_max=0),
        }
        figures: dict[str, object] = {"revocation_terminals": len(ids), "revocation_many": many}
        for name, delays in rounds.items():
            figures |= {
                f"{name}_p50_ms": round(1000 * percentile(delays, 0.50), 1),
                f"{name}_p99_ms": round(1000 * percentile(delays, 0.99), 1),
                f"{name}_max_ms": round(1000 * max(delays), 1),
            }
        return figures


def _cut(fleet: Fleet, transactions: Sequence[Sequence[str]], *, pause_ms_max: int) -> list[float]:
    """Suspend terminals, some in each transaction; return how long each still had its stream, in seconds."""
    committed: dict[str, float] = {}
    for terminal_ids in transactions:
        if pause_ms_max:
            time.sleep(secrets.randbelow(pause_ms_max) / 1000)
        _, at = fleet.deployment.write(partial(_each, fleet.deployment.domain.registry.suspend, terminal_ids))
        committed |= dict.fromkeys(terminal_ids, at)
    ended = fleet.crowd.wait(
        lambda count: committed.keys() <= count.refused.keys(), within=CUT_SECONDS_MAX, what="every stream cut"
    ).refused
    _resume(fleet, list(committed))
    return [ended[terminal_id] - at for terminal_id, at in committed.items()]


def _resume(fleet: Fleet, terminal_ids: Sequence[str]) -> None:
    began = time.monotonic()
    fleet.deployment.write(partial(_each, fleet.deployment.domain.registry.resume, terminal_ids))
    everybody = len(fleet.identities)

    def are_back(count: Count) -> bool:
        if count.refused:  # called before the server had heard of it
            fleet.crowd.count("come back")
        return count.connected == everybody and count.welcomed_at > began

    fleet.crowd.wait(are_back, within=CUT_SECONDS_MAX, what="everybody back after a suspension")


def _each(decide: Any, terminal_ids: Sequence[str], connection: Connection) -> None:  # noqa: ANN401  # suspend or resume
    for terminal_id in terminal_ids:
        decide(connection, terminal_id=terminal_id, reason="bench", actor=ACTOR)
