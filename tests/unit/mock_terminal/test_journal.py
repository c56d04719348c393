"""What was asked to be paid is on disk before the platform is asked, and a crash in between is found again."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from mock_terminal.errors import StateError
from mock_terminal.journal import Entry, EntryState, Journal

FIRST, SECOND = "019876d0-0000-7000-8000-000000000001", "019876d0-0000-7000-8000-000000000002"

DIES_AFTER_BEGIN = """
import os, sys
from pathlib import Path
from mock_terminal.journal import Journal
Journal(Path(sys.argv[1])).begin(transaction_id=sys.argv[2], bill_number="B-1", total_fen=12000)
os.kill(os.getpid(), 9)
"""


def begin(journal: Journal, transaction_id: str = FIRST) -> None:
    journal.begin(transaction_id=transaction_id, bill_number="B-1", total_fen=12_000)


def test_an_intent_is_found_again_by_the_next_process(tmp_path: Path) -> None:
    begin(Journal(tmp_path))

    assert Journal(tmp_path).unfinished() == [
        Entry(transaction_id=FIRST, bill_number="B-1", total_fen=12_000, state=EntryState.OPEN)
    ]


def test_an_intent_survives_a_kill_right_after_it_was_written(tmp_path: Path) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", DIES_AFTER_BEGIN, str(tmp_path), FIRST],
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )

    assert killed.returncode == -9
    assert [entry.transaction_id for entry in Journal(tmp_path).unfinished()] == [FIRST]


@pytest.mark.parametrize("state", [EntryState.SETTLED, EntryState.REFUSED, EntryState.REVERSED])
def test_an_ended_transaction_is_no_longer_open(tmp_path: Path, state: EntryState) -> None:
    journal = Journal(tmp_path)
    begin(journal)
    begin(journal, SECOND)

    journal.end(FIRST, state)

    assert [entry.transaction_id for entry in journal.unfinished()] == [SECOND]
    assert [entry.state for entry in journal.entries()] == [state, EntryState.OPEN]


def test_an_id_begins_only_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    begin(journal)
    journal.end(FIRST, EntryState.SETTLED)

    with pytest.raises(StateError, match="already"):
        begin(journal)

    assert journal.entries()[0].state is EntryState.SETTLED


def test_an_outcome_is_written_once_and_never_overwritten(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    begin(journal)
    journal.end(FIRST, EntryState.SETTLED)

    with pytest.raises(StateError, match="not open"):
        journal.end(FIRST, EntryState.REVERSED)

    assert journal.entries()[0].state is EntryState.SETTLED


def test_what_never_began_cannot_end(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="not open"):
        Journal(tmp_path).end(FIRST, EntryState.SETTLED)


def test_i07_the_journal_has_no_place_for_a_person_an_assertion_or_a_pin(tmp_path: Path) -> None:
    begin(Journal(tmp_path))

    with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as database:
        columns = {row[1] for row in database.execute("PRAGMA table_info(entries)")}
    assert columns == {"transaction_id", "bill_number", "total_fen", "state", "settled_at"}


def test_a_damaged_journal_is_an_error_and_never_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite").write_bytes(b"this is no database, it is a long sentence about nothing at all" * 20)

    with pytest.raises(StateError, match="cannot be used"):
        Journal(tmp_path).unfinished()
