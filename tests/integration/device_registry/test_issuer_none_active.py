"""Books in which no issuing authority is active: nothing is signed, least of all by the one that was revoked."""

from pathlib import Path

import pytest
from cryptography import x509
from sqlalchemy import Connection

from device_registry import Authority
from device_registry.authority import issuer_store
from device_registry.authority.issuer_states import IssuerState
from device_registry.authority.keys import make_private_key
from device_registry.authority.vault import FileKeys
from device_registry.errors import IssuerNoneActiveError, IssuingKeyMissingError
from device_registry.revocation.restoration import revoke_issuer_again
from device_registry.revocation.revoked import RevocationKind
from tests.support.authority import PASSPHRASE
from tests.support.builders import OPERATOR, a_terminal
from tests.support.issuers import REASON, IssuersBench, issuer_of, issuers_bench


@pytest.fixture
def bench(tmp_path: Path) -> IssuersBench:  # of its own: the shared authority is not rolled
    return issuers_bench(tmp_path)


@pytest.fixture
def books(bench: IssuersBench, connection: Connection) -> Connection:
    """Return a connection to books that know the first issuer."""
    bench.issuers.adopt(connection)
    return connection


def revoked_again(bench: IssuersBench, books: Connection) -> str:
    """Do to the active issuer what is done after a restore, when the witness knows that it was revoked."""
    first = bench.registry.authority.issuer_id
    entry = bench.registry.revocations.note_revoked(books, kind=RevocationKind.ISSUER, subject=first, issuer_id=first)
    revoke_issuer_again(books, entry)
    return first


def test_i02_a_revoked_issuer_signs_nothing_though_the_backup_had_it_active(
    bench: IssuersBench, books: Connection
) -> None:
    revoked_again(bench, books)

    with pytest.raises(IssuerNoneActiveError):
        a_terminal(books, bench.registry.registry)
    with pytest.raises(IssuerNoneActiveError):
        issuer_store.active_issuer(books, bench.registry.authority)


def test_the_authority_follows_trusts_the_revoked_one_no_more_and_says_why_it_cannot_sign(
    bench: IssuersBench, books: Connection
) -> None:
    authority = bench.registry.authority
    revoked_again(bench, books)

    assert bench.issuers.follow(books)

    assert x509.load_pem_x509_certificates(authority.trust_bundle_pem) == [authority.root]
    assert isinstance(authority.what_prevents_signing(), IssuerNoneActiveError)
    with pytest.raises(IssuerNoneActiveError):
        authority.issue_server(hostnames=[], public_key=make_private_key().public_key(), now=bench.registry.clock.now())


def test_the_next_issuer_ends_it(bench: IssuersBench, books: Connection) -> None:
    revoked_again(bench, books)
    bench.issuers.follow(books)

    second = bench.rolled(books)

    terminal = a_terminal(books, bench.registry.registry)
    assert issuer_of(books, bench, terminal) == second.issuer_id


def test_of_several_issuers_in_the_folder_none_is_taken_for_the_active_one(
    bench: IssuersBench, books: Connection, tmp_path: Path
) -> None:
    bench.rolled(books)
    bench.issuers.follow(books)

    reopened = Authority.open(tmp_path / "authority", passphrase=PASSPHRASE)

    assert isinstance(reopened.what_prevents_signing(), IssuerNoneActiveError)
    issuer_store.take_over(books, reopened)
    assert reopened.issuer_id == bench.registry.authority.issuer_id
    assert reopened.can_sign()


def test_an_issuer_whose_key_does_not_sign_here_is_not_activated_unless_it_is_said(
    bench: IssuersBench, books: Connection, tmp_path: Path
) -> None:
    second = bench.installed(books)
    FileKeys(tmp_path / "authority" / "issuing", passphrase=PASSPHRASE).discard(second.issuer_id)

    with pytest.raises(IssuingKeyMissingError):
        bench.issuers.activate(books, issuer_id=second.issuer_id, reason=REASON, actor=OPERATOR)
    assert bench.issuers.issuer(books, second.issuer_id).state is IssuerState.PREPARED

    forced = bench.issuers.activate(
        books, issuer_id=second.issuer_id, reason=REASON, actor=OPERATOR, even_without_key=True
    )
    assert forced.state is IssuerState.ACTIVE
