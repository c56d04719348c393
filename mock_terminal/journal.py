"""What did this terminal ask to be paid, and does it know what became of it? Durable before the platform is asked.

Nothing personal, no assertion and no PIN is in here: a transaction id, and the bill's number and total.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from mock_terminal.disk import make_private
from mock_terminal.errors import StateError


class EntryState(StrEnum):
    """What the terminal knows."""

    OPEN = "open"
    """Settle was, or was about to be, sent; the outcome is not known here."""
    SETTLED = "settled"
    """There is a receipt."""
    REFUSED = "refused"
    """The platform said no; nothing moved."""
    REVERSED = "reversed"
    """The platform made sure that it is not paid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One transaction."""

    transaction_id: str
    bill_number: str
    total_fen: int
    state: EntryState


class Journal:
    """The terminal's transactions, one SQLite file."""

    def __init__(self, state: Path) -> None:
        self._path: Final = state / "journal.sqlite"

    def begin(self, *, transaction_id: str, bill_number: str, total_fen: int) -> None:
        """Write down that a Settle is about to be sent; on disk when this returns.

        Raises:
            StateError: the id was used before.
        """
        with self._open() as database:
            try:
                database.execute(
                    "INSERT INTO entries (transaction_id, bill_number, total_fen, state) VALUES (?, ?, ?, ?)",
                    (transaction_id, bill_number, total_fen, EntryState.OPEN),
                )
            except sqlite3.IntegrityError as error:
                raise StateError(f"transaction {transaction_id} is in the journal already") from error

    def end(self, transaction_id: str, state: EntryState) -> None:
        """Write down what became of an open transaction; on disk when this returns.

        Raises:
            StateError: it is not open: never begun here, or ended before.
        """
        with self._open() as database:
            changed = database.execute(
                "UPDATE entries SET state = ? WHERE transaction_id = ? AND state = ?",
                (state, transaction_id, EntryState.OPEN),
            )
            if changed.rowcount != 1:
                raise StateError(f"transaction {transaction_id} is not open in the journal")

    def entries(self) -> list[Entry]:
        """Return all transactions, oldest first."""
        with self._open() as database:
            rows = database.execute("SELECT transaction_id, bill_number, total_fen, state FROM entries ORDER BY rowid")
            return [
                Entry(transaction_id=row[0], bill_number=row[1], total_fen=row[2], state=EntryState(row[3]))
                for row in rows.fetchall()
            ]

    def unfinished(self) -> list[Entry]:
        """Return the transactions whose outcome is not known here, oldest first."""
        return [entry for entry in self.entries() if entry.state is EntryState.OPEN]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Yield the database inside one transaction that is on disk when the block ends."""
        try:
            make_private(self._path.parent)
            with closing(sqlite3.connect(self._path)) as database, database:
                # FULL leaves a gap: the rollback journal's deletion may be lost with the power, and the commit with it.
                database.execute("PRAGMA synchronous=EXTRA")
                database.execute(
                    "CREATE TABLE IF NOT EXISTS entries (transaction_id TEXT PRIMARY KEY, bill_number TEXT NOT NULL,"
                    " total_fen INTEGER NOT NULL, state TEXT NOT NULL)"
                )
                yield database
        except (sqlite3.DatabaseError, OSError) as error:
            raise StateError(f"the journal {self._path} cannot be used: {error}") from error
