"""The terminal's key stays at home, and a renewal that crashes anywhere leaves an identity that works."""

import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AttributeOID, NameOID

from mock_terminal.disk import alone
from mock_terminal.errors import StateError
from mock_terminal.keystore import Identity, KeyStore, StagedKey

TERMINAL_ID = "019876d0-0000-7000-8000-000000000001"
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
RENEW_AFTER = BEGIN + timedelta(days=20)
AUTHORITY_KEY = ec.generate_private_key(ec.SECP256R1())


def a_certificate(key: ec.EllipticCurvePublicKey, *, uri: str = f"urn:shualian:terminal:{TERMINAL_ID}") -> bytes:
    """Return a certificate for this key, DER, as an issuing CA would write it."""
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "made-up issuing CA")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(issuer)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(BEGIN)
        .not_valid_after(BEGIN + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False)
    )
    return builder.sign(AUTHORITY_KEY, hashes.SHA256()).public_bytes(Encoding.DER)


def adopted(store: KeyStore, staged: StagedKey) -> Identity:
    return store.adopt(staged, chain_der=[a_certificate(staged.key.public_key())], renew_after=RENEW_AFTER)


def private_number(identity: Identity) -> int:
    key = serialization.load_pem_private_key(identity.key_pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key.private_numbers().private_value


def test_i03_the_store_signs_with_the_key_in_use_and_hands_it_to_nobody(tmp_path: Path) -> None:
    store = KeyStore(tmp_path / "state")
    adopted(store, store.stage())
    identity = adopted(store, store.stage())

    signature = store.sign(b"what is signed")

    public = x509.load_pem_x509_certificate(identity.chain_pem).public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    public.verify(signature, b"what is signed", ec.ECDSA(hashes.SHA256()))


def test_i03_the_key_is_a_file_that_its_owner_alone_can_read(tmp_path: Path) -> None:
    store = KeyStore(tmp_path / "state")

    adopted(store, store.stage())

    keys = list((tmp_path / "state").rglob("key.pem"))
    assert keys
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_i03_neither_identity_nor_staged_key_shows_the_key_in_its_repr(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    staged = store.stage()
    identity = adopted(store, staged)

    assert "PRIVATE KEY" not in repr(identity)
    assert "EllipticCurve" not in repr(staged)


def test_the_signing_request_proves_possession_and_carries_the_nonce_in_hex(tmp_path: Path) -> None:
    nonce = bytes(range(32))
    staged = KeyStore(tmp_path).stage()

    request = x509.load_der_x509_csr(staged.signing_request_der(nonce=nonce))

    assert request.is_signature_valid
    assert request.public_key() == staged.key.public_key()
    attribute = request.attributes.get_attribute_for_oid(AttributeOID.CHALLENGE_PASSWORD)
    assert attribute.value == nonce.hex().encode()


def test_a_request_for_renewal_carries_no_nonce(tmp_path: Path) -> None:
    request = x509.load_der_x509_csr(KeyStore(tmp_path).stage().signing_request_der())

    assert len(request.attributes) == 0


def test_an_adopted_identity_is_read_back_whole(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    staged = store.stage()

    identity = adopted(store, staged)

    assert KeyStore(tmp_path).identity() == identity
    assert identity.terminal_id == TERMINAL_ID
    assert identity.renew_after == RENEW_AFTER
    assert identity.not_after == BEGIN + timedelta(days=30)
    assert private_number(identity) == staged.key.private_numbers().private_value


def test_a_folder_without_identity_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="enroll"):
        KeyStore(tmp_path).identity()


def test_a_renewal_that_breaks_off_before_its_certificate_changes_nothing(tmp_path: Path) -> None:
    before = adopted(KeyStore(tmp_path), KeyStore(tmp_path).stage())

    KeyStore(tmp_path).stage()  # and here the plug is pulled

    assert KeyStore(tmp_path).identity() == before


def test_a_renewal_that_breaks_off_before_the_switch_changes_nothing(tmp_path: Path) -> None:
    before = adopted(KeyStore(tmp_path), KeyStore(tmp_path).stage())
    staged = KeyStore(tmp_path).stage()
    (staged.folder / "chain.pem").write_bytes(b"half a certi")  # the crash hit in the middle of the chain
    (tmp_path / "current.new").symlink_to(staged.folder.relative_to(tmp_path))  # or just before the link was moved

    assert KeyStore(tmp_path).identity() == before


def test_after_a_broken_renewal_the_next_one_works(tmp_path: Path) -> None:
    first = adopted(KeyStore(tmp_path), KeyStore(tmp_path).stage())
    broken = KeyStore(tmp_path).stage()
    (tmp_path / "current.new").symlink_to(broken.folder.relative_to(tmp_path))

    second = adopted(KeyStore(tmp_path), KeyStore(tmp_path).stage())

    assert KeyStore(tmp_path).identity() == second
    assert private_number(second) != private_number(first)
    assert not broken.folder.exists()  # a key without a certificate is not kept


def test_each_renewal_has_a_new_key(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)

    numbers = {private_number(adopted(store, store.stage())) for _ in range(4)}

    assert len(numbers) == 4


def test_a_certificate_for_another_key_is_not_adopted(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    before = adopted(store, store.stage())
    foreign = ec.generate_private_key(ec.SECP256R1()).public_key()

    with pytest.raises(StateError, match="not for the key"):
        store.adopt(store.stage(), chain_der=[a_certificate(foreign)], renew_after=RENEW_AFTER)

    assert store.identity() == before


@pytest.mark.parametrize("chain", [[], [b"no certificate"]])
def test_what_is_no_certificate_is_not_adopted(tmp_path: Path, chain: list[bytes]) -> None:
    store = KeyStore(tmp_path)

    with pytest.raises(StateError):
        store.adopt(store.stage(), chain_der=chain, renew_after=RENEW_AFTER)


def test_a_certificate_that_names_no_terminal_is_said_to_be_so(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    before = adopted(store, store.stage())
    staged = store.stage()
    chain = [a_certificate(staged.key.public_key(), uri="urn:something:else")]

    with pytest.raises(StateError, match="names no terminal"):
        store.adopt(staged, chain_der=chain, renew_after=RENEW_AFTER)

    assert store.identity() == before


def test_old_keys_are_deleted_but_for_the_predecessor(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    adopted(store, store.stage())
    predecessor = store.stage()
    adopted(store, predecessor)
    current = store.stage()
    adopted(store, current)

    assert {path.name for path in (tmp_path / "identities").iterdir()} == {predecessor.folder.name, current.folder.name}


def test_two_processes_never_do_the_same_work_at_once(tmp_path: Path) -> None:
    with alone(tmp_path, "payment"):
        with pytest.raises(StateError, match="busy with payment"), alone(tmp_path, "payment"):
            pass
        with alone(tmp_path, "identity"):
            pass
    with alone(tmp_path, "payment"):
        pass


def test_whoever_is_patient_begins_when_the_other_one_is_done(tmp_path: Path) -> None:
    def work() -> None:
        with alone(tmp_path, "payment", patience=timedelta(minutes=1)):
            pass

    with ThreadPoolExecutor(max_workers=1) as other:
        with alone(tmp_path, "payment"):
            waiting = other.submit(work)
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.2)
        waiting.result(timeout=30)


@pytest.mark.parametrize(("name", "content"), [("chain.pem", "x"), ("renewal.json", "{"), ("renewal.json", "[]")])
def test_a_damaged_identity_is_reported_as_such(tmp_path: Path, name: str, content: str) -> None:
    store = KeyStore(tmp_path)
    adopted(store, store.stage())
    next((tmp_path / "identities").rglob(name)).write_text(content, encoding="utf-8")

    with pytest.raises(StateError, match="damaged"):
        store.identity()
