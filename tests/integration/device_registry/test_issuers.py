"""How the fleet moves from one issuing authority to the next, on each database and with keys in file and token."""

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection

from device_registry import IssuerState, admit
from device_registry.authority.authority_folder import new_issuer_id
from device_registry.authority.issuer_store import find_issuer
from device_registry.authority.keys import read_private_key
from device_registry.authority.pkcs11 import Pkcs11Keys
from device_registry.authority.profiles import begun, key_usage
from device_registry.authority.vault import IssuingKeys
from device_registry.errors import (
    IssuerCertificateRefusedError,
    IssuerNotInstalledError,
    IssuerPendingError,
    IssuerTransitionError,
    IssuerUnknownError,
)
from device_registry.revocation.standings import find_standing
from tests.support.authority import PASSPHRASE
from tests.support.builders import OPERATOR, a_terminal, current_fingerprint
from tests.support.issuers import (
    REASON,
    IssuersBench,
    issuer_of,
    issuers_bench,
    renewed,
    require,
)
from tests.support.softhsm import PIN, a_token


@pytest.fixture(params=["file", "pkcs11"])
def keys(request: pytest.FixtureRequest) -> IssuingKeys | None:
    if request.param == "file":
        return None
    token = a_token()
    return Pkcs11Keys(module=token.module, token_label=token.label, pin=lambda: PIN)


@pytest.fixture
def bench(tmp_path: Path) -> IssuersBench:  # of its own: the shared authority is not rolled
    return issuers_bench(tmp_path)


@pytest.fixture
def books(bench: IssuersBench, connection: Connection) -> Connection:
    """Return a connection to books that know the first issuer."""
    bench.issuers.adopt(connection)
    return connection


def test_the_first_issuer_is_entered_once_and_is_active(bench: IssuersBench, connection: Connection) -> None:
    bench.issuers.adopt(connection)
    bench.issuers.adopt(connection)

    (use,) = bench.issuers.overview(connection).uses
    assert use.issuer.issuer_id == bench.registry.authority.issuer_id
    assert use.issuer.state is IssuerState.ACTIVE
    assert use.issuer.not_after == bench.registry.authority.not_after


def test_a_whole_roll_with_keys_in_either_place(
    tmp_path: Path, connection: Connection, keys: IssuingKeys | None
) -> None:
    bench = issuers_bench(tmp_path, keys=keys)
    bench.issuers.adopt(connection)
    first = bench.registry.authority.issuer_id
    terminal = a_terminal(connection, bench.registry.registry)

    second = bench.rolled(connection)
    renewed(bench, connection, terminal)
    bench.issuers.taint(connection, issuer_id=first, reason=REASON, actor=OPERATOR)
    revoked = bench.issuers.revoke(connection, issuer_id=first, reason=REASON, even_if_in_use=False, actor=OPERATOR)

    assert issuer_of(connection, bench, terminal) == second.issuer_id
    assert revoked.state is IssuerState.REVOKED
    assert second.key_backend == ("file" if keys is None else "pkcs11")
    fingerprint = current_fingerprint(connection, bench.registry.registry, terminal.terminal_id)
    admit(require(find_standing(connection, fingerprint)), bench.registry.clock.now())


def test_preparing_twice_returns_the_same_request(bench: IssuersBench, books: Connection) -> None:
    first = bench.issuers.prepare(books, reason=REASON, actor=OPERATOR)
    again = bench.issuers.prepare(books, reason="impatient", actor=OPERATOR)

    assert again == first
    assert first.state is IssuerState.PREPARED
    assert first.certificate_der is None


def test_a_second_issuer_is_not_prepared_while_one_waits_to_be_activated(
    bench: IssuersBench, books: Connection
) -> None:
    installed = bench.installed(books)

    with pytest.raises(IssuerPendingError, match=installed.issuer_id):
        bench.issuers.prepare(books, reason=REASON, actor=OPERATOR)


