"""What hangs on an issuing authority: shares, dependents, renewals that are due, replicas, and a token that is away."""

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from sqlalchemy import Connection, Engine

from device_registry import EVERYBODY, Authority, Standings, admit
from device_registry.authority.pkcs11 import Pkcs11Keys
from device_registry.errors import (
    AuthorityBrokenError,
    CertificateRevokedError,
    HsmUnavailableError,
    IssuerInUseError,
    IssuingKeyMissingError,
)
from device_registry.model import TerminalState
from device_registry.revocation.standings import find_standing
from tests.support.authority import PASSPHRASE, a_signing_request
from tests.support.builders import OPERATOR, a_terminal, current_fingerprint
from tests.support.issuers import (
    REASON,
    IssuersBench,
    issuer_of,
    issuers_bench,
    issuers_bench_on,
    renewed,
    require,
)
from tests.support.softhsm import PIN, a_token


@pytest.fixture
def bench(tmp_path: Path) -> IssuersBench:  # of its own: the shared authority is not rolled
    return issuers_bench(tmp_path)


@pytest.fixture
def books(bench: IssuersBench, connection: Connection) -> Connection:
    """Return a connection to books that know the first issuer."""
    bench.issuers.adopt(connection)
    return connection


def test_new_certificates_come_from_the_active_issuer_and_the_shares_follow(
    bench: IssuersBench, books: Connection
) -> None:
    early, late = a_terminal(books, bench.registry.registry), a_terminal(books, bench.registry.registry)
    first = bench.registry.authority.issuer_id
    second = bench.rolled(books).issuer_id

    renewed(bench, books, early)

    overview = bench.issuers.overview(books)
    assert {use.issuer.issuer_id: (use.terminals, use.dependents) for use in overview.uses} == {
        first: (1, 1),
        second: (1, 1),
    }
    assert overview.terminals == 2
    assert issuer_of(books, bench, early) == second
    assert issuer_of(books, bench, late) == first


def test_a_terminal_depends_on_the_old_issuer_until_it_has_used_the_new_certificate(
    bench: IssuersBench, books: Connection
) -> None:
    registry = bench.registry.registry
    terminal = a_terminal(books, registry)
    first = bench.registry.authority.issuer_id
    bench.rolled(books)
    bench.issuers.taint(books, issuer_id=first, reason=REASON, actor=OPERATOR)
    registry.renew(
        books,
        terminal_id=terminal.terminal_id,
        fingerprint=current_fingerprint(books, registry, terminal.terminal_id),
        signing_request_der=a_signing_request(),
        request_id="",
    )

    with pytest.raises(IssuerInUseError) as refused:
        bench.issuers.revoke(books, issuer_id=first, reason=REASON, even_if_in_use=False, actor=OPERATOR)

    assert refused.value.terminals == 1


def test_the_certificates_of_a_tainted_issuer_are_good_and_due_at_once(bench: IssuersBench, books: Connection) -> None:
    terminal = a_terminal(books, bench.registry.registry)
    fingerprint = current_fingerprint(books, bench.registry.registry, terminal.terminal_id)
    before = require(find_standing(books, fingerprint)).renew_after
    first, now = bench.registry.authority.issuer_id, bench.registry.clock.advance(timedelta(days=1))
    bench.rolled(books)

    bench.issuers.taint(books, issuer_id=first, reason=REASON, actor=OPERATOR)

    standing = require(find_standing(books, fingerprint))
    admit(standing, now)
    assert before > now
    assert standing.renew_after == now
    assert ("terminal", EVERYBODY) in bench.registry.announcements.heard


def test_revoking_an_issuer_that_is_in_use_locks_its_terminals_out_only_when_that_is_said(
    bench: IssuersBench, books: Connection
) -> None:
    terminal = a_terminal(books, bench.registry.registry)
    fingerprint = current_fingerprint(books, bench.registry.registry, terminal.terminal_id)
    first = bench.registry.authority.issuer_id
    bench.rolled(books)
    bench.issuers.taint(books, issuer_id=first, reason=REASON, actor=OPERATOR)
    with pytest.raises(IssuerInUseError, match="1 terminals"):
        bench.issuers.revoke(books, issuer_id=first, reason="stolen", even_if_in_use=False, actor=OPERATOR)
    still_good = require(find_standing(books, fingerprint))
    admit(still_good, bench.registry.clock.now())

    bench.issuers.revoke(books, issuer_id=first, reason="stolen", even_if_in_use=True, actor=OPERATOR)

    with pytest.raises(CertificateRevokedError):
        admit(require(find_standing(books, fingerprint)), bench.registry.clock.now())
    standings = Standings()
    standings.load(books)
    assert require(standings.of(fingerprint)).certificate_status.value == "REVOKED"


