"""The `shualian` command: `python -m server` is the same."""

import sys

from server.cli import run


def main() -> None:
    """Run the command line of this process and leave with its exit code."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
