"""The simulated core believes nobody without the secret, the signature and the cipher it was told to demand."""

import base64
import hashlib
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from tongsuopy.crypto import hashes, serialization
from tongsuopy.crypto.asymciphers import ec

from server.core_simulator.errors import Infcode, RefusedError
from server.core_simulator.seals import Seals

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
SECRET = "made-up secret"  # noqa: S105 - as it says
KEY = ec.generate_private_key(ec.SM2())
PUBLIC_PEM = KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
PRIVATE_PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)
ENVELOPE = {"infno": "2207", "msgid": "M1", "dev_no": "", "cainfo": "", "input": {"data": {"b": "2", "a": "医"}}}
SIGNED_TEXT = 'infno=2207&input={"data":{"a":"医","b":"2"}}&msgid=M1&key=made-up secret'


def headers_at(moment: datetime, secret: str = SECRET) -> dict[str, str]:
    """Return signed headers."""
    timestamp = str(int(moment.timestamp()))
    signature = hashlib.sha256(f"{timestamp}{secret}n1{timestamp}".encode()).hexdigest()
    return {
        "x-tif-paasid": "demo",
        "x-tif-timestamp": timestamp,
        "x-tif-nonce": "n1",
        "x-tif-signature": signature,
    }


def a_signature() -> bytes:
    """Return the signature of `ENVELOPE` in DER."""
    signature: bytes = KEY.sign(SIGNED_TEXT.encode(), ec.ECDSA(hashes.SM3()))
    return signature


def test_headers_signed_with_the_secret_pass() -> None:
    Seals(secret=SECRET).check_headers(headers_at(NOW), now=NOW)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        headers_at(NOW, "another"),
        headers_at(datetime(2026, 11, 22, 8, tzinfo=UTC)),
        {**headers_at(NOW), "x-tif-nonce": "n2"},
        {**headers_at(NOW), "x-tif-paasid": ""},
        {**headers_at(NOW), "x-tif-signature": "签"},
    ],
)
def test_headers_without_the_secret_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(RefusedError) as refused:
        Seals(secret=SECRET).check_headers(headers, now=NOW)

    assert refused.value.infcode == Infcode.HEADERS


def test_a_signature_is_good_in_either_encoding() -> None:
    seals = Seals(secret=SECRET, institution_key_pem=PUBLIC_PEM)
    der = a_signature()
    r, s = decode_dss_signature(der)
    side_by_side = r.to_bytes(32) + s.to_bytes(32)

    for signature in (der, side_by_side):
        seals.check_signature({**ENVELOPE, "cainfo": base64.b64encode(signature).decode()})


@pytest.mark.parametrize("changes", [{"cainfo": ""}, {"cainfo": "?"}, {"msgid": "M2"}, {"input": {"data": {}}}])
def test_an_envelope_that_was_changed_is_refused(changes: dict[str, Any]) -> None:
    signed = {**ENVELOPE, "cainfo": base64.b64encode(a_signature()).decode()}

    with pytest.raises(RefusedError) as refused:
        Seals(secret=SECRET, institution_key_pem=PUBLIC_PEM).check_signature({**signed, **changes})

    assert refused.value.infcode == Infcode.SIGNATURE


def test_what_is_sealed_can_be_opened_and_is_not_readable_before() -> None:
    seals = Seals(secret=SECRET, is_encrypted=True, core_key_pem=PRIVATE_PEM, institution_key_pem=PUBLIC_PEM)
    envelope = {**ENVELOPE, "app_id": "APP-1"}

    sent = seals.sealed({"infcode": 0, "cainfo": "", "output": {"setlinfo": {"setl_id": "S1"}}}, envelope)

    assert "S1" not in sent["output"]
    assert seals.opened({**envelope, "enc_type": "SM4", "input": sent["output"]}) == {"setlinfo": {"setl_id": "S1"}}
    seals.check_signature(sent)


@pytest.mark.parametrize("changes", [{"enc_type": ""}, {"input": "zz"}, {"input": "00" * 16}, {"input": {"data": {}}}])
def test_a_body_that_is_not_encrypted_as_agreed_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(RefusedError) as refused:
        Seals(secret=SECRET, is_encrypted=True).opened({**ENVELOPE, "enc_type": "SM4", **changes})

    assert refused.value.infcode == Infcode.CIPHER


@pytest.mark.parametrize(
    "seals",
    [
        Seals(institution_key_pem=b"no key"),
        Seals(institution_key_pem=PRIVATE_PEM),
        Seals(core_key_pem=PUBLIC_PEM),
        Seals(core_key_pem=b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
    ],
)
def test_keys_that_are_none_are_found_at_the_start(seals: Seals) -> None:
    with pytest.raises(ValueError, match="no SM2 key"):
        seals.check_keys()


def test_good_keys_pass_at_the_start() -> None:
    Seals(institution_key_pem=PUBLIC_PEM, core_key_pem=PRIVATE_PEM).check_keys()
