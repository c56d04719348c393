"""How often is the right person refused and the wrong one accepted, pair by pair?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from face_pipeline.evaluation.folders import IMAGES, read_images, read_pairs
from face_pipeline.evaluation.pairing import Plan, Ranking, Worst, compared, everybody_compared, plan_of
from face_pipeline.evaluation.pictures import Failure, System
from face_pipeline.evaluation.rates import (
    EqualError,
    Histogram,
    Point,
    Share,
    Trials,
    curve,
    equal_error,
    histogram,
    shows,
    threshold_at,
)
from face_pipeline.evaluation.run import Run
from face_pipeline.policy import FacePolicy

FARS: Final = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
FARS_ASKED: Final = FARS[:3]  # those that are named when the data cannot show them
BANDS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class AtThreshold:
    """Both errors at a threshold that was fixed before."""

    name: str
    threshold: float
    frr: Share
    far: Share


@dataclass(frozen=True, slots=True, kw_only=True)
class AtFar:
    """How many of the right persons are accepted where at most this share of the wrong ones is."""

    far: float
    threshold: float
    tar: Share
    far_seen: Share


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemFigures:
    """What was measured with one set of models."""

    name: str
    models: Mapping[str, str]
    no_face: Share
    """Pictures in which no face was found."""
    unreadable: int
    policy_applies: bool
    """Whether the policy's thresholds were made for this embedder."""
    at_policy: tuple[AtThreshold, ...]
    at_far: tuple[AtFar, ...]
    equal_error: EqualError | None
    impostor_highest: float | None
    deciding_threshold: float
    """By which the worst pairs are called wrong."""
    genuine: Histogram
    impostor: Histogram
    curve: tuple[Point, ...]
    worst_genuine: tuple[Worst, ...]
    worst_impostor: tuple[Worst, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured on one folder."""

    pictures: int
    persons: int | None
    genuine_pairs: int
    impostor_pairs: int
    simulated_pictures: int
    rolled_pictures: int
    fars_not_shown: tuple[float, ...]
    """So many impostor pairs cannot show these: without a single error they show 3 / n."""
    systems: tuple[SystemFigures, ...]


def verification(run: Run) -> Figures:
    """Return the error rates of each system on the labelled pairs of the folder.

    Raises:
        LabelsError: the labels cannot be used.
        TooManyPairsError: all pairs were asked for, of too many pictures.
    """
    pairs = read_pairs(run.folder)
    with_images = (run.folder / IMAGES).exists() or run.options.all_pairs
    images = read_images(run.folder) if with_images else ()
    plan = plan_of(pairs, images, run)
    fars = tuple(far for far in FARS if shows(far, plan.impostor_pairs))
    shots = plan.shots
    files = {shot.file for shot in shots}
    return Figures(
        pictures=len(files),
        persons=len({picture.person for picture in images if picture.file in files}) or None,
        genuine_pairs=len(plan.genuine),
        impostor_pairs=plan.impostor_pairs,
        simulated_pictures=sum(picture.simulated and picture.file in files for picture in images),
        rolled_pictures=sum(bool(shot.degrees) for shot in shots),
        fars_not_shown=tuple(far for far in FARS_ASKED if far not in fars),
        systems=tuple(_measured(run, system, plan, fars) for system in run.systems),
    )


def _measured(run: Run, system: System, plan: Plan, fars: tuple[float, ...]) -> SystemFigures:
    looked = run.embeddings(system, plan.shots)
    found = {shot: result for shot, result in looked.items() if not isinstance(result, Failure)}
    low, high = Ranking(sign=1), Ranking(sign=-1)
    genuine = compared(plan.genuine, found, low)
    impostor = (
        everybody_compared(plan.everybody, found, high) if plan.everybody else compared(plan.impostor, found, high)
    )
    policy = system.pipeline.policy
    applies = run.policy_applies(system, "embedding")
    at_far = tuple(_at_far(far, genuine, impostor) for far in fars)
    deciding = policy.similarity_to_pay if applies or not at_far else at_far[-1].threshold
    points = curve(genuine, impostor)
    return SystemFigures(
        name=system.name,
        models=dict(system.pipeline.model_versions),
        no_face=Share.counted(sum(result is Failure.NO_FACE for result in looked.values()), len(looked)),
        unreadable=sum(result is Failure.UNREADABLE for result in looked.values()),
        policy_applies=applies,
        at_policy=_at_policy(policy, genuine, impostor) if applies else (),
        at_far=at_far,
        equal_error=equal_error(genuine, impostor, points),
        impostor_highest=round(float(impostor.scores[-1]), 4) if impostor.scores.size else None,
        deciding_threshold=deciding,
        genuine=histogram(genuine, start=-1.0, stop=1.0, bands=BANDS),
        impostor=histogram(impostor, start=-1.0, stop=1.0, bands=BANDS),
        curve=points,
        worst_genuine=low.worst(deciding),
        worst_impostor=high.worst(deciding),
    )


def _at_policy(policy: FacePolicy, genuine: Trials, impostor: Trials) -> tuple[AtThreshold, ...]:
    named = (("to_pay", policy.similarity_to_pay), ("low_value", policy.similarity_low_value))
    return tuple(
        AtThreshold(name=name, threshold=least, frr=genuine.refused(least), far=impostor.accepted(least))
        for name, least in named
    )


def _at_far(far: float, genuine: Trials, impostor: Trials) -> AtFar:
    least = threshold_at(far, impostor)
    return AtFar(far=far, threshold=least, tar=genuine.accepted(least), far_seen=impostor.accepted(least))
