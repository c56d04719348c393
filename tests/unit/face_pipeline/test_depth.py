"""Sheets are found however they are held and bent; heads are told from them; what was not measured says nothing."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from face_pipeline import CueSays, FacePolicy
from face_pipeline.liveness.depth import Relief, ReliefReason, relief
from tests.support.surfaces import Height, bald_sphere, bent, cut_out, depth_map, face_points, head, plane

POLICY = FacePolicy()
NOSE = (0.0, 0.05, 0.32)
EYES = ((-0.5, -0.5, 0.18), (0.5, -0.5, 0.18))

tilts = st.tuples(st.floats(-0.7, 0.7), st.floats(-0.45, 0.45))  # 35 degrees to the sides, 24 up and down
distances = st.floats(350, 700)
noises = st.floats(0, 2.0)
seeds = st.integers(0, 2**32 - 1)


def seen(height: Height, **how: object) -> Relief:
    return relief(depth_map(height, **how), face_points(), POLICY)  # type: ignore[arg-type]


def test_a_head_has_the_relief_of_a_head() -> None:
    found = seen(head, noise_mm=1.5)

    assert found.says is CueSays.FOR
    assert found.reason is None
    assert found.nose_mm > POLICY.nose_mm_min
    assert found.plane_residual_mm > found.sheet_residual_mm > POLICY.relief_residual_mm_min
    assert found.distance_mm == pytest.approx(430, abs=15)


@settings(deadline=None, max_examples=25)
@given(tilt=tilts, distance_mm=distances, noise_mm=noises, seed=seeds)
def test_a_flat_photograph_is_never_a_head_however_it_is_held(
    tilt: tuple[float, float], distance_mm: float, noise_mm: float, seed: int
) -> None:
    found = seen(plane, tilt=tilt, distance_mm=distance_mm, noise_mm=noise_mm, seed=seed)

    assert found.says is CueSays.AGAINST
    assert found.reason is ReliefReason.FLAT


@settings(deadline=None, max_examples=40)
@given(
    sheet=st.builds(bent, st.floats(75, 400), st.floats(0, np.pi), hollow=st.booleans()),
    tilt=tilts,
    noise_mm=noises,
    seed=seeds,
)
@example(sheet=bent(75.0, 1.4375, hollow=False), tilt=(0.0, 0.0), noise_mm=1.0, seed=0)  # between two directions
def test_a_bent_photograph_is_never_a_head_whichever_way_it_is_bent(
    sheet: Height, tilt: tuple[float, float], noise_mm: float, seed: int
) -> None:
    found = seen(sheet, tilt=tilt, noise_mm=noise_mm, seed=seed)

    assert found.says is CueSays.AGAINST


@settings(deadline=None, max_examples=25)
@given(
    nose=st.floats(18, 32),
    tilt=st.tuples(st.floats(-0.35, 0.35), st.floats(-0.35, 0.35)),
    distance_mm=distances,
    noise_mm=st.floats(0, 1.5),
    seed=seeds,
)
def test_a_head_is_never_taken_for_a_sheet(
    nose: float, tilt: tuple[float, float], distance_mm: float, noise_mm: float, seed: int
) -> None:
    found = seen(
        lambda x, y: head(x, y, nose), tilt=tilt, distance_mm=distance_mm, noise_mm=noise_mm, seed=seed, lost=0.05
    )

    assert found.says is CueSays.FOR


@pytest.mark.parametrize(
    "holes", [(), (NOSE,), EYES, (NOSE, *EYES)], ids=["whole", "with a hole for the nose", "for the eyes", "for both"]
)
@pytest.mark.parametrize("sheet", [plane, bent(110, 0.0)], ids=["flat", "bent"])
def test_a_cut_out_before_a_real_head_is_found(sheet: Height, holes: tuple[tuple[float, float, float], ...]) -> None:
    found = seen(cut_out(sheet, *holes), noise_mm=1.0)

    assert found.says is CueSays.AGAINST


def test_a_ball_without_a_nose_is_no_head() -> None:
    found = seen(bald_sphere, noise_mm=1.0)

    assert found.says is not CueSays.FOR
    assert found.nose_mm < POLICY.nose_mm_min


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"lost": 0.9}, ReliefReason.LITTLE_MEASURED),
        ({"lost": 1.0}, ReliefReason.LITTLE_MEASURED),
        ({"distance_mm": 300.0}, ReliefReason.TOO_NEAR),  # its front is 80 mm nearer
        ({"distance_mm": 1700.0}, ReliefReason.TOO_FAR),
        ({"noise_mm": 12.0}, ReliefReason.NOISY),
    ],
)
def test_what_cannot_be_judged_says_nothing(how: dict[str, float], reason: ReliefReason) -> None:
    found = seen(head, **how)

    assert found.says is CueSays.SILENT
    assert found.reason is reason


def test_a_face_outside_of_the_map_says_nothing() -> None:
    found = relief(depth_map(head), face_points() + 500, POLICY)

    assert found.says is CueSays.SILENT
    assert found.reason is ReliefReason.LITTLE_MEASURED


def test_a_small_map_shows_the_same_relief_as_a_large_one() -> None:
    large = depth_map(head, noise_mm=1.0)

    found = relief(large[::2, ::2], face_points() / np.float32(2), POLICY)

    assert found.says is CueSays.FOR
    assert found.span == pytest.approx(seen(head, noise_mm=1.0).span, rel=0.02)


@settings(deadline=None, max_examples=25)
@given(
    points=st.lists(st.floats(-1e4, 1e4, width=32), min_size=10, max_size=10),
    fill=st.sampled_from([0, 1, 500, 65535]),
)
def test_no_points_and_no_map_break_it(points: list[float], fill: int) -> None:
    found = relief(np.full((48, 64), fill, np.uint16), np.array(points, np.float32).reshape(5, 2), POLICY)

    assert found.says is not CueSays.FOR
