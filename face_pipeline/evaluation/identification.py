"""Among how many can a face be found, how often is a stranger taken for somebody, and somebody for a stranger?

A watch list: some people of the folder are enrolled, each with one picture drawn by the seed; their other pictures are
looked for, and so is every picture of those who are not enrolled. The words are those of ISO/IEC 19795-1: FPIR is the
share of strangers for whom anybody is named, FNIR the share of enrolled people who are not named first, both at a
threshold. Small galleries are cut from the same people as the large one, and measured by the same searches.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from face_pipeline.evaluation.drawing import drawn
from face_pipeline.evaluation.folders import read_images
from face_pipeline.evaluation.pairing import WORST_MAX
from face_pipeline.evaluation.pictures import Failure, Shot, System
from face_pipeline.evaluation.rates import Histogram, Point, Share, Trials, curve, histogram, shows, threshold_at
from face_pipeline.evaluation.run import Run
from face_pipeline.evaluation.watchlist import Search, Split, galleries, split

FPIRS: Final = (1e-1, 1e-2, 1e-3)
BANDS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class AtThreshold:
    """Both errors at one threshold."""

    fpir_wanted: float | None
    """What the threshold was read off for; None for the one that was fixed before."""
    threshold: float
    fpir: Share
    fnir: Share


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What the platform makes of the searches, before it asks the second factor that always decides."""

    found: Share
    """Enrolled people who are among those asked about."""
    ambiguous: Share
    """Of these, several people are asked about."""
    strangers_asked: Share
    """Strangers who are asked for somebody's second factor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryFigures:
    """What was measured with a gallery of one size."""

    people: int
    mated: int
    strangers: int
    rank_1: Share
    """Mated searches whose best candidate is the right one, whatever its score."""
    at_policy: AtThreshold | None
    decided: Decided | None
    at_fpir: tuple[AtThreshold, ...]
    margins: Histogram
    """Best less second best, where the best is right; what tells a sure answer from an ambiguous one."""
    margin_5_percent: float | None
    """5 % of those have a smaller margin."""
    mated_scores: Histogram
    """Of the right person, where ranked first."""
    stranger_scores: Histogram
    """Of whoever is most like the stranger."""
    curve: tuple[Point, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Worst:
    """One search at the bad end, in the largest gallery."""

    file: str
    person: str
    named: str
    similarity: float | None
    stranger: bool
    wrong: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemFigures:
    """What was measured with one set of models."""

    name: str
    models: Mapping[str, str]
    no_face: Share
    not_enrolled: int
    """People whose drawn picture gave no face: they are looked for in vain."""
    policy_applies: bool
    deciding_threshold: float
    galleries: tuple[GalleryFigures, ...]
    worst: tuple[Worst, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured on one folder."""

    pictures: int
    persons: int
    enrolled: int
    mated: int
    strangers: int
    simulated_pictures: int
    fpirs_not_shown: tuple[float, ...]
    systems: tuple[SystemFigures, ...]


def identification(run: Run) -> Figures:
    """Return the error rates of each system on a watch list made from the labelled pictures of the folder.

    Raises:
        LabelsError: the labels cannot be used.
    """
    draw, labels = run.draw(), read_images(run.folder)
    people = set(drawn(sorted({picture.person for picture in labels}), run.options.limit, draw))
    pictures = [picture for picture in labels if picture.person in people]
    roles = split(pictures, share=run.options.enrolled_share, draw=draw)
    fpirs = tuple(fpir for fpir in FPIRS if shows(fpir, len(roles.strangers)))
    return Figures(
        pictures=len(pictures),
        persons=len(people),
        enrolled=len(roles.enrolled),
        mated=len(roles.mated),
        strangers=len(roles.strangers),
        simulated_pictures=sum(picture.simulated for picture in pictures),
        fpirs_not_shown=tuple(fpir for fpir in FPIRS if fpir not in fpirs),
        systems=tuple(_measured(run, system, roles, fpirs) for system in run.systems),
    )


