"""`python -m bench`: print what was measured, as a table or as one JSON object."""

import argparse
import json

from rich.console import Console
from rich.table import Table

from bench.run import TARGETS, run


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
    parser.add_argument("--quick", action="store_true", help="fewer rounds, under a minute in all")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    figures = run(quick=arguments.quick)
    if arguments.json:
        print(json.dumps(figures))
    else:
        Console().print(_table(figures))


if __name__ == "__main__":
    main()
