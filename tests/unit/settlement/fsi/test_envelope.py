"""Requests say who asks and fit their fields; an answer counts only when it is one, and to this message."""

import json
from dataclasses import replace
from typing import Any

import pytest
from tongsuopy.crypto.asymciphers import ec

from server.settlement.insurers.fsi import calls
from server.settlement.insurers.fsi.envelope import Call, Envelope
from server.settlement.insurers.fsi.errors import (
    AnswerForeignError,
    AnswerGarbledError,
    AnswerUnsignedError,
    CoreDoubtfulError,
    CoreRefusedError,
    FieldUnfitError,
)
from server.settlement.insurers.fsi.kinds import Kinds
from server.settlement.insurers.fsi.lengths import Lengths
from server.settlement.insurers.fsi.profile import (
    AmountForm,
    BodyEncryption,
    BodySignature,
    EncryptionSettings,
    EnvelopeSettings,
    Profile,
    SignatureSettings,
)
from server.settlement.insurers.fsi.signing import BodyCipher, check_sm2_signature, signed_text, sm2_signature
from tests.support.fsi import HOSPITAL, NOW, SECRETS, a_visit, an_entitlement

MSGID = "H99010000001202603021600000001"
KEY, CORE_KEY = ec.generate_private_key(ec.SM2()), ec.generate_private_key(ec.SM2())
VISIT = a_visit()
SIGNED = Profile(signature=SignatureSettings(body=BodySignature.SM3_WITH_SM2, answers=True))
KEYS = replace(SECRETS, private_key=KEY, core_key=CORE_KEY.public_key())


def an_envelope(profile: Profile | None = None) -> Envelope:
    """Return one of a profile."""
    return Envelope(profile or Profile(), KEYS, opter="shualian", opter_name="shualian")


def a_settle(form: AmountForm = AmountForm.TEXT) -> Call:
    """Return a 2207."""
    kind = Kinds(Profile()).outpatient
    return calls.money("2207", kind, HOSPITAL, VISIT, an_entitlement(), form=form)


def an_answer(**changes: Any) -> bytes:  # noqa: ANN401 - a builder takes what matters by name
    """Return a good answer; None leaves a field out."""
    said = {
        "infcode": 0,
        "inf_refmsgid": "990100202603021600000000000001",
        "err_msg": "",
        "output": {"a": 1},
        **changes,
    }
    return json.dumps({name: value for name, value in said.items() if value is not None}).encode()


def sent(envelope: Envelope, call: Call) -> dict[str, Any]:
    """Return a request as the core reads it."""
    message: dict[str, Any] = json.loads(envelope.request(call, msgid=MSGID, sign_no="S1", now=NOW))
    return message


def test_a_request_names_terminal_evidence_institution_and_session() -> None:
    message = sent(an_envelope(), a_settle())

    assert message["infno"] == "2207"
    assert message["msgid"] == MSGID
    assert message["dev_no"] == VISIT.terminal_id
    assert message["dev_safe_info"] == "sha256:" + "ab" * 32
    assert message["fixmedins_code"] == HOSPITAL.code
    assert message["sign_no"] == "S1"
    assert message["inf_time"] == "2026-03-02 16:00:00"  # China's
    assert message["input"]["data"]["medfee_sumamt"] == "83.20"


def test_amounts_may_be_numbers_with_their_two_decimals() -> None:
    body = an_envelope().request(a_settle(AmountForm.NUMBER), msgid=MSGID, sign_no="S1", now=NOW)

    assert b'"medfee_sumamt":83.20,' in body
    assert b'"overlmt_selfpay":0.00,' in body


@pytest.mark.parametrize(
    ("field", "lengths"),
    [
        ("msgid", Lengths(msgid=29)),
        ("dev_no", Lengths(dev_no=35)),
        ("dev_safe_info", Lengths(dev_safe_info=70)),
        ("fixmedins_name", Lengths(fixmedins_name=8)),
        ("infno", Lengths(infno=3)),
        ("input", Lengths(input=100)),
    ],
)
def test_what_does_not_fit_is_never_sent(field: str, lengths: Lengths) -> None:
    with pytest.raises(FieldUnfitError) as error:
        sent(an_envelope(Profile(lengths=lengths)), a_settle())

    assert error.value.field == field


def test_a_signed_request_is_verified_by_our_public_key() -> None:
    message = sent(an_envelope(SIGNED), a_settle())

    check_sm2_signature(signed_text(message, secret=SECRETS.secret), message["cainfo"], KEY.public_key())
    message["input"]["data"]["medfee_sumamt"] = "83.21"
    with pytest.raises(AnswerUnsignedError):
        check_sm2_signature(signed_text(message, secret=SECRETS.secret), message["cainfo"], KEY.public_key())


