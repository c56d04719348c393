"""Which seals hold? The chain is checked against numbers that a firmware team can compute by hand."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from google.protobuf.timestamp_pb2 import Timestamp

from face_pipeline import SealFinding
from mock_terminal import sealing
from server.faces.seal import Sealable, SealChain, SealCheck, checked_seal
from shualian.terminal.v1 import face_pb2

SESSION_ID = "01980000-0000-7000-8000-000000000001"
NONCE = bytes(range(32))
BEGIN = "926384138d674a744dac31cf3790d298ed1cab0c24c3572164732c3c33842bd8"
AFTER_1 = "c80778975c6cf57c8023d3675825aa7d41254247b08960774c77d5e18121d5ab"
AFTER_3 = "eed0d53d05f6cf6f4e61b3f4c6247060bd24a9525fc362add505bf2ed7976c49"
KEY = ec.derive_private_key(7, ec.SECP256R1())


def picture(modality: int, encoding: int, data: bytes) -> face_pb2.Picture:
    return face_pb2.Picture(modality=modality, encoding=encoding, data=data)  # type: ignore[arg-type]  # as on the wire


FRAME_1 = face_pb2.Frame(
    sequence=1,
    captured_at=Timestamp(seconds=1_772_442_000, nanos=250_000_000),
    pictures=[picture(1, 1, b"colour 1")],
)
FRAME_3 = face_pb2.Frame(
    sequence=3,
    captured_at=Timestamp(seconds=1_772_442_000, nanos=450_000_999),  # whole microseconds: the rest is cut off
    pictures=[picture(1, 1, b"colour 3"), picture(2, 1, b"infrared 3"), picture(3, 2, b"depth 3")],
)


def the_chain() -> SealChain:
    chain = SealChain(session_id=SESSION_ID, nonce=NONCE)
    chain.add(FRAME_1)
    chain.add(FRAME_3)
    return chain


EXPECTED = the_chain().sealable


def a_seal(
    said: Sealable = EXPECTED, *, key: ec.EllipticCurvePrivateKey = KEY, live: bool | None = None
) -> face_pb2.Seal:
    content = face_pb2.SealContent(
        session_id=said.session_id, last_sequence=said.last_sequence, frames=said.frames, chain=said.chain
    )
    if live is not None:
        content.verdict.CopyFrom(face_pb2.TerminalVerdict(live=live, algorithm="own-1"))
    signed = content.SerializeToString()
    return face_pb2.Seal(content=signed, signature=key.sign(signed, ec.ECDSA(SHA256())))


def test_the_chain_is_that_of_the_contract_to_the_last_bit() -> None:
    chain = SealChain(session_id=SESSION_ID, nonce=NONCE)
    steps = [chain.sealable.chain.hex()]
    for frame in (FRAME_1, FRAME_3):
        chain.add(frame)
        steps.append(chain.sealable.chain.hex())

    assert steps == [BEGIN, AFTER_1, AFTER_3]
    assert (chain.sealable.last_sequence, chain.sealable.frames) == (3, 2)


def test_the_terminal_in_software_makes_the_same_chain() -> None:
    own = sealing.SealChain(session_id=SESSION_ID, nonce=NONCE, frames_max=10)
    own.add(FRAME_1)
    own.add(FRAME_3)

    seal = own.seal(3, sign=lambda content: KEY.sign(content, ec.ECDSA(SHA256())))

    assert checked_seal(seal, EXPECTED, KEY.public_key()).finding is SealFinding.VERIFIED


@pytest.mark.parametrize("live", [None, True, False])
def test_a_good_seal_brings_the_terminals_own_verdict_along(*, live: bool | None) -> None:
    check = checked_seal(a_seal(live=live), EXPECTED, KEY.public_key())

    assert check == SealCheck(finding=SealFinding.VERIFIED, terminal_says=live)


@pytest.mark.parametrize(
    "said",
    [
        replace(EXPECTED, session_id="01980000-0000-7000-8000-000000000002"),
        replace(EXPECTED, last_sequence=4),
        replace(EXPECTED, frames=3),
        replace(EXPECTED, chain=bytes(32)),
    ],
    ids=["another session", "another last frame", "another number of frames", "another chain"],
)
def test_a_seal_over_anything_else_is_broken(said: Sealable) -> None:
    assert checked_seal(a_seal(said), EXPECTED, KEY.public_key()).finding is SealFinding.BROKEN


@pytest.mark.parametrize(
    "seal",
    [
        a_seal(key=ec.derive_private_key(8, ec.SECP256R1())),
        face_pb2.Seal(content=a_seal().content, signature=b"no signature"),
        face_pb2.Seal(content=a_seal().content + b"\0", signature=a_seal().signature),
        face_pb2.Seal(content=b"\xff\xff", signature=KEY.sign(b"\xff\xff", ec.ECDSA(SHA256()))),
    ],
    ids=["another key", "no signature", "changed afterwards", "signed rubbish"],
)
def test_a_seal_that_does_not_open_is_broken_and_its_verdict_not_heard(seal: face_pb2.Seal) -> None:
    check = checked_seal(seal, EXPECTED, KEY.public_key())

    assert check == SealCheck(finding=SealFinding.BROKEN, terminal_says=None)


def test_no_seal_is_missing() -> None:
    assert checked_seal(None, EXPECTED, KEY.public_key()).finding is SealFinding.MISSING


@pytest.mark.parametrize(
    "frame",
    [
        face_pb2.Frame(sequence=2, captured_at=FRAME_1.captured_at, pictures=FRAME_1.pictures),
        face_pb2.Frame(sequence=1, captured_at=FRAME_3.captured_at, pictures=FRAME_1.pictures),
        face_pb2.Frame(sequence=1, captured_at=FRAME_1.captured_at, pictures=[picture(2, 1, b"colour 1")]),
        face_pb2.Frame(sequence=1, captured_at=FRAME_1.captured_at, pictures=[picture(1, 2, b"colour 1")]),
        face_pb2.Frame(sequence=1, captured_at=FRAME_1.captured_at, pictures=[picture(1, 1, b"colour 2")]),
    ],
    ids=["sequence", "time", "modality", "encoding", "picture"],
)
def test_whatever_changes_in_a_frame_changes_the_chain(frame: face_pb2.Frame) -> None:
    chain = SealChain(session_id=SESSION_ID, nonce=NONCE)
    chain.add(frame)

    assert chain.sealable.chain.hex() != AFTER_1
