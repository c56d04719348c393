"""The `shualian` command: `python -m server` is the same."""

import gc
import sys

YOUNG_OBJECTS_MAX = 50_000
"""Objects after which the collector looks, in place of 700: imports, and each connection of a large fleet, make many
that live on, and looking at them again and again cost a command a tenth of its time."""


def main() -> None:
    """Run the command line of this process and leave with its exit code."""
    gc.set_threshold(YOUNG_OBJECTS_MAX, *gc.get_threshold()[1:])
    from server.cli import run  # noqa: PLC0415 - most of what the collector is to leave alone is made here

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