def test_an_encrypted_request_hides_its_input_and_an_answer_opens() -> None:
    profile = Profile(encryption=EncryptionSettings(body=BodyEncryption.SM4_ECB))
    cipher = BodyCipher(SECRETS, profile.encryption)

    message = sent(an_envelope(profile), a_settle())
    answer = an_envelope(profile).answer(an_answer(output=cipher.encrypt('{"setlinfo":null}')), msgid=MSGID)

    assert message["enc_type"] == "SM4"
    assert VISIT.psn_no not in json.dumps(message)
    assert json.loads(cipher.decrypt(message["input"]))["data"]["psn_no"] == VISIT.psn_no
    assert answer.output == {"setlinfo": None}


def test_a_good_answer_is_read() -> None:
    for infcode in (0, "0"):
        assert an_envelope().answer(an_answer(infcode=infcode), msgid=MSGID).output == {"a": 1}
    assert an_envelope().answer(an_answer(output=None), msgid=MSGID).output == {}


def test_a_refusal_keeps_what_the_core_wrote_out_of_its_text() -> None:
    with pytest.raises(CoreRefusedError) as error:
        an_envelope().answer(an_answer(infcode=-1, err_msg="王小明 未参保"), msgid=MSGID)

    assert error.value.infcode == "-1"
    assert error.value.err_msg == "王小明 未参保"
    assert "王小明" not in str(error.value)


def test_a_gateway_is_neither_yes_nor_no() -> None:
    for body in (an_answer(infcode=999), b'{"code":"999","msg":"gateway busy"}'):
        with pytest.raises(CoreDoubtfulError) as error:
            an_envelope().answer(body, msgid=MSGID)
    assert error.value.err_msg == "gateway busy"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>busy</html>",
        b"\xff\xfe",
        b"[]",
        b"{}",
        an_answer(infcode=None),
        an_answer(infcode=True),
        an_answer(infcode=""),
        an_answer(infcode="x" * 17),
        an_answer(infcode="0; DROP"),
        an_answer(inf_refmsgid=None),
        an_answer(inf_refmsgid=""),
        an_answer(inf_refmsgid=7),
        an_answer(inf_refmsgid="9" * 31),
        an_answer(output=[]),
        an_answer(output="text"),
        an_answer()[:-2],
    ],
)
def test_what_is_no_answer_is_never_success(body: bytes) -> None:
    with pytest.raises(AnswerGarbledError):
        an_envelope().answer(body, msgid=MSGID)


def test_a_refusal_without_a_number_of_its_own_is_no_refusal() -> None:
    with pytest.raises(AnswerGarbledError):
        an_envelope().answer(an_answer(infcode=-1, inf_refmsgid=None), msgid=MSGID)


def test_an_answer_to_another_message_is_never_ours() -> None:
    envelope = an_envelope()
    envelope.answer(an_answer(), msgid=MSGID)

    envelope.answer(an_answer(), msgid=MSGID)  # a repetition of the same message may be answered the same
    with pytest.raises(AnswerForeignError):
        envelope.answer(an_answer(), msgid="H99010000001202603021600000002")
    with pytest.raises(AnswerForeignError):
        envelope.answer(an_answer(infcode=-1), msgid="H99010000001202603021600000002")
    with pytest.raises(AnswerForeignError):
        an_envelope().answer(an_answer(msgid="another"), msgid=MSGID)


def test_where_a_core_repeats_the_msgid_it_must() -> None:
    envelope = an_envelope(Profile(envelope=EnvelopeSettings(echo="sender_msgid")))

    assert envelope.answer(an_answer(sender_msgid=MSGID), msgid=MSGID).output == {"a": 1}
    for changes in ({}, {"sender_msgid": "another"}):
        with pytest.raises(AnswerForeignError):
            envelope.answer(an_answer(**changes), msgid=MSGID)


def test_an_answer_must_be_signed_where_the_profile_wants_it() -> None:
    message = json.loads(an_answer())
    signature = sm2_signature(signed_text(message, secret=SECRETS.secret), CORE_KEY, SIGNED.signature)

    assert an_envelope(SIGNED).answer(an_answer(cainfo=signature), msgid=MSGID).output == {"a": 1}
    for body in (an_answer(), an_answer(cainfo=signature, output={"a": 2}), an_answer(cainfo="AAAA")):
        with pytest.raises(AnswerUnsignedError):
            an_envelope(SIGNED).answer(body, msgid=MSGID)


def test_a_call_does_not_show_what_it_carries() -> None:
    shown = repr(a_settle())

    assert "9e9e" not in shown
    assert VISIT.psn_no not in shown
