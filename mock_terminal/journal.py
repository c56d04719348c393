"""What did this terminal ask to be paid, and does it know what became of it? Durable before the platform is asked.

Nothing personal, no assertion and no PIN is in here: a transaction id, and the bill's number and total.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
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
    CANCELLING = "cancelling"
    """There is a receipt; Cancel was, or was about to be, sent."""
    CANCELLED = "cancelled"
    """It was paid, and undone on request."""
    REVERSING = "reversing"
    """Reverse was, or was about to be, sent: whatever became of the Settle, it must not be paid."""


UNFINISHED: Final = (EntryState.OPEN, EntryState.CANCELLING, EntryState.REVERSING)
"""What `resume` goes on with."""


_COLUMNS: Final = ("transaction_id", "bill_number", "total_fen", "state", "settled_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One transaction."""

    transaction_id: str
    bill_number: str
    total_fen: int
    state: EntryState
    settled_at: datetime | None = None
    """When the platform booked it, by its receipt; None before there is one."""

    @property
    def is_unfinished(self) -> bool:
        """Whether its outcome is not known here."""
        return self.state in UNFINISHED


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

    def undo(self, transaction_id: str, state: EntryState) -> None:
        """Write down that a transaction is about to be undone, CANCELLING or REVERSING; on disk when this returns.

        Raises:
            StateError: it is neither open nor settled.
        """
        self._move(transaction_id, came_from=(EntryState.OPEN, EntryState.SETTLED), state=state)

    def end(self, transaction_id: str, state: EntryState, *, settled_at: datetime | None = None) -> None:
        """Write down what became of an unfinished transaction; on disk when this returns.

        Raises:
            StateError: it is finished, or was never begun here.
        """
        self._move(transaction_id, came_from=UNFINISHED, state=state, settled_at=settled_at)

    def entries(self) -> list[Entry]:
        """Return all transactions, oldest first."""
        return self._read("TRUE")

    def unfinished(self) -> list[Entry]:
        """Return the transactions whose outcome is not known here, oldest first."""
        return self._read(f"state IN ({', '.join('?' * len(UNFINISHED))})", *UNFINISHED)

    def entry(self, transaction_id: str) -> Entry | None:
        """Return one transaction, None when it was never begun here."""
        return next(iter(self._read("transaction_id = ?", transaction_id)), None)

    def _read(self, condition: str, *values: str) -> list[Entry]:
        with self._open() as database:
            rows = database.execute(
                f"SELECT {', '.join(_COLUMNS)} FROM entries WHERE {condition} ORDER BY rowid",  # noqa: S608 - ours
                values,
            )
            return [_entry(*row) for row in rows.fetchall()]

    def _move(
        self,
        transaction_id: str,
        *,
        came_from: Sequence[EntryState],
        state: EntryState,
        settled_at: datetime | None = None,
    ) -> None:
        marks = ", ".join("?" * len(came_from))
        with self._open() as database:
            changed = database.execute(
                f"UPDATE entries SET state = ?, settled_at = coalesce(?, settled_at)"  # noqa: S608 - marks
                f" WHERE transaction_id = ? AND state IN ({marks})",
                (state, settled_at and settled_at.isoformat(), transaction_id, *came_from),
            )
            if changed.rowcount != 1:
                raise StateError(f"transaction {transaction_id} is not {' or '.join(came_from)} in the journal")

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
                    " total_fen INTEGER NOT NULL, state TEXT NOT NULL, settled_at TEXT)"
                )
                if not database.execute(
                    "SELECT 1 FROM pragma_table_info('entries') WHERE name = 'settled_at'"
                ).fetchone():
                    database.execute(
                        "ALTER TABLE entries ADD COLUMN settled_at TEXT"
                    )  # a journal of the release before
                yield database
        except (sqlite3.DatabaseError, OSError) as error:
            raise StateError(f"the journal {self._path} cannot be used: {error}") from error


def _entry(transaction_id: str, bill_number: str, total_fen: int, state: str, settled_at: str | None) -> Entry:
    return Entry(
        transaction_id=transaction_id,
        bill_number=bill_number,
        total_fen=total_fen,
        state=EntryState(state),
        settled_at=datetime.fromisoformat(settled_at) if settled_at else None,
    )
