"""What a model is given of a picture."""

import numpy as np
import pytest

from face_pipeline.frames import Image
from face_pipeline.models.runtime import as_planes
from face_pipeline.models.weights import ModelInput


def an_input(channels: str, *, mean: float = 0.0, scale: float = 1.0) -> ModelInput:
    return ModelInput(width=0, height=0, channels=channels, mean=mean, scale=scale)


def a_picture(width: int, height: int, channels: int) -> Image:
    picture: Image = np.random.default_rng(7).integers(0, 256, (height, width, channels), np.uint8)
    return picture


@pytest.mark.parametrize("channels", ["BGR", "RGB"])
def test_a_fourth_channel_is_left_out(channels: str) -> None:
    picture = a_picture(40, 30, 4)

    planes = as_planes(picture, an_input(channels))

    ordered = picture[:, :, :3] if channels == "BGR" else picture[:, :, 2::-1]
    np.testing.assert_array_equal(planes, ordered.transpose(2, 0, 1)[None])


def test_what_is_added_below_and_beside_is_black_as_the_model_sees_black() -> None:
    picture = a_picture(40, 30, 3)

    planes = as_planes(picture, an_input("BGR", mean=100.0, scale=0.5), multiple=32)

    assert planes.shape == (1, 3, 32, 64)
    np.testing.assert_array_equal(planes[0, :, :30, :40], (picture.transpose(2, 0, 1).astype(np.float32) - 100) / 2)
    assert (planes[0, :, 30:] == -50).all()
    assert (planes[0, :, :, 40:] == -50).all()