def test_a_revoked_issuer_leaves_the_trust_bundle_and_the_others_stay(bench: IssuersBench, books: Connection) -> None:
    first, authority = bench.registry.authority.issuer_id, bench.registry.authority
    second = bench.rolled(books)
    bench.issuers.taint(books, issuer_id=first, reason=REASON, actor=OPERATOR)
    bench.issuers.follow(books)
    while_tainted = x509.load_pem_x509_certificates(authority.trust_bundle_pem)

    bench.issuers.revoke(books, issuer_id=first, reason=REASON, even_if_in_use=False, actor=OPERATOR)
    bench.issuers.follow(books)

    afterwards = x509.load_pem_x509_certificates(authority.trust_bundle_pem)
    assert len(while_tainted) == 3
    assert afterwards == [authority.root, authority.issuing_certificate]
    assert authority.issuer_id == second.issuer_id


def test_another_replica_follows_with_its_next_certificate(
    bench: IssuersBench, books: Connection, tmp_path: Path
) -> None:
    replica = Authority.open(tmp_path / "authority", passphrase=PASSPHRASE)
    other = issuers_bench_on(bench, replica)
    second = bench.rolled(books)

    terminal = a_terminal(books, other.registry.registry)

    assert issuer_of(books, other, terminal) == second.issuer_id
    assert replica.issuer_id == second.issuer_id


def test_a_replica_without_the_new_key_signs_nothing_and_says_so(
    bench: IssuersBench, books: Connection, tmp_path: Path
) -> None:
    second = bench.rolled(books)
    (tmp_path / "authority" / "issuing" / second.issuer_id / "key.pem").rename(tmp_path / "elsewhere.pem")
    replica = Authority.open(tmp_path / "authority", passphrase=PASSPHRASE)
    other = issuers_bench_on(bench, replica)

    with pytest.raises(IssuingKeyMissingError, match=second.issuer_id):
        a_terminal(books, other.registry.registry)

    assert not replica.can_sign()


def test_books_that_name_an_issuer_of_another_root_are_not_followed(
    bench: IssuersBench, books: Connection, tmp_path: Path
) -> None:
    stranger = issuers_bench(tmp_path / "stranger")
    bench.rolled(books)

    with pytest.raises(AuthorityBrokenError, match="root did not sign"):
        issuers_bench_on(bench, stranger.registry.authority).issuers.follow(books)


def test_enrollment_fails_closed_while_the_token_is_away_and_the_operators_token_stays_good(
    tmp_path: Path, engine: Engine
) -> None:
    hsm = a_token()
    bench = issuers_bench(tmp_path, keys=Pkcs11Keys(module=hsm.module, token_label=hsm.label, pin=lambda: PIN))
    registry = bench.registry.registry
    with engine.begin() as connection:
        bench.issuers.adopt(connection)
        terminal = a_terminal(connection, registry, state=TerminalState.REGISTERED)
        token = registry.issue_token(connection, terminal_id=terminal.terminal_id, actor=OPERATOR)
        challenge = registry.challenge(connection, serial_number=terminal.serial_number)
    request = a_signing_request(nonce=challenge.nonce)

    def enroll() -> None:
        with engine.begin() as connection:
            registry.enroll(
                connection,
                serial_number=terminal.serial_number,
                token=token.token,
                signing_request_der=request,
                request_id="",
            )

    with hsm.away(), pytest.raises(HsmUnavailableError):
        enroll()
    assert bench.registry.authority.can_sign()  # as the readiness check asks, every few seconds
    enroll()

    with engine.begin() as connection:
        assert registry.terminal(connection, terminal.terminal_id).state is TerminalState.ENROLLED
