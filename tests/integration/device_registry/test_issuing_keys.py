"""Issuing keys, the same promises in a file and in a token: what is signed verifies, and the key stays where it is."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.verification import PolicyBuilder, Store

from device_registry.authority.authority import Authority
from device_registry.authority.authority_folder import new_issuer_id
from device_registry.authority.keys import make_private_key
from device_registry.authority.pkcs11 import KeyStaysInTokenError, Pkcs11Keys
from device_registry.authority.signing import Signature, SignaturePurpose, Signer
from device_registry.authority.vault import FileKeys, IssuingKeys
from device_registry.errors import HsmUnavailableError, IssuerKeyMismatchError, IssuingKeyMissingError
from tests.support.authority import PASSPHRASE
from tests.support.clock import Clock
from tests.support.softhsm import PIN, Token, a_token

TERMINAL_ID = "0195a000-0000-7000-8000-000000000001"
SHA = ec.ECDSA(SHA256())


@dataclass(frozen=True, kw_only=True)
class Vault:
    """Issuing keys, and a way to open the same ones again as another process would."""

    keys: IssuingKeys
    reopened: Callable[[], IssuingKeys]


def in_token(token: Token, pin: Callable[[], str] = lambda: PIN) -> Pkcs11Keys:
    return Pkcs11Keys(module=token.module, token_label=token.label, pin=pin)


@pytest.fixture(params=["file", "pkcs11"])
def vault(request: pytest.FixtureRequest, tmp_path: Path) -> Vault:
    if request.param == "file":
        return Vault(
            keys=FileKeys(tmp_path / "keys", passphrase=PASSPHRASE),
            reopened=lambda: FileKeys(tmp_path / "keys", passphrase=PASSPHRASE),
        )
    token = a_token()
    return Vault(keys=in_token(token), reopened=lambda: in_token(token))


@pytest.fixture
def token() -> Token:
    return a_token()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def authority(vault: Vault, tmp_path: Path, clock: Clock) -> Authority:
    return Authority.create(tmp_path / "ca", passphrase=PASSPHRASE, now=clock.now, keys=vault.keys)


def test_what_a_key_signs_its_public_half_verifies(vault: Vault) -> None:
    issuer_id = new_issuer_id()
    made = vault.keys.make(issuer_id)

    signature = vault.keys.key(issuer_id).sign(b"a made-up message", SHA)

    made.public_key().verify(signature, b"a made-up message", SHA)
    assert isinstance(made.curve, ec.SECP256R1)
    assert made.key_size == 256


def test_another_process_finds_the_same_key(vault: Vault) -> None:
    issuer_id = new_issuer_id()
    made = vault.keys.make(issuer_id)

    found = vault.reopened().key(issuer_id)

    assert found.public_key() == made.public_key()
    made.public_key().verify(found.sign(b"made up", SHA), b"made up", SHA)


def test_two_issuers_have_two_keys(vault: Vault) -> None:
    first, second = new_issuer_id(), new_issuer_id()
    vault.keys.make(first)
    vault.keys.make(second)

    assert vault.keys.key(first).public_key() != vault.keys.key(second).public_key()


def test_a_key_that_is_not_there_is_named(vault: Vault) -> None:
    vault.keys.make(new_issuer_id())

    with pytest.raises(IssuingKeyMissingError, match="00000000deadbeef"):
        vault.keys.key("00000000deadbeef")


def test_a_discarded_key_is_gone_and_the_others_stay(vault: Vault) -> None:
    unwanted, wanted = new_issuer_id(), new_issuer_id()
    vault.keys.make(unwanted)
    vault.keys.make(wanted)

    vault.keys.discard(unwanted)

    with pytest.raises(IssuingKeyMissingError):
        vault.reopened().key(unwanted)
    assert vault.reopened().key(wanted)


def test_a_key_of_another_issuer_is_not_used(vault: Vault, authority: Authority) -> None:
    other = new_issuer_id()
    vault.keys.make(other)

    with pytest.raises(IssuerKeyMismatchError):
        Signer(keys=vault.keys).prove(other, authority.issuing_certificate)


def test_certificates_verify_up_to_the_root(authority: Authority, clock: Clock) -> None:
    roots = Store([x509.load_der_x509_certificate(der) for der in authority.root_certificates_der])
    key = make_private_key().public_key()
    terminal = authority.issue_terminal(terminal_id=TERMINAL_ID, public_key=key, now=clock.now())
    operator = authority.issue_operator(name="lin", public_key=key, now=clock.now())
    server = authority.issue_server(hostnames=["pay.example"], public_key=key, now=clock.now())
    builder = PolicyBuilder().store(roots).time(clock.now())

    for issued in (terminal, operator):
        leaf, *above = [x509.load_der_x509_certificate(der) for der in issued.certificate_chain_der]
        builder.build_client_verifier().verify(leaf, above)
        assert issued.issuer_id == authority.issuer_id
    leaf, *above = [x509.load_der_x509_certificate(der) for der in server.certificate_chain_der]
    builder.build_server_verifier(x509.DNSName("pay.example")).verify(leaf, above)


def test_an_operators_certificate_says_who_it_is_and_lives_ninety_days(authority: Authority, clock: Clock) -> None:
    issued = authority.issue_operator(name="lin", public_key=make_private_key().public_key(), now=clock.now())

    leaf = x509.load_der_x509_certificate(issued.certificate_chain_der[0])
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["urn:shualian:operator:lin"]
    assert issued.not_after == clock.now() + timedelta(days=90)


def test_a_revocation_list_is_signed_and_names_what_was_revoked(authority: Authority, clock: Clock) -> None:
    now, stolen = clock.now(), x509.ReasonFlags.key_compromise

    der = authority.sign_crl(
        authority.issuer_id,
        [("5a", now, stolen), ("5b", now, x509.ReasonFlags.unspecified)],
        7,
        now,
        now + timedelta(hours=1),
    )

    crl = x509.load_der_x509_crl(der)
    key = authority.issuing_certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert crl.is_signature_valid(key)
    assert crl.issuer == authority.issuing_certificate.subject
    assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 7
    assert crl.next_update_utc == now + timedelta(hours=1)
    first = crl.get_revoked_certificate_by_serial_number(0x5A)
    second = crl.get_revoked_certificate_by_serial_number(0x5B)
    assert first is not None
    assert second is not None
    assert first.extensions.get_extension_for_class(x509.CRLReason).value.reason is stolen
    assert not list(second.extensions)
    assert crl.get_revoked_certificate_by_serial_number(0x5C) is None


def test_many_threads_sign_at_once(authority: Authority, clock: Clock) -> None:
    key = make_private_key().public_key()

    def issue(_: int) -> str:
        return authority.issue_terminal(terminal_id=TERMINAL_ID, public_key=key, now=clock.now()).certificate_serial

    with ThreadPoolExecutor(max_workers=8) as pool:
        serials = set(pool.map(issue, range(40)))

    assert len(serials) == 40


def test_each_signature_is_told_with_its_purpose_and_a_failed_one_with_its_reason(
    vault: Vault, authority: Authority, clock: Clock
) -> None:
    told: list[Signature] = []
    authority.watch(told.append)
    key = make_private_key().public_key()
    authority.issue_terminal(terminal_id=TERMINAL_ID, public_key=key, now=clock.now())
    vault.keys.discard(authority.issuer_id)
    with pytest.raises(IssuingKeyMissingError):
        authority.issue_operator(name="lin", public_key=key, now=clock.now())

    assert [(it.purpose, it.refusal) for it in told] == [
        (SignaturePurpose.TERMINAL, ""),
        (SignaturePurpose.OPERATOR, "ISSUING_KEY_MISSING"),
    ]
    assert all(it.seconds > 0 for it in told)
    assert not authority.can_sign()


def test_an_authority_that_fails_half_way_leaves_no_key_behind(vault: Vault, tmp_path: Path, clock: Clock) -> None:
    made: list[str] = []

    class Watched:
        backend = vault.keys.backend
        discard, key = vault.keys.discard, vault.keys.key

        def make(self, issuer_id: str) -> ec.EllipticCurvePrivateKey:
            made.append(issuer_id)
            vault.keys.make(issuer_id)
            raise OSError("no space left, made up")

    with pytest.raises(OSError, match="no space left"):
        Authority.create(tmp_path / "ca", passphrase=PASSPHRASE, now=clock.now, keys=Watched())

    assert not (tmp_path / "ca").exists()
    with pytest.raises(IssuingKeyMissingError):
        vault.reopened().key(made[0])


# A token alone ---------------------------------------------------------------------------------------------------


def test_i03_a_key_in_a_token_is_never_readable(token: Token) -> None:
    issuer_id = new_issuer_id()
    key = in_token(token).make(issuer_id)

    with pytest.raises(KeyStaysInTokenError):
        key.private_numbers()
    with pytest.raises(KeyStaysInTokenError):
        key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    assert attributes_of(token, issuer_id) == {
        "SENSITIVE": True,
        "EXTRACTABLE": False,
        "ALWAYS_SENSITIVE": True,
        "NEVER_EXTRACTABLE": True,
        "VALUE": "AttributeSensitive",
    }


def test_i03_the_authoritys_folder_holds_no_issuing_key(token: Token, tmp_path: Path, clock: Clock) -> None:
    authority = Authority.create(tmp_path / "ca", passphrase=PASSPHRASE, now=clock.now, keys=in_token(token))

    assert [path.parent.name for path in (tmp_path / "ca").rglob("key.pem")] == ["root"]
    assert authority.key_backend == "pkcs11"


def test_a_token_that_is_away_is_a_typed_error_and_a_probe_finds_it_when_it_is_back(
    token: Token, tmp_path: Path, clock: Clock
) -> None:
    authority = Authority.create(tmp_path / "ca", passphrase=PASSPHRASE, now=clock.now, keys=in_token(token))
    key = make_private_key().public_key()

    with token.away():
        can_sign_without = authority.can_sign()
        with pytest.raises(HsmUnavailableError):
            authority.issue_terminal(terminal_id=TERMINAL_ID, public_key=key, now=clock.now())
    with pytest.raises(HsmUnavailableError, match="not asked again yet"):
        authority.issue_terminal(terminal_id=TERMINAL_ID, public_key=key, now=clock.now())

    assert not can_sign_without
    assert authority.can_sign()
    assert authority.issue_terminal(terminal_id=TERMINAL_ID, public_key=key, now=clock.now())


def test_an_authority_opens_while_its_token_is_away(token: Token, tmp_path: Path, clock: Clock) -> None:
    Authority.create(tmp_path / "ca", passphrase=PASSPHRASE, now=clock.now, keys=in_token(token))

    with token.away():
        opened = Authority.open(tmp_path / "ca", passphrase=PASSPHRASE, keys=in_token(token))

    assert opened.can_sign()


def test_a_wrong_pin_opens_nothing_and_is_in_no_message(token: Token) -> None:
    keys = in_token(token, pin=lambda: "not-the-pin")

    with pytest.raises(HsmUnavailableError) as refused:
        keys.make(new_issuer_id())

    assert "not-the-pin" not in str(refused.value)
    assert "PinIncorrect" in str(refused.value)


def test_a_library_that_is_not_there_is_a_typed_error(tmp_path: Path) -> None:
    keys = Pkcs11Keys(module=tmp_path / "none.so", token_label="none", pin=lambda: PIN)

    with pytest.raises(HsmUnavailableError):
        keys.key(new_issuer_id())


def attributes_of(token: Token, issuer_id: str) -> dict[str, object]:
    """Ask the token itself what may be done with a key."""
    import pkcs11  # noqa: PLC0415 - only where there is a token

    session = pkcs11.lib(str(token.module)).get_token(token_label=token.label).open()  # this process is logged in
    key = session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label=f"shualian-issuing-{issuer_id}")
    found: dict[str, object] = {}
    for name in ("SENSITIVE", "EXTRACTABLE", "ALWAYS_SENSITIVE", "NEVER_EXTRACTABLE", "VALUE"):
        try:
            found[name] = key[pkcs11.Attribute[name]]
        except pkcs11.PKCS11Error as error:
            found[name] = type(error).__name__
    return found
