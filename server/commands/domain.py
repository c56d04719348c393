"""How does a command get at the books? The domain on the configured database, opened for one command."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import Connection

from server.commands.mistakes import CommandError, ExitCode
from server.commands.session import Session
from server.settlement.ledger import Account
from server.store import open_engine, open_reader
from server.wiring import Domain, build_domain

PATIENCE = timedelta(seconds=30)
"""How long a command waits for the write lock; a server under load frees it for a moment ten times a second."""


@contextmanager
def open_domain(session: Session) -> Iterator[Domain]:
    """Open the domain on the database of the configuration, and close it afterwards; it waits longer than a server.

    Raises:
        CommandError: a server was named, which this command would not ask.
    """
    if session.given_server:
        raise CommandError(
            "This command works on the platform's own database, not over the admin API.",
            next="Run it on the platform's machine, without --server.",
            code=ExitCode.USAGE,
        )
    built = build_domain(session.config)
    built.engine.dispose()
    domain = replace(built, engine=open_engine(session.config.database_url, busy_timeout=PATIENCE))
    try:
        yield domain
    finally:
        domain.engine.dispose()


@contextmanager
def transaction(session: Session) -> Iterator[tuple[Domain, Connection]]:
    """Open the domain with one transaction, which commits when the block ends well; payments wait meanwhile."""
    with open_domain(session) as domain, domain.engine.begin() as connection:
        yield domain, connection


@contextmanager
def reading(session: Session) -> Iterator[tuple[Domain, Connection]]:
    """Open the domain with one consistent view of the database, however long the look takes; nobody waits for it."""
    with open_domain(session) as domain:
        reader = open_reader(domain.engine)
        try:
            with reader.connect() as connection:
                yield domain, connection
        finally:
            reader.dispose()


def contribute(
    domain: Domain, connection: Connection, account: Account, *, amount_fen: int, reference: str, actor: str
) -> None:
    """Book a contribution and note who brought it in."""
    domain.ledger.fund(connection, account, amount_fen=amount_fen, reference=reference)
    domain.audit.append(
        connection,
        actor=actor,
        action="ledger_funded",
        subject=account.account_id,
        details={"amount_fen": amount_fen, "reference": reference},
    )
