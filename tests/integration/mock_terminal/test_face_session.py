"""A face session against a platform that follows a script: what the terminal sends, seals and says."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from mock_terminal.errors import InputError, NoAssertionError, PlatformRefusedError, SealError, UnreachableError
from mock_terminal.face import authenticate
from mock_terminal.factors import insisting
from mock_terminal.means import ByFace
from mock_terminal.sitting import Anybody, Claim, Practitioner, Sitting
from shualian.terminal.v1 import face_pb2, settlement_pb2, types_pb2
from tests.integration.mock_terminal.conftest import Heard
from tests.support.scripted_faces import MATCHED, NONCE, REFUSED, SESSION, Album, Platform, before, says

KEY = ec.generate_private_key(ec.SECP256R1())
CLAIM = Claim(id_number="990000195101010017", name="林夏")
LAST_FOUR = face_pb2.SecondFactor(kind=face_pb2.SECOND_FACTOR_KIND_ID_NUMBER_LAST_FOUR, value="0017")


def sign(content: bytes) -> bytes:
    return KEY.sign(content, ec.ECDSA(hashes.SHA256()))


def a_sitting(**changes: Any) -> Sitting:  # noqa: ANN401  # any of its fields
    sitting = Sitting(
        who=CLAIM,
        eye=Album(),
        business_type=types_pb2.BUSINESS_TYPE_OUTPATIENT_SETTLEMENT,
        sign=sign,
        amount_fen=12_000,
    )
    return replace(sitting, **changes)


async def test_the_seal_covers_every_frame_that_was_sent_up_to_the_one_that_was_asked_for(heard: Heard) -> None:
    platform = Platform(
        frames_wanted=4, script=[says(seal_asked=face_pb2.SealAsked(last_sequence=3)), says(decision=MATCHED)]
    )

    async with before(platform) as channel:
        decision = await authenticate(channel, a_sitting(), heard)

    seal = platform.answers[0].seal
    KEY.public_key().verify(seal.signature, seal.content, ec.ECDSA(hashes.SHA256()))
    content = face_pb2.SealContent.FromString(seal.content)
    assert decision == MATCHED
    assert (content.session_id, content.last_sequence, content.frames) == (SESSION, 3, 3)
    assert content.chain == chain_of(platform.frames[:3])
    assert "sealed" in heard.names


def chain_of(frames: Sequence[face_pb2.Frame]) -> bytes:
    """Return the chain over what the platform received, as face.proto says it."""
    chain = hashlib.sha256(b"shualian-seal-1" + SESSION.encode() + NONCE).digest()
    for frame in frames:
        content = chain + frame.sequence.to_bytes(4, "big") + frame.captured_at.ToMicroseconds().to_bytes(8, "big")
        for picture in frame.pictures:
            content += bytes([picture.modality, picture.encoding]) + hashlib.sha256(picture.data).digest()
        chain = hashlib.sha256(content).digest()
    return chain


async def test_every_frame_brings_what_the_start_promised(heard: Heard) -> None:
    platform = Platform(script=[says(decision=MATCHED)])

    async with before(platform) as channel:
        await authenticate(channel, a_sitting(), heard)

    promised = [face_pb2.MODALITY_RGB, *platform.opened[0].camera.beside_colour]
    assert [[picture.modality for picture in frame.pictures] for frame in platform.frames] == [promised] * 3
    assert [frame.sequence for frame in platform.frames] == [1, 2, 3]


HANGZHOU = types_pb2.Location(latitude=30.25, longitude=120.15, accuracy_m=20)


@pytest.mark.parametrize(
    ("changes", "start"),
    [
        (
            {},
            {
                "purpose": face_pb2.PURPOSE_VERIFY,
                "claimed_identity": types_pb2.ClaimedIdentity(id_number=CLAIM.id_number, name=CLAIM.name),
                "amount_fen": 12_000,
            },
        ),
        ({"who": Anybody()}, {"purpose": face_pb2.PURPOSE_IDENTIFY, "amount_fen": 12_000}),
        (
            {"who": Practitioner(code="D330100000001", location=HANGZHOU), "amount_fen": 0},
            {
                "purpose": face_pb2.PURPOSE_PRACTITIONER,
                "practitioner_code": "D330100000001",
                "location": HANGZHOU,
            },
        ),
        (
            {"cannot_move": True},
            {
                "purpose": face_pb2.PURPOSE_VERIFY,
                "claimed_identity": types_pb2.ClaimedIdentity(id_number=CLAIM.id_number, name=CLAIM.name),
                "amount_fen": 12_000,
                "cannot_move": True,
            },
        ),
    ],
    ids=["claim", "nobody", "practitioner", "cannot move"],
)
async def test_the_session_is_opened_for_who_is_there(
    heard: Heard, changes: dict[str, Any], start: dict[str, Any]
) -> None:
    platform = Platform(script=[says(decision=MATCHED)])

    async with before(platform) as channel:
        await authenticate(channel, a_sitting(**changes), heard)

    opened = platform.opened[0]
    for common in ("consent", "camera", "business_type"):
        opened.ClearField(common)
    assert opened == face_pb2.Start(**start)


async def test_the_patient_hears_the_guidance_and_the_platforms_own_words_are_told(heard: Heard) -> None:
    guidance = face_pb2.Guidance(hint=face_pb2.HINT_NOD, texts={"zh": "请点头", "en": "Nod."})
    platform, eye = Platform(script=[says(guidance=guidance), says(decision=MATCHED)]), Album()

    async with before(platform) as channel:
        await authenticate(channel, a_sitting(eye=eye), heard)

    told = heard.the("guidance")
    assert eye.heard == [face_pb2.HINT_NOD]
    assert (told["hint"], told["zh"], told["en"]) == ("NOD", "请点头", "Nod.")


async def test_i07_a_second_factor_is_given_and_never_told(heard: Heard) -> None:
    asked = face_pb2.SecondFactorAsked(kinds=[face_pb2.SECOND_FACTOR_KIND_ID_NUMBER_LAST_FOUR], tries_left=3)
    platform = Platform(script=[says(second_factor_asked=asked), says(decision=MATCHED)])

    async with before(platform) as channel:
        await authenticate(channel, a_sitting(who=Anybody(), second_factors=insisting([LAST_FOUR])), heard)

    assert platform.answers[0].second_factor == LAST_FOUR
    assert heard.the("second_factor_asked") == {"kinds": ["ID_NUMBER_LAST_FOUR"], "tries_left": 3}
    assert LAST_FOUR.value not in str(heard.events)
    assert MATCHED.assertion not in str(heard.events)


async def test_a_second_factor_that_nobody_has_ends_the_session_here(heard: Heard) -> None:
    asked = face_pb2.SecondFactorAsked(kinds=[face_pb2.SECOND_FACTOR_KIND_PHONE_LAST_FOUR], tries_left=1)
    platform = Platform(script=[says(second_factor_asked=asked)])

    async with before(platform) as channel:
        with pytest.raises(InputError, match="--last-four"):
            await authenticate(channel, a_sitting(who=Anybody()), heard)


async def test_a_seal_over_a_frame_that_was_never_sent_is_refused_here(heard: Heard) -> None:
    platform = Platform(script=[says(seal_asked=face_pb2.SealAsked(last_sequence=5_000))])

    async with before(platform) as channel:
        with pytest.raises(SealError):
            await authenticate(channel, a_sitting(), heard)


async def test_a_session_without_a_decision_is_an_error(heard: Heard) -> None:
    async with before(Platform(script=[])) as channel:
        with pytest.raises(UnreachableError, match="without a decision"):
            await authenticate(channel, a_sitting(), heard)


async def test_a_platform_that_does_not_know_of_faces_refuses(heard: Heard) -> None:
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            with pytest.raises(PlatformRefusedError, match="UNIMPLEMENTED"):
                await authenticate(channel, a_sitting(), heard)
    finally:
        await server.stop(0)


async def test_the_clock_of_the_terminal_stands_on_every_frame(heard: Heard) -> None:
    stopped = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    platform = Platform(script=[says(decision=MATCHED)])

    async with before(platform) as channel:
        await authenticate(channel, a_sitting(clock=lambda: stopped), heard)

    assert {frame.captured_at.ToDatetime(UTC) for frame in platform.frames} == {stopped}


BILL = settlement_pb2.Bill(total_fen=12_000)


def staff_asks(*, may_confirm: bool, limit_fen: int) -> face_pb2.Decision:
    """Return a decision that pays this much without more."""
    decision = face_pb2.Decision()
    decision.CopyFrom(MATCHED)
    decision.staff_may_confirm, decision.pin_free_limit_fen = may_confirm, limit_fen
    return decision


@pytest.mark.parametrize(
    ("decision", "confirmed"),
    [
        (staff_asks(may_confirm=True, limit_fen=0), True),
        (staff_asks(may_confirm=True, limit_fen=12_000), False),
        (staff_asks(may_confirm=False, limit_fen=0), False),
    ],
    ids=["above the limit", "within the limit", "not allowed"],
)
async def test_staff_confirm_where_they_must_and_may(
    heard: Heard, decision: face_pb2.Decision, *, confirmed: bool
) -> None:
    platform = Platform(script=[says(decision=decision)])
    staff = a_sitting(who=Practitioner(code="D330100000001", location=HANGZHOU), amount_fen=0)

    async with before(platform) as channel:
        means = await ByFace(patient=a_sitting(), staff=staff).authorization(channel, BILL, heard)

    purposes = [face_pb2.PURPOSE_VERIFY, face_pb2.PURPOSE_PRACTITIONER]
    assert [start.purpose for start in platform.opened] == purposes[: 1 + confirmed]
    assert bool(means.face.staff_assertion) is confirmed


async def test_without_an_assertion_there_is_nothing_to_pay_with(heard: Heard) -> None:
    async with before(Platform(script=[says(decision=REFUSED)])) as channel:
        with pytest.raises(NoAssertionError) as refused:
            await ByFace(patient=a_sitting()).authorization(channel, BILL, heard)

    assert refused.value.decision == REFUSED
