"""The seal is the chain that face.proto describes, over exactly the frames that were asked for."""

import hashlib
import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from mock_terminal.errors import SealError
from mock_terminal.sealing import SealChain
from shualian.terminal.v1 import face_pb2

SESSION = "019a9d5e-7c1b-7000-8000-000000000001"
NONCE = bytes(range(32))
BEGIN = datetime(2026, 3, 2, 9, 0, 0, 123_456, tzinfo=UTC)
KEY = ec.generate_private_key(ec.SECP256R1())


def sign(content: bytes) -> bytes:
    return KEY.sign(content, ec.ECDSA(hashes.SHA256()))


def a_frame(sequence: int, *pictures: bytes) -> face_pb2.Frame:
    """Return a frame with a colour picture, then infrared, then depth, as far as there are bytes for them."""
    kinds = (
        (face_pb2.MODALITY_RGB, face_pb2.ENCODING_JPEG),
        (face_pb2.MODALITY_NIR, face_pb2.ENCODING_JPEG),
        (face_pb2.MODALITY_DEPTH, face_pb2.ENCODING_PNG_MILLIMETRES),
    )
    frame = face_pb2.Frame(sequence=sequence)
    frame.captured_at.FromDatetime(BEGIN + timedelta(milliseconds=83 * sequence))
    for (modality, encoding), data in zip(kinds, pictures, strict=False):
        frame.pictures.add(modality=modality, encoding=encoding, data=data)
    return frame


def a_chain(frames: Sequence[face_pb2.Frame], *, frames_max: int = 100) -> SealChain:
    chain = SealChain(session_id=SESSION, nonce=NONCE, frames_max=frames_max)
    for frame in frames:
        chain.add(frame)
    return chain


def as_the_contract_says(frames: Sequence[face_pb2.Frame]) -> bytes:
    """Return the chain, written anew from the words of `Seal` in face.proto."""
    chain = hashlib.sha256(b"shualian-seal-1" + SESSION.encode("utf-8") + NONCE).digest()
    for frame in frames:
        at = frame.captured_at
        content = chain + struct.pack(">IQ", frame.sequence, at.seconds * 1_000_000 + at.nanos // 1000)
        for picture in frame.pictures:
            content += struct.pack("BB", picture.modality, picture.encoding) + hashlib.sha256(picture.data).digest()
        chain = hashlib.sha256(content).digest()
    return chain


def test_the_chain_is_the_one_of_the_contract() -> None:
    frames = [a_frame(1, b"red"), a_frame(2, b"red", b"infra"), a_frame(7, b"red", b"infra", b"deep")]

    seal = a_chain(frames).seal(7, sign=sign)

    content = face_pb2.SealContent.FromString(seal.content)
    assert content.chain == as_the_contract_says(frames)
    assert (content.session_id, content.last_sequence, content.frames) == (SESSION, 7, 3)
    assert not content.HasField("verdict")


def test_the_signature_is_over_the_very_bytes_that_are_sent() -> None:
    seal = a_chain([a_frame(1, b"red")]).seal(1, sign=sign)

    KEY.public_key().verify(seal.signature, seal.content, ec.ECDSA(hashes.SHA256()))
    with pytest.raises(InvalidSignature):
        KEY.public_key().verify(seal.signature, seal.content + b"\x00", ec.ECDSA(hashes.SHA256()))


def test_frames_that_went_out_after_the_last_one_that_counts_are_not_covered() -> None:
    frames = [a_frame(sequence, b"red") for sequence in (1, 2, 3, 4)]

    content = face_pb2.SealContent.FromString(a_chain(frames).seal(2, sign=sign).content)

    assert (content.frames, content.chain) == (2, as_the_contract_says(frames[:2]))


def test_what_the_terminals_own_check_says_is_signed_as_well() -> None:
    verdict = face_pb2.TerminalVerdict(live=False, algorithm="own-1")

    content = face_pb2.SealContent.FromString(a_chain([a_frame(1, b"red")]).seal(1, sign=sign, verdict=verdict).content)

    assert content.verdict == verdict


@pytest.mark.parametrize("asked", [2, 4, 99])
def test_a_seal_over_a_frame_that_was_never_sent_is_not_made(asked: int) -> None:
    chain = a_chain([a_frame(1, b"red"), a_frame(3, b"red")])

    with pytest.raises(SealError):
        chain.seal(asked, sign=sign)


@pytest.mark.parametrize("sequence", [1, 3])
def test_a_sequence_that_does_not_rise_is_not_chained(sequence: int) -> None:
    chain = a_chain([a_frame(3, b"red")])

    with pytest.raises(SealError):
        chain.add(a_frame(sequence, b"red"))


def test_i11_a_chain_is_no_longer_than_a_session() -> None:
    chain = a_chain([a_frame(1, b"red"), a_frame(2, b"red")], frames_max=2)

    with pytest.raises(SealError):
        chain.add(a_frame(3, b"red"))


@given(data=st.lists(st.binary(min_size=1, max_size=8), min_size=2, max_size=6, unique=True), place=st.integers(0, 5))
def test_a_frame_that_is_changed_or_left_out_breaks_the_chain(data: list[bytes], place: int) -> None:
    frames = [a_frame(sequence, picture) for sequence, picture in enumerate(data, start=1)]
    changed = place % len(frames)
    other = [*frames[:changed], a_frame(changed + 1, data[changed] + b"!"), *frames[changed + 1 :]]
    without = [*frames[:changed], *frames[changed + 1 :]]

    chains = {chained(some) for some in (frames, other, without)}

    assert len(chains) == 3


def chained(frames: Sequence[face_pb2.Frame]) -> bytes:
    seal = a_chain(frames).seal(frames[-1].sequence, sign=sign)
    return face_pb2.SealContent.FromString(seal.content).chain
