"""A fleet that enrolled under the first release: its issuer and its revocations are those of the books from then on."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from device_registry import Authority, Issuers, Standings, admit
from device_registry.authority import issuer_store
from device_registry.authority.issuer_states import IssuerState
from device_registry.errors import CertificateRevokedError, IssuerInUseError
from device_registry.revocation.testimony import WitnessState
from server.store import migrate
from tests.support.builders import OPERATOR, RegistryBench, a_registry
from tests.support.old_database import an_old_database, fingerprint_of
from tests.support.postgres import PostgresServer
from tests.support.witness import asked

ENTRIES = {
    ("SUSPENSION", "suspended"),
    ("QUARANTINE", "odd"),
    ("TERMINAL", "stolen"),
    ("TERMINAL", "gone"),
    ("CERTIFICATE", "stolen"),
    ("CERTIFICATE", "gone"),
}


@pytest.fixture
def bench(tmp_path: Path, shared_authority: Authority) -> RegistryBench:
    return a_registry(tmp_path, authority=shared_authority, witness=tmp_path / "elsewhere" / "revocations.jsonl")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/old.db"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    yield server.create("old")
    server.drop("old")


@pytest.fixture
def old(url: str, bench: RegistryBench) -> Iterator[Engine]:
    """Return an old database, brought to the newest schema."""
    engine = an_old_database(url, at=bench.clock.now() - timedelta(days=1))
    migrate(engine)
    yield engine
    engine.dispose()


def issuers_of(bench: RegistryBench) -> Issuers:
    return Issuers(
        now=bench.clock.now,
        authority=bench.authority,
        audit=bench.audit,
        announce=bench.announcements.announce,
        revocations=bench.revocations,
    )


def test_the_first_issuer_has_the_certificates_of_the_old_fleet(old: Engine, bench: RegistryBench) -> None:
    issuers, first = issuers_of(bench), bench.authority.issuer_id
    with old.begin() as connection:
        issuers.adopt(connection)

        assert {it.issuer.issuer_id: (it.terminals, it.dependents) for it in issuers.overview(connection).uses} == {
            first: (1, 3)
        }
        issuer_store.move_issuer(
            connection, first, target=IssuerState.OUTGOING, reason="next took over", at=bench.clock.now()
        )
        issuers.taint(connection, issuer_id=first, reason="key copied", actor=OPERATOR)
        with pytest.raises(IssuerInUseError):
            issuers.revoke(connection, issuer_id=first, reason="key copied", even_if_in_use=False, actor=OPERATOR)
        issuers.revoke(connection, issuer_id=first, reason="key copied", even_if_in_use=True, actor=OPERATOR)
        standings = Standings()
        standings.load(connection)
        calm = standings.of(fingerprint_of("calm"))
        assert calm is None or refused(calm, bench)


def refused(standing: object, bench: RegistryBench) -> bool:
    with pytest.raises(CertificateRevokedError):
        admit(standing, bench.clock.now())  # type: ignore[arg-type] # it is one
    return True


def test_what_was_revoked_before_there_was_a_log_is_in_it_and_on_the_list(old: Engine, bench: RegistryBench) -> None:
    now = bench.clock.now()
    with old.begin() as connection:
        issuers_of(bench).adopt(connection)

        entries = list(bench.revocations.entries(connection))
        assert {(entry.kind, entry.subject) for entry in entries} == ENTRIES
        assert {entry.at for entry in entries} == {now - timedelta(days=1)}
        listed = bench.revocations.revoked_certificates(connection, bench.authority.issuer_id, now)
        assert {it.revoked_at for it in listed} == {now - timedelta(days=1)}
        assert len(listed) == 2
        issuers_of(bench).adopt(connection)  # a second process comes a moment later
        assert len(list(bench.revocations.entries(connection))) == len(ENTRIES)
    assert ("revocation", str(len(ENTRIES))) in bench.announcements.heard


def test_an_old_backup_that_is_brought_back_gives_the_log_that_its_witness_knows(
    old: Engine, url: str, bench: RegistryBench, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    kept = bench.revocations.testimony
    assert kept is not None
    with old.begin() as connection:
        issuers_of(bench).adopt(connection)
    asked(old, kept.compare)
    asked(old, kept.keep)
    if url.startswith("sqlite"):
        again_url = f"sqlite:///{tmp_path}/again.db"
    else:
        server: PostgresServer = request.getfixturevalue("postgres_server")
        again_url = server.create("old_again")
        request.addfinalizer(lambda: server.drop("old_again"))
    again = an_old_database(again_url, at=bench.clock.now() - timedelta(days=1))
    migrate(again)
    with again.begin() as connection:
        issuers_of(bench).adopt(connection)

    assert asked(again, kept.compare).state is WitnessState.AGREES
    again.dispose()
