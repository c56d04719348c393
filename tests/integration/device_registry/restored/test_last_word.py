"""After a restore each terminal ends where its last entry says, every list is whole, and all replicas hear of it."""

from dataclasses import replace
from pathlib import Path

from sqlalchemy import Engine, update

from device_registry import Authority, CertificateStatus, Issuers, Terminal, TerminalState
from device_registry.authority import issuer_store
from device_registry.authority.issuer_states import IssuerState
from device_registry.revocation import testimony as comparing
from device_registry.revocation.testimony import WitnessState
from device_registry.tables import certificates
from tests.support.backup import a_backup
from tests.support.builders import OPERATOR, RegistryBench, a_registry
from tests.support.witness import asked, decide, reapply


def test_what_the_restored_database_decided_last_counts(
    engine: Engine,
    tmp_path: Path,
    shared_authority: Authority,
    *,
    bench: RegistryBench,
    kept: comparing.Testimony,
    terminal: Terminal,
) -> None:
    restore = a_backup(engine)
    decide(engine, bench, "quarantine", terminal)
    decide(engine, bench, "resume", terminal)
    asked(engine, kept.keep)
    restore()
    blind = replace(bench, registry=a_registry(tmp_path, bench.clock, authority=shared_authority).registry)
    decide(engine, blind, "suspend", terminal)  # where the witness's disk is not mounted

    with engine.begin() as connection:
        reapply(bench, connection, reason="backup of last night")

        assert bench.registry.terminal(connection, terminal.terminal_id).state is TerminalState.SUSPENDED
        assert [it.kind for it in bench.revocations.entries(connection)] == ["QUARANTINE", "RELEASE", "SUSPENSION"]


def test_certificates_that_were_replaced_since_the_backup_are_on_the_list_too(
    engine: Engine, bench: RegistryBench, kept: comparing.Testimony, terminal: Terminal
) -> None:
    restore = a_backup(engine)
    with engine.begin() as connection:
        (certificate,) = bench.registry.certificates(connection, terminal.terminal_id)
        connection.execute(update(certificates).values(status=CertificateStatus.RETIRED))
    decide(engine, bench, "revoke", terminal)
    asked(engine, kept.keep)
    restore()

    with engine.begin() as connection:
        restored = reapply(bench, connection, reason="backup of last night")

        (again,) = bench.registry.certificates(connection, terminal.terminal_id)
        listed = bench.revocations.revoked_certificates(connection, str(again.issuer_id), bench.clock.now())
    assert (restored.taken_over, again.status) == (1, CertificateStatus.REVOKED)
    assert [it.certificate_serial for it in listed] == [certificate.certificate_serial]
    asked(engine, kept.keep)
    assert asked(engine, kept.compare).state is WitnessState.AGREES


def test_a_revoked_issuer_is_revoked_again_and_every_replica_looks_at_every_terminal(
    engine: Engine, bench: RegistryBench, kept: comparing.Testimony, terminal: Terminal
) -> None:
    first = bench.authority.issuer_id
    issuers = Issuers(
        now=bench.clock.now,
        authority=bench.authority,
        audit=bench.audit,
        announce=bench.announcements.announce,
        revocations=bench.revocations,
    )
    with engine.begin() as connection:
        issuers.adopt(connection)
        issuer_store.move_issuer(
            connection, first, target=IssuerState.TAINTED, reason="key copied", at=bench.clock.now()
        )
    restore = a_backup(engine)
    with engine.begin() as connection:
        issuers.revoke(connection, issuer_id=first, reason="key copied", even_if_in_use=True, actor=OPERATOR)
    asked(engine, kept.keep)
    restore()
    bench.announcements.heard.clear()

    with engine.begin() as connection:
        reapply(bench, connection, reason="backup of last night")

        assert issuers.issuer(connection, first).state is IssuerState.REVOKED
        assert [it.status for it in bench.registry.certificates(connection, terminal.terminal_id)] == [
            CertificateStatus.REVOKED
        ]
    assert {("terminal", "*"), ("authority", first)} <= set(bench.announcements.heard)
