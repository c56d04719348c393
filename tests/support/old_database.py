"""A database as the first release left it, with rows as it wrote them, before there were issuers and a log."""

from datetime import datetime, timedelta

from alembic import command
from sqlalchemy import Connection, Engine, text

from device_registry.tables import microseconds_from_time
from server.store import open_engine
from server.store.backend import backend_named
from server.store.engine import MIGRATION_PATIENCE
from server.store.migrations import alembic_config

LIFETIME = timedelta(days=30)
_SITE = text("INSERT INTO sites VALUES ('site-1', 'Willow Bridge Hospital', '330100', 'HOSPITAL', :at)")
_TERMINAL = text(
    "INSERT INTO terminals VALUES (:terminal_id, :serial_number, 'Heron Devices', 'HD-3', 'III', 'site-1', 'C-1',"
    " 'R-1', :state, 'by an operator', :at, :at)"
)
_CERTIFICATE = text(
    "INSERT INTO certificates VALUES (:fingerprint, :serial, :terminal_id, :key, :at, :at, :until, :until, :status,"
    " :at, NULL)"
)
TERMINALS = {
    "calm": ("ACTIVE", "CURRENT"),
    "gone": ("RETIRED", "REVOKED"),
    "odd": ("QUARANTINED", "CURRENT"),
    "stolen": ("REVOKED", "REVOKED"),
    "suspended": ("SUSPENDED", "CURRENT"),
}
"""The terminals it has, and in which state; each has one certificate."""


def fingerprint_of(terminal_id: str) -> str:
    """Return the fingerprint of a terminal's certificate."""
    return terminal_id.encode().hex().rjust(64, "0")


def an_old_database(url: str, *, at: datetime) -> Engine:
    """Make the schema of the first release in an empty database, fill it, and return an engine on it."""
    engine = open_engine(url)
    migrating = backend_named(engine.dialect.name).open_for_migration(engine.url, busy_timeout=MIGRATION_PATIENCE)
    with migrating.begin() as connection:
        command.upgrade(alembic_config(connection), "0001")
    with migrating.begin() as connection:
        _fill(connection, at=at)
    migrating.dispose()
    return engine


def _fill(connection: Connection, *, at: datetime) -> None:
    now, until = microseconds_from_time(at), microseconds_from_time(at + LIFETIME)
    connection.execute(_SITE, {"at": now})
    for number, (terminal_id, (state, status)) in enumerate(TERMINALS.items(), start=1):
        row = {"terminal_id": terminal_id, "at": now}
        connection.execute(_TERMINAL, {**row, "serial_number": f"SN-{terminal_id}", "state": state})
        fingerprint = fingerprint_of(terminal_id)
        connection.execute(
            _CERTIFICATE,
            {
                **row,
                "fingerprint": fingerprint,
                "serial": f"{number:x}",
                "key": fingerprint,
                "until": until,
                "status": status,
            },
        )
