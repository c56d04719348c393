"""Infrared and depth pictures are decoded when they are exactly what they must be, and refused otherwise."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from face_pipeline import FacePolicy, FrameError, FrameTooLargeError, FrameUndecodableError
from face_pipeline.picture.decode import decode_depth, decode_infrared

POLICY = FacePolicy()
DEPTH = (np.arange(48 * 64).reshape(48, 64) % 900 + 300).astype(np.uint16)
GRAY = (np.arange(48 * 64).reshape(48, 64) % 200).astype(np.uint8)


def encoded(picture: NDArray[np.uint8] | NDArray[np.uint16], kind: str = ".png") -> bytes:
    done, data = cv2.imencode(kind, picture)
    assert done
    return data.tobytes()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def header(width: int, height: int, *, bits: int = 16, colour: int = 0, interlaced: int = 0) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced))


def test_depth_comes_back_to_the_millimetre() -> None:
    found = decode_depth(encoded(DEPTH), POLICY)

    assert found.dtype == np.uint16
    assert (found == DEPTH).all()


def test_infrared_comes_back_in_one_channel() -> None:
    found = decode_infrared(encoded(GRAY, ".jpg"), POLICY)

    assert found.shape == GRAY.shape
    assert found.dtype == np.uint8


def test_a_large_infrared_picture_is_scaled_down_like_the_colour_one() -> None:
    large = np.zeros((1440, 1920), np.uint8)

    height, width = decode_infrared(encoded(large, ".jpg"), POLICY).shape

    assert POLICY.decode_side_min <= width < 1920
    assert width * 1440 == height * 1920


@pytest.mark.parametrize(
    "picture",
    [GRAY, np.zeros((48, 64, 3), np.uint16), np.zeros((48, 64, 4), np.uint16), np.zeros((48, 64, 3), np.uint8)],
    ids=["8 bits", "three channels", "four channels", "a colour picture"],
)
def test_depth_of_another_form_is_refused(picture: NDArray[np.uint8]) -> None:
    with pytest.raises(FrameUndecodableError, match="one channel of 16 bits"):
        decode_depth(encoded(picture), POLICY)


def test_infrared_in_colour_is_refused() -> None:
    with pytest.raises(FrameUndecodableError, match="colour"):
        decode_infrared(encoded(np.zeros((48, 64, 3), np.uint8), ".jpg"), POLICY)


def test_i11_a_depth_bomb_is_refused_by_its_header() -> None:
    bomb = header(60_000, 60_000) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")

    with pytest.raises(FrameTooLargeError) as caught:
        decode_depth(bomb, POLICY)

    assert (caught.value.unit, caught.value.size) == ("pixels", 3_600_000_000)


def test_i11_too_many_bytes_are_refused_unseen() -> None:
    for decode in (decode_depth, decode_infrared):
        with pytest.raises(FrameTooLargeError) as caught:
            decode(bytes(POLICY.frame_bytes_max + 1), POLICY)

        assert caught.value.unit == "bytes"


def test_pixels_that_are_fewer_than_the_header_says_are_refused() -> None:
    short = header(64, 48) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")

    with pytest.raises(FrameUndecodableError):
        decode_depth(short, POLICY)


def test_an_interlaced_depth_picture_is_refused() -> None:
    with pytest.raises(FrameUndecodableError, match="one channel"):
        decode_depth(header(64, 48, interlaced=1), POLICY)


@pytest.mark.parametrize("kept", [0, 7, 20, 33, 40, 200, -12, -1])
def test_a_depth_picture_that_ends_early_is_refused(kept: int) -> None:
    with pytest.raises(FrameUndecodableError, match="not complete"):
        decode_depth(encoded(DEPTH)[:kept], POLICY)


def test_what_follows_the_end_is_refused() -> None:
    with pytest.raises(FrameUndecodableError, match="not complete"):
        decode_depth(encoded(DEPTH) + b"more", POLICY)


def test_what_a_png_carries_beside_its_pixels_is_not_read() -> None:
    whole = encoded(DEPTH)
    beside = chunk(b"tEXt", b"Comment\0hello") + chunk(b"iCCP", b"broken") + chunk(b"tRNS", b"\0\0")

    assert (decode_depth(whole[:33] + beside + whole[33:], POLICY) == DEPTH).all()


def test_a_png_of_very_many_pieces_is_refused() -> None:
    many = header(64, 48) + chunk(b"tEXt", b"") * 5000 + chunk(b"IEND", b"")

    with pytest.raises(FrameUndecodableError):
        decode_depth(many, POLICY)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_damaged_bytes_are_refused_or_decoded_but_never_break_it(data: st.DataObject) -> None:
    is_depth = data.draw(st.booleans())
    good = encoded(DEPTH) if is_depth else encoded(GRAY, ".jpg")
    content = bytearray(good)
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))

    try:
        found = (decode_depth if is_depth else decode_infrared)(bytes(content[:cut]), POLICY)
    except FrameError:
        return
    assert len(found.shape) == 2


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=300))
def test_any_bytes_are_refused_and_break_nothing(content: bytes) -> None:
    for decode in (decode_depth, decode_infrared):
        with pytest.raises(FrameError):
            decode(content, POLICY)
