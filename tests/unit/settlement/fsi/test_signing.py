"""SM2, SM3 and SM4 against the vectors of their standards; the three ways we prove who we are."""

import hashlib

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from cryptography.hazmat.primitives.ciphers.modes import ECB
from hypothesis import given
from hypothesis import strategies as st
from tongsuopy.crypto import serialization
from tongsuopy.crypto.asymciphers import ec

from server.settlement.insurers.fsi.errors import AnswerGarbledError, AnswerUnsignedError
from server.settlement.insurers.fsi.profile import ByteText, EncryptionSettings, SignatureForm, SignatureSettings
from server.settlement.insurers.fsi.signing import (
    BodyCipher,
    Secrets,
    Sm2KeyUnusableError,
    check_sm2_signature,
    derived_sm4_key,
    header_signature,
    signed_text,
    sm2_private_key,
    sm2_public_key,
    sm2_signature,
)

KEY = ec.generate_private_key(ec.SM2())
STANDARD_KEY = ec.EllipticCurvePublicNumbers(
    0x09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020,
    0xCCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13,
    ec.SM2(),
).public_key()
STANDARD_R = 0xF5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3
STANDARD_S = 0xB1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA


@pytest.mark.parametrize(
    ("message", "digest"),
    [
        (b"abc", "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"),
        (b"abcd" * 16, "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"),
    ],
)
def test_sm3_gives_the_digests_of_gb_t_32905(message: bytes, digest: str) -> None:
    sm3 = hashes.Hash(hashes.SM3())
    sm3.update(message)

    assert sm3.finalize().hex() == digest


def test_sm4_gives_the_block_of_gb_t_32907() -> None:
    key = bytes.fromhex("0123456789abcdeffedcba9876543210")

    encryptor = Cipher(SM4(key), ECB()).encryptor()  # noqa: S305 - the standard's example

    assert encryptor.update(key).hex() == "681edf34d206965e86b3e94f536e4246"


def test_sm4_gives_the_block_of_gb_t_32907_after_a_million_rounds() -> None:
    block = key = bytes.fromhex("0123456789abcdeffedcba9876543210")
    encryptor = Cipher(SM4(key), ECB()).encryptor()  # noqa: S305 - the standard's example

    for _ in range(1_000_000):
        block = encryptor.update(block)

    assert block.hex() == "595298c7c6fd271f0402f804c33d3f66"


def test_sm2_verifies_the_signature_of_gb_t_32918_5() -> None:
    """Message "message digest", user id 1234567812345678; GM/T 0003.5 prints the same."""
    for signature in (
        encode_dss_signature(STANDARD_R, STANDARD_S).hex(),
        (STANDARD_R.to_bytes(32) + STANDARD_S.to_bytes(32)).hex(),
    ):
        check_sm2_signature("message digest", signature, STANDARD_KEY)
        with pytest.raises(AnswerUnsignedError):
            check_sm2_signature("message digesT", signature, STANDARD_KEY)


@pytest.mark.parametrize("form", SignatureForm)
@pytest.mark.parametrize("text", ByteText)
def test_what_we_sign_is_verified_however_it_is_written(form: SignatureForm, text: ByteText) -> None:
    settings = SignatureSettings(form=form, text=text)

    signature = sm2_signature("amount=83.20&name=模拟", KEY, settings)

    check_sm2_signature("amount=83.20&name=模拟", signature, KEY.public_key())
    with pytest.raises(AnswerUnsignedError):
        check_sm2_signature("amount=83.21&name=模拟", signature, KEY.public_key())
    with pytest.raises(AnswerUnsignedError):
        check_sm2_signature("amount=83.20&name=模拟", signature, STANDARD_KEY)


@pytest.mark.parametrize("signature", [None, "", "zz", "AAAA", "00" * 64, "00" * 10, 5, "MEUC", "ff" * 64, "3000"])
def test_what_is_no_signature_is_never_one(signature: object) -> None:
    with pytest.raises(AnswerUnsignedError):
        check_sm2_signature("anything", signature, KEY.public_key())


def test_the_signed_text_is_sorted_without_empty_values_and_without_the_signature_itself() -> None:
    message = {
        "msgid": "M1",
        "infno": "2207",
        "cainfo": "x",
        "sign_no": "",
        "opter": None,
        "input": {"b": 1, "a": "刷"},
    }

    assert signed_text(message, secret="s") == 'infno=2207&input={"a":"刷","b":1}&msgid=M1&key=s'
    assert signed_text(message, secret="") == 'infno=2207&input={"a":"刷","b":1}&msgid=M1'


def test_the_header_signature_is_sha256_over_timestamp_secret_nonce_timestamp() -> None:
    signature = header_signature(secret="s3cret", timestamp="1772438400", nonce="n0nce")

    assert signature == hashlib.sha256(b"1772438400s3cretn0nce1772438400").hexdigest()


@given(st.text(max_size=200))
def test_an_encrypted_body_opens_again(text: str) -> None:
    cipher = BodyCipher(Secrets(paasid="p", secret="made-up-secret", app_id="APP1"), EncryptionSettings())

    assert cipher.decrypt(cipher.encrypt(text)) == text


@pytest.mark.parametrize("text", ["", "00", "zz", "00" * 16, "刷脸"])
def test_an_encrypted_body_that_does_not_open_is_no_answer(text: str) -> None:
    cipher = BodyCipher(Secrets(paasid="p", secret="made-up-secret", app_id="APP1"), EncryptionSettings())

    with pytest.raises(AnswerGarbledError):
        cipher.decrypt(text)


def test_the_derived_key_depends_on_application_and_secret() -> None:
    keys = {derived_sm4_key("APP1", "s1"), derived_sm4_key("APP2", "s1"), derived_sm4_key("APP1", "s2")}

    assert len(keys) == 3
    assert all(len(key) == 16 and key == key.upper() for key in keys)


def test_keys_come_from_pem_and_nothing_but_sm2_is_taken() -> None:
    private = KEY.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    signature = sm2_signature("text", sm2_private_key(private), SignatureSettings())
    check_sm2_signature("text", signature, sm2_public_key(public))

    for read in (sm2_private_key, sm2_public_key):
        with pytest.raises(Sm2KeyUnusableError):
            read(b"no key")


def test_secrets_are_not_shown() -> None:
    assert "hidden" not in repr(Secrets(paasid="p", secret="hidden", private_key=KEY))
