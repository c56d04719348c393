"""`python -m bench`: print what was measured, as a table or as one JSON object."""

import argparse
import json
import sys

from rich.console import Console
from rich.table import Table

from bench.deployment import BenchError
from bench.run import HELD, MEASUREMENTS, SIZED, TARGETS, run


def _table(figures: dict[str, object]) -> Table:
    table = Table("figure", "measured", "target", title="Measured beside the yardstick, in one run")
    for name, value in figures.items():
        target, larger_is_better = TARGETS.get(name, (None, True))
        bound = "" if target is None else f"{'≥' if larger_is_better else '≤'} {target}"
        table.add_row(name, f"{value:,.3f}" if isinstance(value, float) else str(value), bound)
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(MEASUREMENTS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, two minutes in all")
    parser.add_argument("--terminals", type=int, help=f"how many are connected, for {' and '.join(SIZED)}")
    parser.add_argument("--sessions", type=int, help=f"how many are held, for {' and '.join(HELD)}")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    try:
        figures = run(
            quick=arguments.quick,
            names=arguments.names,
            terminals=arguments.terminals,
            sessions=arguments.sessions,
        )
    except BenchError as error:
        sys.exit(f"bench: {error}")
    if arguments.json:
        print(json.dumps(figures))
    else:
        Console().print(_table(figures))


if __name__ == "__main__":
    main()
