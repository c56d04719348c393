"""What the authority signs, how long it lasts, and how its keys rest."""

import shutil
import stat
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from device_registry.authority.authority import Authority, CertificateLifetimes
from device_registry.authority.certificates import fingerprint_from_der
from device_registry.authority.keys import make_private_key, read_private_key, write_private_key
from device_registry.errors import (
    AuthorityBrokenError,
    AuthorityExistsError,
    AuthorityExpiredError,
    AuthorityMissingError,
    FieldInvalidError,
    IssuingKeyMissingError,
    KeyExposedError,
    PassphraseRefusedError,
)
from tests.support.authority import PASSPHRASE, an_authority
from tests.support.clock import Clock

TERMINAL_ID = "0195a000-0000-7000-8000-000000000001"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def authority(tmp_path: Path, clock: Clock) -> Authority:
    return an_authority(tmp_path, clock)


def leaf_of(chain: tuple[bytes, ...]) -> x509.Certificate:
    return x509.load_der_x509_certificate(chain[0])


def test_a_terminals_certificate_says_who_it_is_and_what_it_may_do(authority: Authority, clock: Clock) -> None:
    key = make_private_key().public_key()

    issued = authority.issue_terminal(terminal_id=TERMINAL_ID, public_key=key, now=clock.now())

    leaf = leaf_of(issued.certificate_chain_der)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [f"urn:shualian:terminal:{TERMINAL_ID}"]
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    constraints = leaf.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert not constraints.value.ca
    assert leaf.public_key() == key
    assert issued.fingerprint == fingerprint_from_der(issued.certificate_chain_der[0])
    assert issued.certificate_serial == f"{leaf.serial_number:x}"


def test_a_terminals_certificate_lives_thirty_days_and_begins_a_little_earlier(
    authority: Authority, clock: Clock
) -> None:
    issued = authority.issue_terminal(
        terminal_id=TERMINAL_ID, public_key=make_private_key().public_key(), now=clock.now()
    )

    assert issued.not_after == clock.now() + timedelta(days=30)
    assert issued.not_before == clock.now() - timedelta(minutes=5)


def test_serial_numbers_are_long_and_never_the_same(authority: Authority, clock: Clock) -> None:
    key = make_private_key().public_key()

    serials = {
        int(authority.issue_terminal(terminal_id=TERMINAL_ID, public_key=key, now=clock.now()).certificate_serial, 16)
        for _ in range(20)
    }

    assert len(serials) == 20
    assert max(serials).bit_length() > 150
    assert max(serials).bit_length() <= 159


def test_the_chain_verifies_for_a_client_and_a_server(authority: Authority, clock: Clock) -> None:
    roots = Store([x509.load_der_x509_certificate(der) for der in authority.root_certificates_der])
    key = make_private_key().public_key()
    terminal = authority.issue_terminal(terminal_id=TERMINAL_ID, public_key=key, now=clock.now())
    server = authority.issue_server(hostnames=["pay.example", "10.1.2.3"], public_key=key, now=clock.now())
    builder = PolicyBuilder().store(roots).time(clock.now())
    chains = [[x509.load_der_x509_certificate(der) for der in it.certificate_chain_der] for it in (terminal, server)]

    builder.build_client_verifier().verify(chains[0][0], chains[0][1:])
    for name in ("pay.example", "localhost"):
        builder.build_server_verifier(x509.DNSName(name)).verify(chains[1][0], chains[1][1:])
    for address in ("10.1.2.3", "127.0.0.1", "::1"):
        verifier = builder.build_server_verifier(x509.IPAddress(ip_address(address)))
        verifier.verify(chains[1][0], chains[1][1:])
    with pytest.raises(VerificationError):
        builder.build_client_verifier().verify(chains[1][0], chains[1][1:])


def test_the_root_may_have_one_authority_below_it_and_the_issuing_one_none(authority: Authority) -> None:
    root, issuing = x509.load_pem_x509_certificates(authority.trust_bundle_pem)

    for certificate, path_length in ((root, 1), (issuing, 0)):
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
        assert constraints.critical
        assert constraints.value.ca
        assert constraints.value.path_length == path_length
        assert usage.critical
        assert usage.value.key_cert_sign
        assert usage.value.crl_sign
        assert not usage.value.digital_signature
    assert authority.root_fingerprint_sha256 == fingerprint_from_der(authority.root_certificates_der[0])


