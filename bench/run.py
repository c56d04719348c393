"""Runs every measurement and gathers the ratios."""

import platform
import time
from collections.abc import Callable, Mapping

from bench import face_pipeline, rpc, settle_commit

MEASUREMENTS: tuple[Callable[[bool], Mapping[str, object]], ...] = (
    rpc.measure,
    settle_commit.measure,
    face_pipeline.measure,
)

# Ratio -> (where it should be in the end, larger is better). Source: the design's targets.
TARGETS: Mapping[str, tuple[float, bool]] = {
    "rpc_ratio": (0.75, True),
    "heartbeat_ratio": (0.60, True),
    "settle_commit_ratio": (1.0, True),
    "face_pipeline_ratio": (1.15, False),
}


def run(*, quick: bool) -> dict[str, object]:
    """Return every figure by name; ratios end in `_ratio`.

    Args:
        quick: fewer rounds, under a minute in all; the ratios scatter more.
    """
    started = time.perf_counter()
    figures: dict[str, object] = {"python": platform.python_version(), "quick": quick}
    for measure in MEASUREMENTS:
        figures.update(measure(quick))
    figures["seconds"] = round(time.perf_counter() - started, 1)
    return figures
