"""Where does the simulated core write? One SQLite file; what was answered is in it before the answer leaves."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

_SCHEMA: Final = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS people (
    psn_no TEXT PRIMARY KEY, certno TEXT NOT NULL, psn_name TEXT NOT NULL, gend TEXT NOT NULL, brdy TEXT NOT NULL,
    insutype TEXT NOT NULL, psn_type TEXT NOT NULL, region TEXT NOT NULL, is_suspended INTEGER NOT NULL,
    opening_fen INTEGER NOT NULL, balance_fen INTEGER NOT NULL CHECK (balance_fen >= 0));
CREATE TABLE IF NOT EXISTS certificates (
    kind TEXT NOT NULL, number_sha256 TEXT NOT NULL, psn_no TEXT NOT NULL REFERENCES people,
    PRIMARY KEY (kind, number_sha256));
CREATE TABLE IF NOT EXISTS visits (
    mdtrt_id TEXT PRIMARY KEY, psn_no TEXT NOT NULL REFERENCES people, institution TEXT NOT NULL,
    ipt_otp_no TEXT NOT NULL, is_open INTEGER NOT NULL, opened_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS settlements (
    number INTEGER PRIMARY KEY, setl_id TEXT NOT NULL UNIQUE, mdtrt_id TEXT NOT NULL REFERENCES visits,
    msgid TEXT NOT NULL UNIQUE, infno TEXT NOT NULL, psn_no TEXT NOT NULL REFERENCES people, institution TEXT NOT NULL,
    insutype TEXT NOT NULL, clr_type TEXT NOT NULL, med_type TEXT NOT NULL, chrg_bchno TEXT NOT NULL,
    invono TEXT NOT NULL, dev_no TEXT NOT NULL, dev_safe_info TEXT NOT NULL, medfee_fen INTEGER NOT NULL,
    covered_fen INTEGER NOT NULL, fund_fen INTEGER NOT NULL, account_fen INTEGER NOT NULL, cash_fen INTEGER NOT NULL,
    balance_after_fen INTEGER NOT NULL, state TEXT NOT NULL, settled_at TEXT NOT NULL, settled_on TEXT NOT NULL,
    ended_at TEXT, ended_by TEXT);
CREATE INDEX IF NOT EXISTS settlements_of_visit ON settlements (mdtrt_id, psn_no);
CREATE INDEX IF NOT EXISTS settlements_of_day ON settlements (institution, settled_on);
CREATE TABLE IF NOT EXISTS messages (
    msgid TEXT PRIMARY KEY, infno TEXT NOT NULL, digest TEXT NOT NULL, psn_no TEXT NOT NULL, infcode INTEGER NOT NULL,
    answer BLOB NOT NULL, answered_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS tombstones (msgid TEXT PRIMARY KEY, reversed_by TEXT NOT NULL, reversed_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS sign_ins (
    sign_no TEXT PRIMARY KEY, institution TEXT NOT NULL, opter TEXT NOT NULL, signed_in_at REAL NOT NULL,
    ends_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS files (
    file_qury_no TEXT PRIMARY KEY, institution TEXT NOT NULL, filename TEXT NOT NULL, content BLOB NOT NULL,
    stored_at TEXT NOT NULL);
COMMIT;
"""
_PRAGMAS: Final = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # what was answered survives a power cut
    "PRAGMA foreign_keys=ON",
    "PRAGMA busy_timeout=5000",
)

Row = sqlite3.Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """A message that was answered before."""

    msgid: str
    infno: str
    digest: str
    psn_no: str
    infcode: int
    answer: bytes


class Books:
    """The file. One thread at a time: the core has a writer of its own."""

    def __init__(self, path: Path) -> None:
        """Open the books, or begin new ones, readable by their owner alone."""
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self._connection: Final = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        for pragma in _PRAGMAS:
            self._connection.execute(pragma)
        self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run what is inside as one commit, or not at all."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # a full disk may have ended it already
                self._connection.execute("ROLLBACK")
            raise

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Run what is inside of a transaction so that it leaves nothing when it fails, while the rest is kept."""
        self._connection.execute("SAVEPOINT attempt")
        try:
            yield
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK TO attempt")
                self._connection.execute("RELEASE attempt")
            raise
        self._connection.execute("RELEASE attempt")

    def one(self, sql: str, *values: object) -> Row | None:
        """Return the first row, or None."""
        row: Row | None = self._connection.execute(sql, values).fetchone()
        return row

    def all(self, sql: str, *values: object) -> list[Row]:
        """Return every row."""
        return self._connection.execute(sql, values).fetchall()

    def run(self, sql: str, *values: object) -> int:
        """Change something; return how many rows were met."""
        return self._connection.execute(sql, values).rowcount

    def insert(self, table: str, **columns: Any) -> None:  # noqa: ANN401 - columns by name
        """Add a row; table and column names are this package's own."""
        names, marks = ", ".join(columns), ", ".join("?" * len(columns))
        self._connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(columns.values()))  # noqa: S608 - as the docstring says

    def next_number(self, name: str) -> int:
        """Return the next number of a sequence: 1, 2, 3 ..., never one twice."""
        row = self.one(
            "INSERT INTO counters (name, value) VALUES (?, 1)"
            " ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value",
            name,
        )
        return int(row["value"]) if row is not None else 0

    def message(self, msgid: str) -> Remembered | None:
        """Return what was answered to a msgid."""
        row = self.one("SELECT msgid, infno, digest, psn_no, infcode, answer FROM messages WHERE msgid = ?", msgid)
        return Remembered(**dict(row)) if row is not None else None

    def remember(self, message: Remembered, *, at: datetime) -> None:
        """Keep an answer under its msgid."""
        self.insert(
            "messages",
            msgid=message.msgid,
            infno=message.infno,
            digest=message.digest,
            psn_no=message.psn_no,
            infcode=message.infcode,
            answer=message.answer,
            answered_at=at.isoformat(),
        )

    def is_reversed(self, msgid: str) -> bool:
        """Whether a msgid was reversed, before or after it arrived."""
        return self.one("SELECT 1 FROM tombstones WHERE msgid = ?", msgid) is not None

    def bury(self, msgid: str, *, reversed_by: str, at: datetime) -> None:
        """Let a msgid book nothing any more."""
        self.run(
            "INSERT OR IGNORE INTO tombstones (msgid, reversed_by, reversed_at) VALUES (?, ?, ?)",
            msgid,
            reversed_by,
            at.isoformat(),
        )