def test_no_certificate_outlives_the_one_that_signed_it(tmp_path: Path, clock: Clock) -> None:
    lifetimes = CertificateLifetimes(root=timedelta(days=10), issuing=timedelta(days=20))
    authority = an_authority(tmp_path, clock, lifetimes)
    clock.advance(timedelta(days=1))

    issued = authority.issue_terminal(
        terminal_id=TERMINAL_ID, public_key=make_private_key().public_key(), now=clock.now()
    )

    assert authority.not_after == clock.now() + timedelta(days=9)
    assert issued.not_after == authority.not_after


def test_an_expired_authority_signs_nothing(authority: Authority, clock: Clock) -> None:
    clock.set(authority.not_after)

    with pytest.raises(AuthorityExpiredError):
        authority.issue_terminal(terminal_id=TERMINAL_ID, public_key=make_private_key().public_key(), now=clock.now())


@pytest.mark.parametrize("hostname", ["", "two words", "-x.example", "a..b", "x" * 254, "pay.example\n"])
def test_a_name_that_is_no_host_is_not_signed(authority: Authority, clock: Clock, hostname: str) -> None:
    with pytest.raises(FieldInvalidError):
        authority.issue_server(hostnames=[hostname], public_key=make_private_key().public_key(), now=clock.now())


def test_i03_private_keys_rest_encrypted_and_readable_by_their_owner_alone(
    authority: Authority, tmp_path: Path
) -> None:
    folder = tmp_path / "authority"

    assert authority.root_fingerprint_sha256
    keys = sorted(folder.rglob("key.pem"))
    assert [key.parent.name for key in keys] == [authority.issuer_id, "root"]
    for key in keys:
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert key.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
        with pytest.raises(TypeError):
            serialization.load_pem_private_key(key.read_bytes(), password=None)
    in_clear = b"-----BEGIN " + b"PRIVATE KEY"
    assert not [file for file in folder.rglob("*") if file.is_file() and in_clear in file.read_bytes()]


def test_an_authority_opens_again_without_its_root_key(authority: Authority, tmp_path: Path, clock: Clock) -> None:
    shutil.rmtree(tmp_path / "authority" / "root")

    opened = Authority.open(tmp_path / "authority", passphrase=PASSPHRASE)

    assert opened.trust_bundle_pem == authority.trust_bundle_pem
    assert opened.issue_terminal(
        terminal_id=TERMINAL_ID, public_key=make_private_key().public_key(), now=clock.now()
    ).fingerprint


def test_an_authority_is_never_overwritten(authority: Authority, tmp_path: Path, clock: Clock) -> None:
    key = tmp_path / "authority" / "issuing" / authority.issuer_id / "key.pem"
    before = key.read_bytes()

    with pytest.raises(AuthorityExistsError):
        Authority.create(tmp_path / "authority", passphrase=PASSPHRASE, now=clock.now)

    assert authority.trust_bundle_pem
    assert key.read_bytes() == before


def test_a_file_in_the_place_of_the_folder_is_not_overwritten(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "ca").write_text("a diary")

    with pytest.raises(AuthorityExistsError):
        Authority.create(tmp_path / "ca", passphrase=PASSPHRASE, now=clock.now)


