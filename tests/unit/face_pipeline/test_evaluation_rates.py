"""Error rates, their intervals and thresholds: against published values, values by hand, and what must always hold."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from face_pipeline.evaluation.beta import incomplete_beta
from face_pipeline.evaluation.rates import (
    Share,
    Trials,
    clopper_pearson,
    curve,
    equal_error,
    histogram,
    shows,
    sweep,
    threshold_at,
)

SCORES = st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=60)


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17 (1998) 857, table I, the exact method.
        (81, 263, 0.2527, 0.3676),
        (15, 148, 0.0578, 0.1617),
        (0, 20, 0.0, 0.1684),
        (1, 29, 0.0009, 0.1776),
        # By hand: without an error the upper end is 1 - 0.025 ** (1 / n).
        (0, 600, 0.0, 1 - 0.025 ** (1 / 600)),
        (10, 10, 0.025**0.1, 1.0),
    ],
)
def test_exact_intervals_are_as_published(count: int, of: int, low: float, high: float) -> None:
    assert clopper_pearson(count, of) == pytest.approx((low, high), abs=5e-5)


def test_nothing_counted_says_nothing() -> None:
    assert Share.counted(0, 0) == Share(count=0, of=0, rate=None, low=0.0, high=1.0)


def test_more_errors_than_trials_are_refused() -> None:
    with pytest.raises(ValueError, match="3 of 2"):
        clopper_pearson(3, 2)


def test_the_incomplete_beta_function_agrees_with_its_closed_forms() -> None:
    assert incomplete_beta(0.3, 1, 1) == pytest.approx(0.3)
    assert incomplete_beta(0.3, 2, 2) == pytest.approx(3 * 0.3**2 - 2 * 0.3**3)
    assert incomplete_beta(0.5, 4_000, 4_000) == pytest.approx(0.5)
    assert (incomplete_beta(0, 2, 3), incomplete_beta(1, 2, 3)) == (0, 1)


@given(of=st.integers(1, 5_000), share=st.floats(0, 1))
def test_an_interval_holds_its_rate_and_stays_between_none_and_all(of: int, share: float) -> None:
    count = round(share * of)

    low, high = clopper_pearson(count, of)

    assert 0 <= low <= count / of <= high <= 1


@pytest.mark.parametrize(
    ("rate", "trials", "expected"),
    [(1e-2, 300, True), (1e-2, 299, False), (1e-3, 600, False), (1e-4, 30_000, True), (1e-4, 29_999, False)],
)
def test_a_rate_is_shown_from_three_times_its_inverse_in_trials(rate: float, trials: int, *, expected: bool) -> None:
    assert shows(rate, trials) is expected


def test_rates_at_a_threshold_are_as_counted_by_hand() -> None:
    genuine = Trials.of([0.9, 0.43, 0.42, 0.1, None])
    impostor = Trials.of([0.5, 0.43, 0.2, None])

    assert (genuine.refused(0.43).count, genuine.refused(0.43).of) == (3, 5)
    assert (impostor.accepted(0.43).count, impostor.accepted(0.43).of) == (2, 4)


def test_a_score_beside_the_threshold_is_accepted_exactly_where_a_session_would_accept_it() -> None:
    just_below = float(np.float32(0.399))  # a cosine is a float32, and this one is less than 0.399

    assert just_below < 0.399
    assert Trials.of([just_below]).accepted_count(0.399) == 0
    assert Trials.of([just_below]).accepted_count(just_below) == 1


def test_the_threshold_at_a_rate_lies_right_above_the_first_impostor_that_is_one_too_many() -> None:
    impostor = Trials.of([0.1, 0.2, 0.3, 0.4, 0.4, 0.5, 0.6, 0.7, 0.8, 0.81237])

    assert threshold_at(0.0, impostor) == 0.8124
    assert threshold_at(0.1, impostor) == 0.8001
    # Two share the fifth place: to let half of them pass is not possible, so that fewer do.
    assert threshold_at(0.6, impostor) == 0.4001
    assert impostor.accepted_count(threshold_at(1.0, impostor)) == 10


@given(impostor=SCORES, rate=st.floats(0, 1))
def test_no_more_impostors_pass_than_were_allowed(impostor: list[float], rate: float) -> None:
    trials = Trials.of(impostor)

    passed = trials.accepted_count(threshold_at(rate, trials))

    assert passed <= rate * len(trials) + 1e-6


@given(genuine=SCORES, impostor=SCORES, far=st.floats(0, 0.5), more=st.floats(0, 0.5))
def test_whoever_allows_more_false_accepts_accepts_no_fewer_of_the_right(
    genuine: list[float], impostor: list[float], far: float, more: float
) -> None:
    right, wrong = Trials.of(genuine), Trials.of(impostor)

    strict, lax = (right.accepted_count(threshold_at(rate, wrong)) for rate in (far, far + more))

    assert strict <= lax


@given(genuine=SCORES, impostor=SCORES)
def test_along_the_curve_false_accepts_fall_and_false_rejects_rise(genuine: list[float], impostor: list[float]) -> None:
    points = curve(Trials.of(genuine), Trials.of(impostor))

    assert [point.threshold for point in points] == sorted({point.threshold for point in points})
    assert all(one.false_accepts >= other.false_accepts for one, other in pairwise(points))
    assert all(one.false_rejects <= other.false_rejects for one, other in pairwise(points))


def test_the_equal_error_is_found_where_both_are_alike() -> None:
    right, wrong = Trials.of([0.2, 0.6, 0.7, 0.8]), Trials.of([0.1, 0.15, 0.3, 0.65])

    found = equal_error(right, wrong, curve(right, wrong))

    assert found is not None
    assert found.rate == 0.25
    assert (found.false_accepts.count, found.false_rejects.count) == (1, 1)
    assert 0.3 < found.threshold <= 0.6


def test_without_a_score_there_is_no_curve_and_no_equal_error() -> None:
    nothing = Trials.of([None, None])

    assert curve(nothing, nothing) == ()
    assert equal_error(nothing, nothing, ()) is None
    assert nothing.refused(0.5).rate == 1


def test_a_sweep_keeps_to_the_thresholds_asked() -> None:
    points = sweep(Trials.of([0.9, 0.3]), Trials.of([0.4]), [0.5, 0.2])

    assert [(p.threshold, p.false_accepts, p.false_rejects) for p in points] == [(0.2, 1, 0), (0.5, 0, 0.5)]


def test_a_histogram_counts_every_score_once() -> None:
    bands = histogram(Trials.of([-2.0, 0.0, 0.26, 0.99, 1.0, None]), start=0.0, stop=1.0, bands=4)

    assert bands.counts == (2, 1, 0, 2)
    assert (bands.start, bands.width) == (0.0, 0.25)
