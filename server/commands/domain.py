"""How does a command get at the books? The domain on the configured database, opened for one command."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from device_registry.model import TerminalFilter
from server.commands.session import Session
from server.wiring import Domain, build_domain


@contextmanager
def open_domain(session: Session) -> Iterator[Domain]:
    """Open the domain on the database of the configuration, and close it afterwards."""
    domain = build_domain(session.config)
    try:
        yield domain
    finally:
        domain.engine.dispose()


@contextmanager
def transaction(session: Session) -> Iterator[tuple[Domain, Connection]]:
    """Open the domain with one transaction, which commits when the block ends well."""
    with open_domain(session) as domain, domain.engine.begin() as connection:
        yield domain, connection


def terminal_meant(domain: Domain, connection: Connection, given: str) -> str:
    """Return the id of the terminal that was meant: the newest one with this serial number, or the id as given."""
    with_this_serial = domain.registry.terminals(connection, TerminalFilter(serial_number=given))
    return with_this_serial[-1].terminal_id if with_this_serial else given