def test_an_authority_that_fails_half_way_leaves_nothing(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(PassphraseRefusedError):
        Authority.create(tmp_path / "ca", passphrase=b"short", now=clock.now)

    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("authority")
def test_a_wrong_passphrase_opens_nothing(tmp_path: Path) -> None:
    with pytest.raises(PassphraseRefusedError):
        Authority.open(tmp_path / "authority", passphrase=PASSPHRASE + b"!")


def test_a_key_that_others_may_read_is_not_used(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "authority" / "issuing" / authority.issuer_id / "key.pem").chmod(0o640)

    with pytest.raises(KeyExposedError):
        Authority.open(tmp_path / "authority", passphrase=PASSPHRASE)


@pytest.mark.usefixtures("authority")
def test_a_missing_root_is_named(tmp_path: Path) -> None:
    (tmp_path / "authority" / "root.pem").unlink()

    with pytest.raises(AuthorityMissingError) as missing:
        Authority.open(tmp_path / "authority", passphrase=PASSPHRASE)
    assert missing.value.path == tmp_path / "authority" / "root.pem"


def test_an_authority_whose_issuing_folder_is_gone_gets_its_certificates_back_from_the_books_and_signs_nothing(
    authority: Authority, tmp_path: Path
) -> None:
    issuing = tmp_path / "authority" / "issuing"
    active, certificate = authority.issuer_id, authority.issuing_certificate
    shutil.rmtree(issuing)

    opened = Authority.open(tmp_path / "authority", passphrase=PASSPHRASE)

    assert not opened.can_sign()
    with pytest.raises(AuthorityMissingError):
        _ = opened.issuing_certificate
    opened.follow({active: certificate.public_bytes(serialization.Encoding.DER)}, active=active, trusted=[active])
    assert opened.issuing_certificate == certificate
    assert (issuing / active / "certificate.pem").exists()
    assert not opened.can_sign()


def test_a_key_file_that_is_lost_or_garbled_is_noticed_while_memory_still_signs(
    authority: Authority, tmp_path: Path, clock: Clock
) -> None:
    key = tmp_path / "authority" / "issuing" / authority.issuer_id / "key.pem"
    kept, found = key.read_bytes(), [authority.can_sign()]
    key.unlink()
    found.append(authority.can_sign())
    issued = authority.issue_terminal(
        terminal_id=TERMINAL_ID, public_key=make_private_key().public_key(), now=clock.now()
    )
    write_private(key, b"garbled")
    found.append(authority.can_sign())
    write_private(key, kept)
    found.append(authority.can_sign())

    assert found == [True, False, False, True]
    assert issued.issuer_id == authority.issuer_id


def write_private(path: Path, content: bytes) -> None:
    """Write a file for its owner alone."""
    path.touch(mode=0o600)
    path.write_bytes(content)


def test_an_authority_whose_issuing_key_is_lost_opens_and_signs_nothing(
    authority: Authority, tmp_path: Path, clock: Clock
) -> None:
    (tmp_path / "authority" / "issuing" / authority.issuer_id / "key.pem").unlink()

    opened = Authority.open(tmp_path / "authority", passphrase=PASSPHRASE)

    assert not opened.can_sign()
    with pytest.raises(IssuingKeyMissingError):
        opened.issue_terminal(terminal_id=TERMINAL_ID, public_key=make_private_key().public_key(), now=clock.now())


@pytest.mark.parametrize("name", ["root.pem", "issuing/{}/certificate.pem", "issuing/{}/key.pem"])
def test_a_garbled_file_is_refused(authority: Authority, tmp_path: Path, name: str) -> None:
    (tmp_path / "authority" / name.format(authority.issuer_id)).write_bytes(b"garbled")

    with pytest.raises(AuthorityBrokenError):
        Authority.open(tmp_path / "authority", passphrase=PASSPHRASE)


@pytest.mark.parametrize("name", ["root.pem", "issuing/{}/key.pem", "issuing/{}/certificate.pem"])
def test_files_of_two_authorities_do_not_mix(authority: Authority, tmp_path: Path, clock: Clock, name: str) -> None:
    other = an_authority(tmp_path / "other", clock)
    source = tmp_path / "other" / "authority" / name.format(other.issuer_id)
    shutil.copy2(source, tmp_path / "authority" / name.format(authority.issuer_id))

    with pytest.raises(AuthorityBrokenError):
        Authority.open(tmp_path / "authority", passphrase=PASSPHRASE)


def test_the_layout_of_an_earlier_version_is_refused_with_what_to_do(authority: Authority, tmp_path: Path) -> None:
    issuing = tmp_path / "authority" / "issuing"
    for name in ("certificate.pem", "key.pem"):
        (issuing / authority.issuer_id / name).rename(issuing / name)
    (issuing / authority.issuer_id).rmdir()

    with pytest.raises(AuthorityBrokenError, match="shualian ca init"):
        Authority.open(tmp_path / "authority", passphrase=PASSPHRASE)


def test_a_key_file_is_never_replaced(tmp_path: Path) -> None:
    first = make_private_key()
    write_private_key(tmp_path / "key.pem", first, passphrase=PASSPHRASE)

    with pytest.raises(AuthorityExistsError):
        write_private_key(tmp_path / "key.pem", make_private_key(), passphrase=PASSPHRASE)

    kept = read_private_key(tmp_path / "key.pem", passphrase=PASSPHRASE)
    assert kept.private_numbers() == first.private_numbers()


def test_a_key_of_another_kind_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.touch(mode=0o600)
    path.write_bytes(
        ed25519.Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(PASSPHRASE),
        )
    )

    with pytest.raises(AuthorityBrokenError):
        read_private_key(path, passphrase=PASSPHRASE)
