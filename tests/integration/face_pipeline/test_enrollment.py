"""Portraits become templates, or a sentence about what to mend; and templates rest sealed."""

import cv2
import numpy as np
import pytest

from face_pipeline import (
    FacePolicy,
    FaceQualityError,
    FrameTooLargeError,
    FrameUndecodableError,
    Guidance,
    MemoryTemplateStore,
)
from face_pipeline.matching import similarity
from face_pipeline.template_keys import HeldKeys
from tests.support.heads import HER, OTHER, her_template, portrait_bytes, portrait_of
from tests.support.models import loaded_pipeline


def test_a_portrait_becomes_a_template_of_unit_length() -> None:
    template = her_template()

    assert template.embedding.shape == (128 + 512,)
    assert np.linalg.norm(template.embedding) == pytest.approx(1, abs=1e-5)
    assert template.model_id == loaded_pipeline().model_id


def test_a_portrait_whose_face_is_too_small_is_refused_with_the_way_out() -> None:
    with pytest.raises(FaceQualityError) as caught:
        loaded_pipeline().enroll(portrait_bytes(OTHER))

    assert caught.value.guidance is Guidance.COME_CLOSER


def test_a_tilted_portrait_is_turned_upright_and_stays_the_same_person() -> None:
    upright = portrait_of(HER).image_bgr
    middle = (upright.shape[1] / 2, upright.shape[0] / 2)
    turned = cv2.warpAffine(upright, cv2.getRotationMatrix2D(middle, 20, 1), (upright.shape[1], upright.shape[0]))

    tilted = loaded_pipeline().enroll(_png(np.asarray(turned, np.uint8)))

    assert similarity(tilted.embedding, her_template().embedding) > 0.8


def test_a_head_tilted_beyond_the_bound_is_asked_to_straighten() -> None:
    upright = portrait_of(HER).image_bgr
    middle = (upright.shape[1] / 2, upright.shape[0] / 2)
    turned = cv2.warpAffine(upright, cv2.getRotationMatrix2D(middle, 40, 1), (upright.shape[1], upright.shape[0]))

    with pytest.raises(FaceQualityError) as caught:
        loaded_pipeline().enroll(_png(np.asarray(turned, np.uint8)))

    assert caught.value.guidance is Guidance.STRAIGHTEN_HEAD


def test_a_blurred_portrait_is_refused() -> None:
    blurred = cv2.GaussianBlur(portrait_of(HER).image_bgr, (0, 0), 6)

    with pytest.raises(FaceQualityError) as caught:
        loaded_pipeline().enroll(_png(np.asarray(blurred, np.uint8)))

    assert caught.value.guidance is Guidance.BLURRED


def test_a_picture_without_a_face_is_refused() -> None:
    with pytest.raises(FaceQualityError) as caught:
        loaded_pipeline().landmarks(_png(np.full((200, 200, 3), 127, np.uint8)))

    assert caught.value.guidance is Guidance.NO_FACE


def test_a_png_bomb_is_refused_by_its_header() -> None:
    header = bytearray(_png(np.zeros((64, 64, 3), np.uint8)))
    header[16:24] = (60_000).to_bytes(4, "big") * 2

    with pytest.raises(FrameTooLargeError) as caught:
        loaded_pipeline().enroll(bytes(header))

    assert (caught.value.unit, caught.value.size_max) == ("pixels", FacePolicy().frame_pixels_max)


def test_i11_a_twenty_megapixel_jpeg_is_refused_before_it_is_decoded() -> None:
    done, encoded = cv2.imencode(".jpg", np.zeros((4000, 5000, 3), np.uint8))
    assert done

    with pytest.raises(FrameTooLargeError) as caught:
        loaded_pipeline().enroll(encoded.tobytes())

    assert caught.value.size == 20_000_000


@pytest.mark.parametrize("length", [0, 8, 30, 2000])
def test_a_truncated_png_is_refused(length: int) -> None:
    with pytest.raises(FrameUndecodableError):
        loaded_pipeline().enroll(portrait_bytes(OTHER)[:length])


def test_a_store_keeps_replaces_and_forgets_a_persons_template() -> None:
    store = MemoryTemplateStore(keys=HeldKeys(bytes(32)))

    store.put("person-1", her_template())
    kept, foreign = store.get("person-1"), store.get("person-2")

    assert kept is not None
    assert np.array_equal(kept.embedding, her_template().embedding)
    assert foreign is None
    assert store.delete("person-1")
    assert not store.delete("person-1")


def _png(image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    done, encoded = cv2.imencode(".png", image)
    if not done:
        raise ValueError("not encoded")
    return encoded.tobytes()
