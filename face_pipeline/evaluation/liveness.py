"""How often does the passive model call an attack live, by instrument, and a living person not?

One picture each. The platform never decides on one, and never on this cue alone: whole sessions are measured elsewhere.
The words are those of ISO/IEC 30107-3; an instrument that is simulated stands apart from a real one of the same name.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from face_pipeline.evaluation.drawing import drawn
from face_pipeline.evaluation.folders import Presentation, read_presentations
from face_pipeline.evaluation.pairing import WORST_MAX
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
    sweep,
)
from face_pipeline.evaluation.run import Run

BANDS: Final = 50
THRESHOLDS: Final = tuple(round(step / 20, 2) for step in range(1, 20))
Scored = Mapping[Presentation, float | Failure]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Presentations of one kind, and how they were classified."""

    name: str
    simulated: bool
    presentations: int
    no_response: Share
    """Without a face that was found: APNRR for attacks, BPNRR for bona fide."""
    wrong: Share
    """Of those with a response. APCER for attacks: called live. BPCER for bona fide: called an attack."""

    @property
    def title(self) -> str:
        """The name, which says when it is simulated."""
        said = "SIMULATED" in self.name.upper()
        return f"{self.name}, SIMULATED" if self.simulated and not said else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Worst:
    """One picture that was classified wrongly, or would be first."""

    file: str
    kind: str
    live: bool
    probability: float
    wrong: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemFigures:
    """What was measured with one passive model."""

    name: str
    models: Mapping[str, str]
    threshold: float
    policy_applies: bool
    """Whether the policy's threshold was made for this model."""
    instruments: tuple[Group, ...]
    """Each with its APCER; one that is simulated apart from a real one of the same name."""
    kinds: tuple[Group, ...]
    """The same by the finer names of the labels, living people too."""
    bona_fide: Group
    apcer_highest: float | None
    """Of the instruments: the standard reports the worst, not the mean."""
    apcer_highest_of: str | None
    """Which one that is."""
    acer: float | None
    """Mean of the highest APCER and BPCER; the standard no longer has it, papers do."""
    equal_error: EqualError | None
    live: Histogram
    attack: Histogram
    sweep: tuple[Point, ...]
    """false_accepts: attacks called live, all instruments together; false_rejects: living people called attacks."""
    curve: tuple[Point, ...]
    worst: tuple[Worst, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured on one folder."""

    pictures: int
    bona_fide: int
    attacks: int
    simulated_pictures: int
    simulated_kinds: Mapping[str, int]
    systems: tuple[SystemFigures, ...]


def liveness(run: Run) -> Figures:
    """Return the error rates of each system's passive model on the labelled pictures of the folder.

    Raises:
        LabelsError: the labels cannot be used.
    """
    draw, labels = run.draw(), read_presentations(run.folder)
    shown = [
        presentation
        for live in (True, False)
        for presentation in drawn([one for one in labels if one.live is live], run.options.limit, draw)
    ]
    simulated = [presentation.kind for presentation in shown if presentation.simulated]
    return Figures(
        pictures=len(shown),
        bona_fide=sum(presentation.live for presentation in shown),
        attacks=sum(not presentation.live for presentation in shown),
        simulated_pictures=len(simulated),
        simulated_kinds={kind: simulated.count(kind) for kind in sorted(set(simulated))},
        systems=tuple(_measured(run, system, shown) for system in run.systems),
    )


def _measured(run: Run, system: System, shown: Sequence[Presentation]) -> SystemFigures:
    scored = run.probabilities(system, shown)
    threshold = system.pipeline.policy.passive_min
    instruments = _groups(scored, threshold, lambda shown: "" if shown.live else shown.instrument)
    bona_fide = _group("bona fide", [one for one in shown if one.live], scored, threshold)
    worst = max(
        (group for group in instruments if group.wrong.of), key=lambda group: group.wrong.rate or 0, default=None
    )
    highest = worst.wrong.rate if worst else None
    bpcer = bona_fide.wrong.rate
    live, attack = (_trials(scored, live=wanted) for wanted in (True, False))
    points = curve(live, attack)
    return SystemFigures(
        name=system.name,
        models=dict(system.pipeline.model_versions),
        threshold=threshold,
        policy_applies=run.policy_applies(system, "liveness"),
        instruments=instruments,
        kinds=_groups(scored, threshold, lambda shown: shown.kind),
        bona_fide=bona_fide,
        apcer_highest=highest,
        apcer_highest_of=worst.title if worst else None,
        acer=None if highest is None or bpcer is None else round((highest + bpcer) / 2, 6),
        equal_error=equal_error(live, attack, points),
        live=histogram(live, start=0.0, stop=1.0, bands=BANDS),
        attack=histogram(attack, start=0.0, stop=1.0, bands=BANDS),
        sweep=sweep(live, attack, THRESHOLDS),
        curve=points,
        worst=_worst(scored, threshold),
    )


def _groups(scored: Scored, threshold: float, name_of: Callable[[Presentation], str]) -> tuple[Group, ...]:
    named = sorted({(not shown.live, name_of(shown), shown.simulated) for shown in scored if name_of(shown)})
    return tuple(
        _group(
            name,
            [
                shown
                for shown in scored
                if (not shown.live, name_of(shown), shown.simulated) == (attack, name, simulated)
            ],
            scored,
            threshold,
        )
        for attack, name, simulated in named
    )


def _group(name: str, shown: Sequence[Presentation], scored: Scored, threshold: float) -> Group:
    answers = [(presentation.live, scored[presentation]) for presentation in shown]
    responses = [(live, answer) for live, answer in answers if not isinstance(answer, Failure)]
    return Group(
        name=name,
        simulated=any(presentation.simulated for presentation in shown),
        presentations=len(answers),
        no_response=Share.counted(len(answers) - len(responses), len(answers)),
        wrong=Share.counted(sum((answer >= threshold) is not live for live, answer in responses), len(responses)),
    )


def _trials(scored: Scored, *, live: bool) -> Trials:
    """Return the probabilities of those with a response, as the standard has it."""
    return Trials.of(
        answer for shown, answer in scored.items() if shown.live is live and not isinstance(answer, Failure)
    )


def _worst(scored: Scored, threshold: float) -> tuple[Worst, ...]:
    """Return those farthest on the wrong side of the threshold first, as many of the living as of the attacks."""
    found = [
        Worst(
            file=shown.file,
            kind=shown.kind,
            live=shown.live,
            probability=round(answer, 4),
            wrong=(answer >= threshold) is not shown.live,
        )
        for shown, answer in scored.items()
        if not isinstance(answer, Failure)
    ]
    rejected = sorted((one for one in found if one.live), key=lambda one: (one.probability, one.file))
    accepted = sorted((one for one in found if not one.live), key=lambda one: (-one.probability, one.file))
    return (*accepted[:WORST_MAX], *rejected[:WORST_MAX])
