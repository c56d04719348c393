"""What the database once revoked it cannot forget: the log of revocations, and the witness outside of it."""

import multiprocessing
import os
import signal
import threading
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import Connection, Engine, select, update

from device_registry import CertificateStatus, Terminal, TerminalState
from device_registry.errors import (
    IllegalTransitionError,
    RevocationsRolledBackError,
    TerminalBannedError,
    WitnessMissingError,
)
from device_registry.revocation import testimony as comparing
from device_registry.revocation.revocation_log import Revocations
from device_registry.revocation.revoked import RevocationKind
from device_registry.revocation.testimony import WitnessState
from device_registry.revocation.witness import WitnessFile
from device_registry.tables import revocations as table
from device_registry.tables import terminals
from server.store import open_engine
from tests.support.backup import a_backup
from tests.support.builders import OPERATOR, Announcements, RegistryBench, a_terminal, enrolled
from tests.support.clock import Clock
from tests.support.database import Database
from tests.support.witness import asked, decide, kinds

S = TerminalState
T = TypeVar("T")


@pytest.mark.parametrize(
    ("decision", "noted"),
    [
        ("suspend", ["SUSPENSION"]),
        ("quarantine", ["QUARANTINE"]),
        ("evict", ["EVICTION", "CERTIFICATE"]),
        ("revoke", ["TERMINAL", "CERTIFICATE"]),
        ("ban", ["BAN", "CERTIFICATE"]),
    ],
)
def test_each_decision_against_a_terminal_is_witnessed(
    engine: Engine,
    bench: RegistryBench,
    kept: comparing.Testimony,
    path: Path,
    *,
    terminal: Terminal,
    decision: str,
    noted: list[str],
) -> None:
    decide(engine, bench, decision, terminal)
    assert asked(engine, kept.compare).state is WitnessState.BEHIND

    asked(engine, kept.keep)

    assert kinds(path) == noted
    assert asked(engine, kept.compare).state is WitnessState.AGREES
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_evicted_terminal_comes_back_only_by_enrolling(connection: Connection, bench: RegistryBench) -> None:
    terminal = a_terminal(connection, bench.registry)

    evicted = bench.registry.evict(connection, terminal_id=terminal.terminal_id, reason="key copied", actor=OPERATOR)

    assert evicted.state is S.REGISTERED
    assert [it.status for it in bench.registry.certificates(connection, terminal.terminal_id)] == [
        CertificateStatus.REVOKED
    ]
    enrolled(connection, bench.registry, evicted)
    assert bench.registry.terminal(connection, terminal.terminal_id).state is S.ENROLLED


def test_a_banned_serial_number_is_refused_until_the_ban_is_lifted(
    connection: Connection, bench: RegistryBench
) -> None:
    terminal = a_terminal(connection, bench.registry, serial_number="SN-BANNED")
    bench.registry.ban(connection, terminal_id=terminal.terminal_id, reason="opened", actor=OPERATOR)

    with pytest.raises(TerminalBannedError):
        a_terminal(connection, bench.registry, serial_number="SN-BANNED")
    with pytest.raises(IllegalTransitionError):
        bench.registry.retire(connection, terminal_id=terminal.terminal_id, reason="by the back door", actor=OPERATOR)
    bench.registry.unban(connection, terminal_id=terminal.terminal_id, reason="was ours all along", actor=OPERATOR)

    assert a_terminal(connection, bench.registry, serial_number="SN-BANNED").state is S.ACTIVE


def test_a_banned_factory_key_is_refused_under_another_serial_number(
    connection: Connection, bench: RegistryBench
) -> None:
    terminal = a_terminal(connection, bench.registry, serial_number="SN-1")
    key = "ab" * 32
    connection.execute(
        update(terminals).where(terminals.c.terminal_id == terminal.terminal_id).values(factory_key_sha256=key)
    )

    bench.registry.ban(connection, terminal_id=terminal.terminal_id, reason="cloned", actor=OPERATOR)

    with pytest.raises(TerminalBannedError):
        bench.revocations.refuse_banned(connection, serial_number="SN-2", factory_key_sha256=key)
    bench.revocations.refuse_banned(connection, serial_number="SN-2", factory_key_sha256="cd" * 32)


def test_a_crash_between_commit_and_witness_is_made_good(
    engine: Engine, bench: RegistryBench, kept: comparing.Testimony, path: Path, terminal: Terminal
) -> None:
    decide(engine, bench, "suspend", terminal)
    asked(engine, kept.keep)
    decide(engine, bench, "revoke", terminal)  # and the process dies here
    with path.open("ab") as file:
        file.write(b'{"entry_id":2,"kind":"TER')  # half a line: it died while it wrote

    assert asked(engine, kept.compare).state is WitnessState.BEHIND
    asked(engine, kept.keep)

    assert kinds(path) == ["SUSPENSION", "TERMINAL", "CERTIFICATE"]
    assert asked(engine, kept.compare).state is WitnessState.AGREES


