"""A token that holds another key than it should: nothing it signs is handed out, and health tells."""

from pathlib import Path
from typing import Any

import pkcs11
import pytest
from pkcs11.util.ec import encode_named_curve_parameters

from device_registry.authority.authority import Authority
from device_registry.authority.authority_folder import new_issuer_id
from device_registry.authority.keys import make_private_key
from device_registry.authority.pkcs11 import Pkcs11Keys
from device_registry.errors import IssuerKeyMismatchError, IssuingKeyMissingError
from tests.support.authority import PASSPHRASE
from tests.support.clock import Clock
from tests.support.softhsm import PIN, Token, a_token

TERMINAL_ID = "0195a000-0000-7000-8000-000000000001"


@pytest.fixture
def token() -> Token:
    return a_token()


@pytest.fixture
def keys(token: Token) -> Pkcs11Keys:
    return Pkcs11Keys(module=token.module, token_label=token.label, pin=lambda: PIN)


def session_in(token: Token) -> Any:  # noqa: ANN401 - the wheel has no types
    return pkcs11.lib(str(token.module)).get_token(token_label=token.label).open(rw=True)  # this process is logged in


def another_pair(session: Any, issuer_id: str) -> None:  # noqa: ANN401 - as above
    """Make one more pair under an issuer's label."""
    curve = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
    session.create_domain_parameters(pkcs11.KeyType.EC, curve, local=True).generate_keypair(
        id=bytes.fromhex(issuer_id), label=f"shualian-issuing-{issuer_id}", store=True
    )


def objects_of(session: Any, issuer_id: str, kind: Any = None) -> list[Any]:  # noqa: ANN401 - as above
    wanted = {pkcs11.Attribute.LABEL: f"shualian-issuing-{issuer_id}"}
    return list(session.get_objects(wanted if kind is None else {**wanted, pkcs11.Attribute.CLASS: kind}))


def test_what_a_replaced_key_signed_is_not_handed_out_and_a_probe_finds_it(
    token: Token, keys: Pkcs11Keys, tmp_path: Path
) -> None:
    clock = Clock()
    authority = Authority.create(tmp_path / "ca", passphrase=PASSPHRASE, now=clock.now, keys=keys)
    authority.issue_terminal(terminal_id=TERMINAL_ID, public_key=make_private_key().public_key(), now=clock.now())
    session = session_in(token)
    for found in objects_of(session, authority.issuer_id):
        found.destroy()
    another_pair(session, authority.issuer_id)

    with pytest.raises(IssuerKeyMismatchError):
        authority.issue_terminal(terminal_id=TERMINAL_ID, public_key=make_private_key().public_key(), now=clock.now())
    assert isinstance(authority.what_prevents_signing(), IssuerKeyMismatchError)


def test_the_right_public_half_beside_another_private_one_deceives_nobody(
    token: Token, keys: Pkcs11Keys, tmp_path: Path
) -> None:
    clock = Clock()
    authority = Authority.create(tmp_path / "ca", passphrase=PASSPHRASE, now=clock.now, keys=keys)
    session = session_in(token)
    for found in objects_of(session, authority.issuer_id, pkcs11.ObjectClass.PRIVATE_KEY):
        found.destroy()
    (right,) = objects_of(session, authority.issuer_id)
    another_pair(session, authority.issuer_id)
    for found in objects_of(session, authority.issuer_id, pkcs11.ObjectClass.PUBLIC_KEY):
        if found[pkcs11.Attribute.EC_POINT] != right[pkcs11.Attribute.EC_POINT]:
            found.destroy()

    assert isinstance(authority.what_prevents_signing(), IssuerKeyMismatchError)
    with pytest.raises(IssuerKeyMismatchError):
        authority.issue_terminal(terminal_id=TERMINAL_ID, public_key=make_private_key().public_key(), now=clock.now())


def test_two_keys_of_one_name_are_that_issuers_trouble_alone(token: Token, keys: Pkcs11Keys) -> None:
    doubled, good = new_issuer_id(), new_issuer_id()
    keys.make(doubled)
    keys.make(good)
    another_pair(session_in(token), doubled)

    with pytest.raises(IssuingKeyMissingError, match="cannot be used"):
        keys.key(doubled)
    assert keys.key(good)