def test_one_that_is_not_wanted_is_taken_back_and_another_prepared(bench: IssuersBench, books: Connection) -> None:
    unwanted = bench.installed(books)

    bench.issuers.revoke(
        books, issuer_id=unwanted.issuer_id, reason="wrong root folder", even_if_in_use=False, actor=OPERATOR
    )

    assert bench.issuers.prepare(books, reason=REASON, actor=OPERATOR).issuer_id != unwanted.issuer_id


def test_a_certificate_of_another_root_is_not_installed(bench: IssuersBench, books: Connection, tmp_path: Path) -> None:
    stranger = issuers_bench(tmp_path / "stranger")
    prepared = bench.issuers.prepare(books, reason=REASON, actor=OPERATOR)

    with pytest.raises(IssuerCertificateRefusedError, match="root did not sign"):
        bench.issuers.install(
            books, issuer_id=prepared.issuer_id, certificate_der=stranger.signed(prepared), actor=OPERATOR
        )


def test_a_certificate_for_another_key_is_not_installed(bench: IssuersBench, books: Connection) -> None:
    prepared = bench.issuers.prepare(books, reason=REASON, actor=OPERATOR)
    certificate = bench.registry.authority.issuing_certificate
    own = require(find_issuer(books, bench.registry.authority.issuer_id)).certificate_der

    assert certificate.public_key() != x509.load_der_x509_csr(require(prepared.signing_request_der)).public_key()
    with pytest.raises(IssuerCertificateRefusedError, match="another key"):
        bench.issuers.install(books, issuer_id=prepared.issuer_id, certificate_der=require(own), actor=OPERATOR)


def test_a_terminals_certificate_is_no_issuers(bench: IssuersBench, books: Connection) -> None:
    authority, clock = bench.registry.authority, bench.registry.clock
    prepared = bench.issuers.prepare(books, reason=REASON, actor=OPERATOR)
    request = x509.load_der_x509_csr(require(prepared.signing_request_der))
    leaf = authority.issue_terminal(terminal_id="t", public_key=request.public_key(), now=clock.now())  # type: ignore[arg-type]  # ECDSA

    with pytest.raises(IssuerCertificateRefusedError):
        bench.issuers.install(
            books, issuer_id=prepared.issuer_id, certificate_der=leaf.certificate_chain_der[0], actor=OPERATOR
        )
    with pytest.raises(IssuerCertificateRefusedError, match=r"no X\.509"):
        bench.issuers.install(books, issuer_id=prepared.issuer_id, certificate_der=b"garbled", actor=OPERATOR)


@pytest.mark.parametrize(("is_authority", "path_length"), [(True, 1), (True, None), (False, None)])
def test_what_the_root_signed_as_something_else_is_not_installed(
    bench: IssuersBench, books: Connection, *, is_authority: bool, path_length: int | None
) -> None:
    prepared = bench.issuers.prepare(books, reason=REASON, actor=OPERATOR)
    request, now = x509.load_der_x509_csr(require(prepared.signing_request_der)), bench.registry.clock.now()
    root, key = bench.registry.authority.root, read_private_key(bench.root_folder / "key.pem", passphrase=PASSPHRASE)
    odd = (
        begun(
            subject=request.subject,
            public_key=request.public_key(),  # type: ignore[arg-type]  # ECDSA
            issuer=root.subject,
            issuer_key=key.public_key(),
            not_before=now,
            not_after=now + timedelta(days=1),
        )
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=path_length), critical=True)
        .add_extension(key_usage(signs_certificates=True), critical=True)
        .sign(key, SHA256())
        .public_bytes(Encoding.DER)
    )

    with pytest.raises(IssuerCertificateRefusedError, match="path length"):
        bench.issuers.install(books, issuer_id=prepared.issuer_id, certificate_der=odd, actor=OPERATOR)


def test_a_certificate_that_has_lapsed_is_not_installed(bench: IssuersBench, books: Connection) -> None:
    prepared = bench.issuers.prepare(books, reason=REASON, actor=OPERATOR)
    brief = bench.signed(prepared, life=timedelta(hours=1))
    bench.registry.clock.advance(timedelta(hours=1))

    with pytest.raises(IssuerCertificateRefusedError, match="not valid now"):
        bench.issuers.install(books, issuer_id=prepared.issuer_id, certificate_der=brief, actor=OPERATOR)