def test_a_restored_backup_is_noticed_and_takes_no_further_revocation(
    engine: Engine, bench: RegistryBench, kept: comparing.Testimony, terminal: Terminal
) -> None:
    restore = a_backup(engine)
    decide(engine, bench, "revoke", terminal)
    asked(engine, kept.keep)

    restore()

    assert asked(engine, kept.compare).state is WitnessState.ROLLED_BACK
    assert asked(engine, kept.look).state is WitnessState.ROLLED_BACK
    with pytest.raises(RevocationsRolledBackError):
        asked(engine, kept.keep)
    with pytest.raises(RevocationsRolledBackError):
        decide(engine, bench, "suspend", terminal)


def test_what_the_witness_said_is_remembered_while_its_disk_is_away(
    engine: Engine, bench: RegistryBench, kept: comparing.Testimony, path: Path, terminal: Terminal
) -> None:
    restore = a_backup(engine)
    decide(engine, bench, "revoke", terminal)
    asked(engine, kept.keep)
    path.unlink()

    restore()

    with pytest.raises(RevocationsRolledBackError):
        asked(engine, kept.keep)
    with pytest.raises(RevocationsRolledBackError):
        decide(engine, bench, "suspend", terminal)


def test_a_witness_is_there_in_every_moment_in_which_it_is_written_anew(tmp_path: Path) -> None:
    witness, missed, done = WitnessFile(tmp_path / "witness.jsonl"), [], threading.Event()
    witness.create()

    def watch() -> None:
        while not done.is_set():
            if not witness.exists():
                missed.append(1)

    watcher = threading.Thread(target=watch)
    watcher.start()
    for number in range(100):
        witness.replace([{"entry_id": number}], aside=f"{number:03}")
    done.set()
    watcher.join()

    assert missed == []
    assert [line["entry_id"] for line in witness.lines()] == [99]
    assert [line["entry_id"] for line in WitnessFile(tmp_path / "witness.jsonl.099").lines()] == [98]


def test_a_lost_witness_is_an_error_and_no_hindrance_to_a_revocation(
    engine: Engine, bench: RegistryBench, kept: comparing.Testimony, path: Path, terminal: Terminal
) -> None:
    decide(engine, bench, "suspend", terminal)
    asked(engine, kept.keep)
    path.unlink()

    decide(engine, bench, "revoke", terminal)

    with pytest.raises(WitnessMissingError):
        asked(engine, kept.keep)
    with pytest.raises(WitnessMissingError):
        asked(engine, kept.compare)


def test_a_platform_that_never_revoked_anything_makes_the_file_by_itself(
    engine: Engine, kept: comparing.Testimony, path: Path
) -> None:
    path.unlink()

    assert asked(engine, kept.compare).state is WitnessState.AGREES

    assert path.read_bytes() == b""


def revoke_and_die(url: str, path: Path) -> None:
    """Commit a revocation in a process of its own, and be killed before anything else happens."""
    engine = open_engine(url)
    revocations = Revocations(now=Clock().now, announce=Announcements().announce, witness=WitnessFile(path))
    with engine.begin() as connection:
        revocations.note_revoked(connection, kind=RevocationKind.BAN, subject="t-1", serial_number="SN-1")
    os.kill(os.getpid(), signal.SIGKILL)


def test_what_a_killed_process_committed_is_witnessed_by_the_next(
    database: Database, kept: comparing.Testimony, path: Path
) -> None:
    process = multiprocessing.get_context("spawn").Process(target=revoke_and_die, args=(database.url, path))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert path.read_bytes() == b""

    asked(database.engine, kept.keep)

    assert kinds(path) == ["BAN"]
    assert asked(database.engine, kept.compare).state is WitnessState.AGREES


def append_many(path: Path, times: int, line_count: int) -> None:
    """Append from a process of its own, each time up to one more line, as any replica does."""
    witness = WitnessFile(path)
    for _ in range(times):
        witness.append(
            lambda last: [
                {"entry_id": number} for number in range((last["entry_id"] if last else 0) + 1, line_count + 1)
            ][:1]
        )


def test_two_processes_append_to_one_file_without_a_gap_or_a_double(tmp_path: Path) -> None:
    path = tmp_path / "witness.jsonl"
    WitnessFile(path).create()
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=append_many, args=(path, 40, 60)) for _ in range(2)]

    for process in both:
        process.start()
    for process in both:
        process.join()

    assert [line["entry_id"] for line in WitnessFile(path).lines()] == list(range(1, 61))


def test_the_last_entries_of_an_issuers_certificates_make_its_list(
    engine: Engine, bench: RegistryBench, terminal: Terminal
) -> None:
    decide(engine, bench, "revoke", terminal)
    with engine.begin() as connection:
        (certificate,) = bench.registry.certificates(connection, terminal.terminal_id)
        (entry,) = connection.execute(select(table).where(table.c.kind == RevocationKind.CERTIFICATE)).all()
        listed = bench.revocations.revoked_certificates(connection, entry.issuer_id, bench.clock.now())
        lapsed = bench.revocations.revoked_certificates(connection, entry.issuer_id, certificate.not_after)
        elsewhere = bench.revocations.revoked_certificates(connection, "another", bench.clock.now())

    assert [it.certificate_serial for it in listed] == [certificate.certificate_serial]
    assert lapsed == []
    assert elsewhere == ([] if entry.issuer_id else listed)
