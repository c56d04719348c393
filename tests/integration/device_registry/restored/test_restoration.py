"""What a restored database forgot is taken again: by what the witness has, and with what the database did since."""

from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import Engine, delete, update

from device_registry import Authority, Terminal, TerminalState
from device_registry.audit.log import AuditFilter
from device_registry.errors import (
    TerminalBannedError,
    WitnessBrokenError,
)
from device_registry.revocation import testimony as comparing
from device_registry.revocation.testimony import WitnessState
from device_registry.tables import revocations as table
from tests.support.backup import a_backup
from tests.support.builders import OPERATOR, RegistryBench, a_registry, a_site, a_terminal
from tests.support.witness import asked, decide, kinds, reapply, restoration

S = TerminalState
T = TypeVar("T")


@pytest.mark.parametrize(
    ("decision", "state"),
    [
        ("suspend", S.SUSPENDED),
        ("quarantine", S.QUARANTINED),
        ("evict", S.REGISTERED),
        ("revoke", S.REVOKED),
        ("ban", S.BANNED),
    ],
)
def test_what_was_taken_is_taken_again_after_a_restore(
    engine: Engine,
    bench: RegistryBench,
    kept: comparing.Testimony,
    *,
    terminal: Terminal,
    decision: str,
    state: TerminalState,
) -> None:
    restore = a_backup(engine)
    decide(engine, bench, decision, terminal)
    asked(engine, kept.keep)
    with engine.begin() as connection:
        expected = [it.status for it in bench.registry.certificates(connection, terminal.terminal_id)]
    restore()

    with engine.begin() as connection:
        restored = reapply(bench, connection, reason="backup of last night")

    assert asked(engine, kept.compare).state is WitnessState.AGREES
    assert restored.terminals_moved == 1
    with engine.begin() as connection:
        assert bench.registry.terminal(connection, terminal.terminal_id).state is state
        assert [it.status for it in bench.registry.certificates(connection, terminal.terminal_id)] == expected
        assert bench.audit.verify(connection).broken_at is None
    asked(engine, kept.keep)
    assert asked(engine, kept.compare).state is WitnessState.AGREES


def test_a_lifted_ban_is_lifted_again_and_a_release_released(
    engine: Engine, bench: RegistryBench, kept: comparing.Testimony
) -> None:
    with engine.begin() as connection:
        banned, paused = a_terminal(connection, bench.registry), a_terminal(connection, bench.registry)
    restore = a_backup(engine)
    for decision, terminal in (("ban", banned), ("unban", banned), ("suspend", paused), ("resume", paused)):
        decide(engine, bench, decision, terminal)
    asked(engine, kept.keep)
    restore()

    with engine.begin() as connection:
        reapply(bench, connection, reason="backup of last night")

        assert bench.registry.terminal(connection, banned.terminal_id).state is S.RETIRED
        assert bench.registry.terminal(connection, paused.terminal_id).state is S.ACTIVE
        bench.revocations.refuse_banned(connection, serial_number=banned.serial_number)


def test_a_terminal_registered_after_the_backup_stays_unknown_and_its_ban_holds(
    engine: Engine, bench: RegistryBench, kept: comparing.Testimony
) -> None:
    with engine.begin() as connection:
        a_site(connection, bench.registry)
    restore = a_backup(engine)
    with engine.begin() as connection:
        newcomer = a_terminal(connection, bench.registry, serial_number="SN-NEW")
    decide(engine, bench, "ban", newcomer)
    asked(engine, kept.keep)
    restore()

    with engine.begin() as connection:
        restored = reapply(bench, connection, reason="backup of last night")

        assert (restored.taken_over, restored.unknown) == (2, 2)
        with pytest.raises(TerminalBannedError):
            a_terminal(connection, bench.registry, serial_number="SN-NEW")


def test_what_a_restored_database_revoked_unwitnessed_is_kept(
    engine: Engine,
    tmp_path: Path,
    shared_authority: Authority,
    *,
    bench: RegistryBench,
    kept: comparing.Testimony,
    path: Path,
) -> None:
    with engine.begin() as connection:
        first, second = a_terminal(connection, bench.registry), a_terminal(connection, bench.registry)
    restore = a_backup(engine)
    decide(engine, bench, "revoke", first)
    asked(engine, kept.keep)
    restore()
    blind = replace(bench, registry=a_registry(tmp_path, bench.clock, authority=shared_authority).registry)
    decide(engine, blind, "ban", second)  # by something that does not know of the witness

    with engine.begin() as connection:
        restored = reapply(bench, connection, reason="backup of last night")
    asked(engine, kept.keep)

    assert (restored.taken_over, restored.appended_again) == (2, 2)
    assert kinds(path) == ["TERMINAL", "CERTIFICATE", "BAN", "CERTIFICATE"]
    assert asked(engine, kept.compare).state is WitnessState.AGREES


@pytest.mark.parametrize(
    "change",
    [
        update(table).where(table.c.entry_id == 1).values(subject="somebody else"),
        update(table).where(table.c.entry_id == 2).values(entry_hash="0" * 64),
        delete(table).where(table.c.entry_id == 1),
        delete(table).where(table.c.entry_id == 2),
    ],
    ids=["edited", "other hash", "first removed", "last removed"],
)
def test_a_database_changed_by_hand_is_noticed(
    engine: Engine, bench: RegistryBench, kept: comparing.Testimony, *, terminal: Terminal, change: object
) -> None:
    decide(engine, bench, "revoke", terminal)
    asked(engine, kept.keep)
    with engine.begin() as connection:
        connection.execute(change)  # type: ignore[call-overload] # one of the statements above

    assert asked(engine, kept.compare).state is WitnessState.ROLLED_BACK
    with engine.begin() as connection:
        reapply(bench, connection, reason="somebody was at the database")
    assert asked(engine, kept.compare).state is WitnessState.AGREES


def test_a_witness_changed_by_hand_is_noticed_and_can_be_rebuilt(
    engine: Engine, bench: RegistryBench, kept: comparing.Testimony, path: Path, terminal: Terminal
) -> None:
    decide(engine, bench, "revoke", terminal)
    asked(engine, kept.keep)
    former = path.read_text()
    path.write_text(former.replace("TERMINAL", "RELEASE", 1))

    with pytest.raises(WitnessBrokenError):
        asked(engine, kept.compare)
    with engine.begin() as connection:
        restoration(bench).note_rebuild(connection, reason="disk error", actor=OPERATOR)
    asked(engine, restoration(bench).rebuild_witness)

    assert path.read_text() == former
    assert [it.name for it in path.parent.glob("revocations.jsonl.2*")]  # the damaged one is kept
    assert asked(engine, kept.compare).state is WitnessState.AGREES
    with engine.begin() as connection:
        assert list(bench.audit.entries(connection, AuditFilter(action="revocations.witness_rebuilt")))
