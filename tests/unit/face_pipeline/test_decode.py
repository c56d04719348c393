"""Bytes that are a picture, and cost more than a picture may."""

import cv2
import numpy as np
import pytest

from face_pipeline import FacePolicy, FrameTooLargeError, FrameUndecodableError
from face_pipeline.picture.decode import JPEG_SCAN, JPEG_SCANS_MAX, decode_frame, decode_infrared, decode_portrait

POLICY = FacePolicy()
END = b"\xff\xd9"


def progressive(*, again: int) -> bytes:
    """Return a gray progressive JPEG whose last scan comes so many times again."""
    noise = np.random.default_rng(1).integers(0, 255, (120, 160), dtype=np.uint8)
    jpeg: bytes = cv2.imencode(".jpg", noise, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    last = jpeg[jpeg.rindex(bytes(JPEG_SCAN)) : -len(END)]
    return jpeg[: -len(END)] + last * again + END


def strip(height: int, width: int) -> bytes:
    return bytes(cv2.imencode(".jpg", np.zeros((height, width, 3), np.uint8))[1].tobytes())


@pytest.mark.parametrize("decode", [decode_frame, decode_portrait, decode_infrared])
def test_a_picture_of_many_scans_is_refused_before_a_decoder_goes_through_it_for_each(decode: object) -> None:
    assert callable(decode)

    with pytest.raises(FrameTooLargeError) as caught:
        decode(progressive(again=JPEG_SCANS_MAX), POLICY)

    assert (caught.value.unit, caught.value.size_max) == ("scans", JPEG_SCANS_MAX)


@pytest.mark.parametrize("decode", [decode_frame, decode_portrait, decode_infrared])
def test_a_progressive_picture_as_encoders_make_it_is_taken(decode: object) -> None:
    assert callable(decode)

    assert decode(progressive(again=0), POLICY).shape[:2] == (120, 160)


@pytest.mark.parametrize(("height", "width"), [(32, 65_500), (65_500, 40), (40, 200)])
def test_a_strip_of_which_nothing_is_left_once_it_is_scaled_down_is_refused(height: int, width: int) -> None:
    for decode in (decode_frame, decode_portrait):
        with pytest.raises(FrameUndecodableError):
            decode(strip(height, width), POLICY)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_frame_has_the_colours_of_the_same_picture_taken_as_a_portrait(channels: int) -> None:
    noise = np.random.default_rng(2).integers(0, 255, (120, 160, channels), dtype=np.uint8)
    jpeg = cv2.imencode(".jpg", noise)[1].tobytes()

    np.testing.assert_array_equal(decode_frame(jpeg, POLICY)[:, :, :3], decode_portrait(jpeg, POLICY))
