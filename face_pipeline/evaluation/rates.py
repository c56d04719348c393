"""How large is an error rate, and how sure may one be of it? Counts and scores in, numbers out; nothing else."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from face_pipeline.evaluation.beta import beta_quantile

CONFIDENCE: Final = 0.95  # of every interval here
RULE_OF_THREE: Final = 3.0  # ISO/IEC 19795-1: no error in n trials shows a rate of at most 3 / n, at 95 %
DECIMALS: Final = 4  # of a threshold that is read off scores; rounded up, so that the rate it stands for holds
POINTS_MAX: Final = 120  # of a curve, on each of its two axes

Scores = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """So many of so many, with what that says about the rate behind it."""

    count: int
    of: int
    rate: float | None
    """count / of; None when there was nothing to count."""
    low: float
    """Lower end of the exact 95 % interval (Clopper and Pearson)."""
    high: float
    """Upper end."""

    @classmethod
    def counted(cls, count: int, of: int) -> Self:
        """Return the share with its interval."""
        low, high = clopper_pearson(count, of)
        return cls(
            count=count, of=of, rate=_rounded(count / of) if of else None, low=_rounded(low), high=_rounded(high)
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trials:
    """The scores of one kind of comparison; what could not be scored counts as a trial that was not accepted."""

    scores: Scores
    """Sorted, smallest first."""
    unscored: int = 0

    @classmethod
    def of(cls, scores: Iterable[float | None]) -> Self:
        """Return trials from scores; None is one that could not be scored."""
        given = list(scores)
        found = np.array([score for score in given if score is not None], np.float32)
        return cls(scores=np.sort(found), unscored=len(given) - found.size)

    def __len__(self) -> int:
        return int(self.scores.size) + self.unscored

    def accepted_count(self, threshold: float) -> int:
        """Return how many have a score of at least the threshold."""
        least = np.float32(threshold)
        if float(least) < threshold:  # the threshold is no float32: the next one above it is where scores pass
            least = np.nextafter(least, np.float32(np.inf))
        return int(self.scores.size) - int(np.searchsorted(self.scores, least, side="left"))

    def accepted(self, threshold: float) -> Share:
        """Return the share with a score of at least the threshold."""
        return Share.counted(self.accepted_count(threshold), len(self))

    def refused(self, threshold: float) -> Share:
        """Return the share below the threshold, or without a score."""
        return Share.counted(len(self) - self.accepted_count(threshold), len(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One threshold of a curve, with both errors at it."""

    threshold: float
    false_accepts: float
    false_rejects: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EqualError:
    """Where both errors are alike."""

    rate: float
    """Mean of the two."""
    threshold: float
    false_accepts: Share
    false_rejects: Share


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """How often each band of scores occurred; bands are equally wide."""

    start: float
    width: float
    counts: tuple[int, ...]


def clopper_pearson(count: int, of: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the exact interval of a binomial rate: never too narrow, for independent trials.

    Source: Clopper and Pearson, Biometrika 26 (1934); by quantiles of the beta distribution.
    """
    if not 0 <= count <= of:
        raise ValueError(f"{count} of {of}")
    tail = (1 - confidence) / 2
    low = beta_quantile(tail, count, of - count + 1) if count else 0.0
    high = beta_quantile(1 - tail, count + 1, of - count) if count < of else 1.0
    return low, high


def shows(rate: float, trials: int) -> bool:
    """Return whether so many trials can show a rate this small: without any error they show 3 / n at best."""
    return trials * rate >= RULE_OF_THREE * (1 - 1e-9)


def threshold_at(rate: float, wrong: Trials) -> float:
    """Return the lowest threshold, to four decimals, at which at most this share of the wrong ones is accepted."""
    allowed = math.floor(rate * len(wrong) + 1e-9)
    if allowed >= wrong.scores.size:
        return _just_below(wrong)
    return _above(float(wrong.scores[wrong.scores.size - 1 - allowed]))


def curve(right: Trials, wrong: Trials) -> tuple[Point, ...]:
    """Return both error rates over thresholds that follow the scores, lowest threshold first."""
    scored = [trials for trials in (right, wrong) if trials.scores.size]
    if not scored:
        return ()
    shares = np.linspace(0, 1, POINTS_MAX)
    by_rank = [float(score) for trials in scored for score in np.quantile(trials.scores, shares)]
    rare = np.geomspace(1 / max(len(wrong), 1), 1, POINTS_MAX)
    by_rate = [threshold_at(float(rate), wrong) for rate in (0.0, *rare)]
    return _points(right, wrong, {round(threshold, DECIMALS) for threshold in (*by_rank, *by_rate)})


def sweep(right: Trials, wrong: Trials, thresholds: Iterable[float]) -> tuple[Point, ...]:
    """Return both error rates at these thresholds."""
    return _points(right, wrong, thresholds)


def equal_error(right: Trials, wrong: Trials, points: Sequence[Point]) -> EqualError | None:
    """Return the point of a curve where both errors are nearest to each other."""
    if not points:
        return None
    nearest = min(points, key=lambda point: (abs(point.false_accepts - point.false_rejects), point.threshold))
    return EqualError(
        rate=_rounded((nearest.false_accepts + nearest.false_rejects) / 2),
        threshold=nearest.threshold,
        false_accepts=wrong.accepted(nearest.threshold),
        false_rejects=right.refused(nearest.threshold),
    )


def histogram(trials: Trials, *, start: float, stop: float, bands: int) -> Histogram:
    """Return how the scores spread between start and stop; what lies outside goes into the first or last band."""
    inside = np.clip(trials.scores, start, stop)
    counts, _ = np.histogram(inside, bins=bands, range=(start, stop))
    return Histogram(start=start, width=round((stop - start) / bands, 6), counts=tuple(int(count) for count in counts))


def _points(right: Trials, wrong: Trials, thresholds: Iterable[float]) -> tuple[Point, ...]:
    return tuple(
        Point(
            threshold=threshold,
            false_accepts=wrong.accepted_count(threshold) / max(len(wrong), 1),
            false_rejects=1 - right.accepted_count(threshold) / max(len(right), 1),
        )
        for threshold in sorted(thresholds)
    )


def _above(score: float) -> float:
    """Return the next threshold of four decimals that this score does not reach."""
    step: float = 10**-DECIMALS
    candidate = round(math.floor(score / step) * step, DECIMALS)
    while candidate <= score:
        candidate = round(candidate + step, DECIMALS)
    return candidate


def _just_below(trials: Trials) -> float:
    """Return a threshold that every score reaches."""
    return (
        round(math.floor(float(trials.scores[0]) * 10**DECIMALS) / 10**DECIMALS, DECIMALS)
        if trials.scores.size
        else 0.0
    )


def _rounded(rate: float) -> float:
    return float(f"{rate:.6g}")
