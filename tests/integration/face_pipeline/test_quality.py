"""What is in the way of a face is named, and a tilted head stays who it is: real models, two real portraits."""

import cv2
import numpy as np
import pytest

from face_pipeline import Guidance
from face_pipeline.frames import Embedding, Face, Image
from face_pipeline.matching import similarity
from face_pipeline.picture.alignment import aligned_crop, roll_degrees
from face_pipeline.picture.quality import CropQuality, Demands
from tests.support.dressing import CLOTHS, with_glasses, with_mask
from tests.support.heads import HER, OTHER, portrait_of
from tests.support.models import loaded_pipeline

PEOPLE = (HER, OTHER)


def the_face_in(image: Image) -> Face:
    detector = loaded_pipeline().stages.detector
    return detector.refined(image, detector.faces(image)[0])


def complaint_about(image: Image) -> Guidance | None:
    policy, face = loaded_pipeline().policy, the_face_in(image)
    quality = CropQuality.of(aligned_crop(image, face.steady_points), face.points, policy)
    return quality.complaint(policy, Demands.of_session(policy))


def embedded(image: Image) -> Embedding:
    return loaded_pipeline().stages.embedder.embedding(aligned_crop(image, the_face_in(image).steady_points))


def tilted(image: Image, degrees: float) -> Image:
    size = image.shape[1], image.shape[0]
    turn = cv2.getRotationMatrix2D((size[0] / 2, size[1] / 2), degrees, 1)
    return np.asarray(cv2.warpAffine(image, turn, size, borderMode=cv2.BORDER_REPLICATE), np.uint8)


@pytest.mark.parametrize("name", PEOPLE)
def test_a_face_that_shows_itself_is_not_complained_about(name: str) -> None:
    assert complaint_about(portrait_of(name).image_bgr) is None


@pytest.mark.parametrize("name", PEOPLE)
def test_clear_glasses_may_stay_on(name: str) -> None:
    portrait = portrait_of(name)

    assert complaint_about(with_glasses(portrait.image_bgr, portrait.points, light_passed=1.0)) is None


@pytest.mark.parametrize("name", PEOPLE)
def test_dark_glasses_are_asked_to_come_off(name: str) -> None:
    portrait = portrait_of(name)

    dark = with_glasses(portrait.image_bgr, portrait.points, light_passed=0.1)

    assert complaint_about(dark) is Guidance.UNCOVER_EYES


@pytest.mark.parametrize("name", PEOPLE)
@pytest.mark.parametrize("cloth", CLOTHS)
def test_a_mask_of_any_colour_is_asked_to_come_off(name: str, cloth: str) -> None:
    portrait = portrait_of(name)

    assert complaint_about(with_mask(portrait.image_bgr, portrait.points, cloth=cloth)) is Guidance.UNCOVER_MOUTH


@pytest.mark.parametrize("degrees", [-30, 30])
def test_a_head_tilted_by_thirty_degrees_is_seen_tilted_and_recognised(degrees: int) -> None:
    upright = portrait_of(HER).image_bgr
    leaning = tilted(upright, degrees)

    seen = roll_degrees(the_face_in(upright).points) - roll_degrees(the_face_in(leaning).points)

    assert seen == pytest.approx(degrees, abs=6)
    assert similarity(embedded(leaning), embedded(upright)) > 0.8
    assert similarity(embedded(leaning), embedded(portrait_of(OTHER).image_bgr)) < 0.3


def test_a_large_portrait_and_a_small_one_give_the_same_face() -> None:
    small = portrait_of(HER).image_bgr
    large = np.asarray(cv2.resize(small, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC), np.uint8)

    assert similarity(embedded(large), embedded(small)) > 0.95
