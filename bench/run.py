"""Runs the measurements that are asked for and gathers their figures."""

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from bench import (
    enrollments,
    face_load,
    face_memory,
    face_pipeline,
    fleet,
    handshakes,
    identification,
    revocation,
    rpc,
    settle_commit,
)
from bench.deployment import BenchError

Measurement = Callable[[bool], Mapping[str, object]]

MEASUREMENTS: Mapping[str, Measurement] = {
    "rpc": rpc.measure,
    "settle": settle_commit.measure,
    "face": face_pipeline.measure,
    "face_load": face_load.measure,
    "face_memory": face_memory.measure,
    "identification": identification.measure,
    "handshakes": handshakes.measure,
    "enrollments": enrollments.measure,
    "fleet": fleet.measure,
    "revocation": revocation.measure,
}

SIZED: Mapping[str, Callable[..., Mapping[str, object]]] = {
    "fleet": fleet.measure,
    "revocation": revocation.measure,
}
"""Those whose number of terminals can be chosen."""
HELD: Mapping[str, Callable[..., Mapping[str, object]]] = {
    "face_load": face_load.measure,
    "face_memory": face_memory.measure,
}
"""Those whose number of face sessions can be chosen: at once, or one after another."""

# Ratio -> (where it should be in the end, larger is better). Source: the design's targets.
TARGETS: Mapping[str, tuple[float, bool]] = {
    "rpc_ratio": (0.75, True),
    "heartbeat_ratio": (0.60, True),
    "settle_commit_ratio": (1.0, True),
    "face_pipeline_ratio": (1.15, False),
    "face_load_alone_p95_ms": (60, False),
    "face_load_full_p95_ms": (250, False),
    "face_memory_bytes_per_session": (200, False),
    "identification_ratio": (1.5, False),
    "identification_recall": (1.0, True),
    "identification_p50_ms": (12, False),
    "fleet_rss_kib_each": (110, False),
    "fleet_back_after_restart_seconds": (30, False),
    "fleet_back_after_crash_seconds": (30, False),
    "revocation_p99_ms": (1000, False),
    "revocation_at_once_p99_ms": (1000, False),
    "revocation_in_a_row_p99_ms": (1000, False),
}


def run(
    *, quick: bool, names: Sequence[str] = (), terminals: int | None = None, sessions: int | None = None
) -> dict[str, object]:
    """Return every figure by name; ratios end in `_ratio`.

    Args:
        quick: fewer rounds, two minutes in all; the ratios scatter more.
        names: which measurements; all of them when there are none.
        terminals: how many are connected, for those measurements that connect terminals.
        sessions: how many are held, for those measurements that hold face sessions.

    Raises:
        BenchError: a name is unknown, or what it needs is not there.
    """
    unknown = sorted(set(names) - MEASUREMENTS.keys())
    if unknown:
        raise BenchError(f"no measurement {', '.join(unknown)}; there are {', '.join(MEASUREMENTS)}")
    started = time.perf_counter()
    figures: dict[str, object] = {"python": platform.python_version(), "quick": quick}
    for name in names or MEASUREMENTS:
        measure = MEASUREMENTS[name]
        if name in SIZED:
            measure = partial(SIZED[name], terminals=terminals)
        elif name in HELD:
            measure = partial(HELD[name], sessions=sessions)
        figures.update(measure(quick))
    figures["seconds"] = round(time.perf_counter() - started, 1)
    return figures