def _measured(run: Run, system: System, roles: Split, fpirs: tuple[float, ...]) -> SystemFigures:
    looked = run.embeddings(
        system, [Shot(file=picture.file) for picture in (*roles.enrolled, *roles.mated, *roles.strangers)]
    )
    found = {shot.file: result for shot, result in looked.items() if not isinstance(result, Failure)}
    applies = run.policy_applies(system, "embedding")
    fixed = system.pipeline.policy.similarity_identify if applies else None
    sizes, searches = list[GalleryFigures](), list[Search]()
    for size, searches in galleries(system, roles, found, run.tick):
        sizes.append(gallery_figures(size, searches, roles, fpirs, fixed))
    read_off = [at.threshold for at in sizes[-1].at_fpir]
    deciding = read_off[-1] if read_off and not applies else system.pipeline.policy.similarity_identify
    return SystemFigures(
        name=system.name,
        models=dict(system.pipeline.model_versions),
        no_face=Share.counted(len(looked) - len(found), len(looked)),
        not_enrolled=sum(picture.file not in found for picture in roles.enrolled),
        policy_applies=applies,
        deciding_threshold=deciding,
        galleries=tuple(sizes),
        worst=_worst(searches, {picture.person for picture in roles.enrolled}, deciding),
    )


def gallery_figures(
    size: int, searches: Sequence[Search], roles: Split, fpirs: tuple[float, ...], fixed: float | None
) -> GalleryFigures:
    """Return the figures of the searches in galleries of one size.

    Args:
        size: people in each gallery.
        searches: of enrolled people and of strangers.
        roles: says who is which.
        fpirs: error rates that so many strangers can show.
        fixed: the policy's threshold; None when it was made for another model.
    """
    outside = {picture.person for picture in roles.strangers}
    known = [search for search in searches if search.picture.person not in outside]
    mated = Trials.of(search.similarity if search.right else None for search in known)
    unknown = [search for search in searches if search.picture.person in outside]
    strangers = Trials.of(search.similarity for search in unknown)
    margins = Trials.of(search.margin for search in known if search.right and search.margin is not None)
    return GalleryFigures(
        people=size,
        mated=len(mated),
        strangers=len(strangers),
        rank_1=Share.counted(int(mated.scores.size), len(mated)),
        at_policy=None if fixed is None else _at(None, fixed, mated, strangers),
        decided=None if fixed is None else _decided(known, unknown),
        at_fpir=tuple(_at(fpir, threshold_at(fpir, strangers), mated, strangers) for fpir in fpirs),
        margins=histogram(margins, start=0.0, stop=1.0, bands=BANDS),
        margin_5_percent=round(float(np.quantile(margins.scores, 0.05)), 4) if margins.scores.size else None,
        mated_scores=histogram(mated, start=-1.0, stop=1.0, bands=BANDS),
        stranger_scores=histogram(strangers, start=-1.0, stop=1.0, bands=BANDS),
        curve=curve(mated, strangers),
    )


def _decided(known: Sequence[Search], unknown: Sequence[Search]) -> Decided:
    found = [search for search in known if search.picture.person in search.candidates]
    return Decided(
        found=Share.counted(len(found), len(known)),
        ambiguous=Share.counted(sum(len(search.candidates) > 1 for search in found), len(found)),
        strangers_asked=Share.counted(sum(bool(search.candidates) for search in unknown), len(unknown)),
    )


def _at(wanted: float | None, threshold: float, mated: Trials, strangers: Trials) -> AtThreshold:
    return AtThreshold(
        fpir_wanted=wanted,
        threshold=threshold,
        fpir=strangers.accepted(threshold),
        fnir=mated.refused(threshold),
    )


def _worst(searches: Sequence[Search], enrolled: set[str], threshold: float) -> tuple[Worst, ...]:
    """Return strangers most like somebody, and enrolled people not named, or least surely."""
    strangers = [search for search in searches if search.picture.person not in enrolled and search.similarity]
    known = [search for search in searches if search.picture.person in enrolled]
    strangers.sort(key=lambda search: (-(search.similarity or 0), search.picture.file))
    known.sort(key=lambda search: (search.right, search.similarity or 0, search.picture.file))
    return tuple(
        Worst(
            file=search.picture.file,
            person=search.picture.person,
            named=search.named,
            similarity=None if search.similarity is None else round(search.similarity, 4),
            stranger=stranger,
            wrong=_is_wrong(search, threshold, stranger=stranger),
        )
        for stranger, ranked in ((True, strangers), (False, known))
        for search in ranked[:WORST_MAX]
    )


def _is_wrong(search: Search, threshold: float, *, stranger: bool) -> bool:
    named = search.similarity is not None and search.similarity >= threshold
    return named if stranger else not (named and search.right)