def test_installing_the_same_certificate_again_changes_nothing(bench: IssuersBench, books: Connection) -> None:
    installed = bench.installed(books)

    again = bench.issuers.install(
        books, issuer_id=installed.issuer_id, certificate_der=require(installed.certificate_der), actor=OPERATOR
    )

    assert again == installed


def test_what_has_no_certificate_is_not_activated(bench: IssuersBench, books: Connection) -> None:
    prepared = bench.issuers.prepare(books, reason=REASON, actor=OPERATOR)

    with pytest.raises(IssuerNotInstalledError):
        bench.issuers.activate(books, issuer_id=prepared.issuer_id, reason=REASON, actor=OPERATOR)


def test_one_issuer_is_active_at_any_time_and_one_can_go_back(bench: IssuersBench, books: Connection) -> None:
    first = bench.registry.authority.issuer_id
    second = bench.rolled(books)
    after_roll = {use.issuer.issuer_id: use.issuer.state for use in bench.issuers.overview(books).uses}

    bench.issuers.activate(books, issuer_id=first, reason="the new one is no good", actor=OPERATOR)

    after_return = {use.issuer.issuer_id: use.issuer.state for use in bench.issuers.overview(books).uses}
    assert after_roll == {first: IssuerState.OUTGOING, second.issuer_id: IssuerState.ACTIVE}
    assert after_return == {first: IssuerState.ACTIVE, second.issuer_id: IssuerState.OUTGOING}


@pytest.mark.parametrize("verb", ["taint", "revoke", "activate"])
def test_the_active_issuer_is_neither_tainted_nor_revoked_nor_activated_again(
    bench: IssuersBench, books: Connection, verb: str
) -> None:
    active = bench.registry.authority.issuer_id
    more = {"even_if_in_use": True} if verb == "revoke" else {}

    with pytest.raises(IssuerTransitionError, match="ACTIVE to"):
        getattr(bench.issuers, verb)(books, issuer_id=active, reason=REASON, actor=OPERATOR, **more)


def test_what_is_outgoing_is_tainted_before_it_is_revoked(bench: IssuersBench, books: Connection) -> None:
    first = bench.registry.authority.issuer_id
    bench.rolled(books)

    with pytest.raises(IssuerTransitionError, match="OUTGOING to REVOKED"):
        bench.issuers.revoke(books, issuer_id=first, reason=REASON, even_if_in_use=True, actor=OPERATOR)


def test_an_unknown_issuer_is_said_to_be_unknown(bench: IssuersBench, books: Connection) -> None:
    with pytest.raises(IssuerUnknownError):
        bench.issuers.taint(books, issuer_id=new_issuer_id(), reason=REASON, actor=OPERATOR)


def test_each_step_is_in_the_audit_trail_with_actor_and_reason(bench: IssuersBench, books: Connection) -> None:
    first = bench.registry.authority.issuer_id
    second = bench.rolled(books).issuer_id
    bench.issuers.taint(books, issuer_id=first, reason="due", actor=OPERATOR)
    bench.issuers.revoke(books, issuer_id=first, reason="over", even_if_in_use=False, actor=OPERATOR)

    rows = books.exec_driver_sql("SELECT action, subject, actor, reason FROM audit_log ORDER BY entry_id").all()
    assert [tuple(row) for row in rows] == [
        ("issuer.adopted", first, "platform", "made with the root"),
        ("issuer.prepared", second, OPERATOR, REASON),
        ("issuer.installed", second, OPERATOR, ""),
        ("issuer.outgoing", first, OPERATOR, f"{second} took over"),
        ("issuer.active", second, OPERATOR, REASON),
        ("issuer.tainted", first, OPERATOR, "due"),
        ("issuer.revoked", first, OPERATOR, "over"),
    ]
    assert bench.registry.announcements.heard.count(("authority", first)) == 4
