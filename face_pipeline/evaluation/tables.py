"""How do the figures read as tables? The same ones on the console and in the report."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from face_pipeline.evaluation import identification, liveness, verification
from face_pipeline.evaluation.notice import Figures
from face_pipeline.evaluation.rates import EqualError, Share

NOTHING = "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Words and numbers, ready to be shown."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def tables(figures: Figures) -> list[Table]:
    """Return the summary first, then what there is in detail."""
    match figures:
        case verification.Figures():
            return [_verification(figures), _models(figures.systems)]
        case liveness.Figures():
            return [
                _liveness(figures),
                _groups("By kind of picture, as labelled", figures, lambda system: system.kinds),
                _models(figures.systems),
            ]
        case identification.Figures():
            return [_identification(figures), *map(_by_size, figures.systems), _models(figures.systems)]


def share(value: Share) -> str:
    """Return a rate with its count and its interval."""
    if value.rate is None:
        return "nothing to count"
    return f"{percent(value.rate)} ({value.count:,} of {value.of:,}) [{percent(value.low)}, {percent(value.high)}]"


def interval(value: Share) -> str:
    """Return a rate with its interval."""
    return NOTHING if value.rate is None else f"{percent(value.rate)} [{percent(value.low)}, {percent(value.high)}]"


def percent(rate: float) -> str:
    """Return a rate with three digits that count."""
    digits = 0 if rate in {0.0, 1.0} else 2 if rate >= 0.001 else 4  # noqa: PLR2004 - a tenth of a percent
    return f"{100 * rate:.{digits}f} %"


def power(rate: float) -> str:
    """Return 1e-3 for 0.001."""
    return f"{rate:.0e}".replace("e-0", "e-")


def _across(title: str, named: Sequence[tuple[str, Sequence[str]]], systems: Sequence[str], note: str = "") -> Table:
    """Return a table with a row for each measure and a column for each system."""
    rows = tuple((name, *values) for name, values in named)
    return Table(title=title, columns=("", *systems), rows=rows, note=note)


def _verification(figures: verification.Figures) -> Table:
    systems = figures.systems
    rows = [("No face found", [share(system.no_face) for system in systems])]
    if any(system.unreadable for system in systems):
        rows.append(("Files that are no picture", [f"{system.unreadable:,}" for system in systems]))
    for place, at in enumerate(systems[0].at_policy):
        for name, of in _ERRORS:
            told = [share(of(system.at_policy[place])) if system.at_policy else NOTHING for system in systems]
            rows.append((f"{name} at {at.threshold:g}, {_POLICY_NAMES[at.name]}", told))
    for place, wanted in enumerate(systems[0].at_far):
        at_far = [system.at_far[place] for system in systems]
        rows.append((f"TAR at FAR ≤ {power(wanted.far)}", [f"{share(at.tar)}, at {at.threshold:.4f}" for at in at_far]))
    rows.append(("Equal error rate", [_equal_error(system.equal_error) for system in systems]))
    rows.append(("Most alike impostors", [_number(system.impostor_highest) for system in systems]))
    pairs = f"{figures.genuine_pairs:,} genuine and {figures.impostor_pairs:,} impostor pairs"
    title = f"{pairs} of {figures.pictures:,} pictures"
    return _across(title, rows, [system.name for system in systems], _own_thresholds(systems))


_POLICY_NAMES = {"to_pay": "to pay", "low_value": "low value"}
_ERRORS: tuple[tuple[str, Callable[[verification.AtThreshold], Share]], ...] = (
    ("FRR", lambda at: at.frr),
    ("FAR", lambda at: at.far),
)


def _liveness(figures: liveness.Figures) -> Table:
    systems = figures.systems
    rows: list[tuple[str, list[str]]] = []
    for place, group in enumerate(systems[0].instruments):
        rows.append((f"APCER {group.title}", [share(system.instruments[place].wrong) for system in systems]))
    rows.append(("BPCER", [share(system.bona_fide.wrong) for system in systems]))
    rows.append(("Highest APCER", [f"{_rate(system.apcer_highest)}, {system.apcer_highest_of}" for system in systems]))
    rows.append(("ACER", [_rate(system.acer) for system in systems]))
    rows.append(("BPNRR, no face found", [share(system.bona_fide.no_response) for system in systems]))
    for place, group in enumerate(systems[0].instruments):
        if any(system.instruments[place].no_response.count for system in systems):
            told = [share(system.instruments[place].no_response) for system in systems]
            rows.append((f"APNRR {group.title}, no face found", told))
    rows.append(("Equal error rate", [_equal_error(system.equal_error) for system in systems]))
    title = f"{figures.bona_fide:,} bona fide and {figures.attacks:,} attack presentations, at {systems[0].threshold:g}"
    return _across(title, rows, [system.name for system in systems], _own_thresholds(systems))


def _groups(
    title: str, figures: liveness.Figures, groups_of: Callable[[liveness.SystemFigures], Sequence[liveness.Group]]
) -> Table:
    rows = []
    for place, group in enumerate(groups_of(figures.systems[0])):
        told = [share(groups_of(system)[place].wrong) for system in figures.systems]
        rows.append((f"{group.title}: {group.presentations:,} pictures, wrong", told))
    return _across(title, rows, [system.name for system in figures.systems])


def _identification(figures: identification.Figures) -> Table:
    """Return a column for each system, in the largest gallery."""
    largest = [system.galleries[-1] for system in figures.systems]
    rows = [("No face found", [share(system.no_face) for system in figures.systems])]
    rows += [(name, [told(size) for size in largest]) for name, told in _searches(figures.systems[0].galleries[-1])]
    title = (
        f"{figures.enrolled:,} of {figures.persons:,} people enrolled; {figures.mated:,} searches for them,"
        f" {figures.strangers:,} for strangers"
    )
    return _across(title, rows, [system.name for system in figures.systems], _own_thresholds(figures.systems))


def _by_size(system: identification.SystemFigures) -> Table:
    """Return a column for each size of the gallery."""
    rows = [
        (name, [told(size) for size in system.galleries]) for name, told in _searches(system.galleries[-1], brief=True)
    ]
    sizes = [f"{size.people:,} people" for size in system.galleries]
    return _across(f"By size of the gallery, {system.name}", rows, sizes)


Told = Callable[[identification.GalleryFigures], str]


def _searches(sample: identification.GalleryFigures, *, brief: bool = False) -> list[tuple[str, Told]]:
    """Return what there is to tell of one gallery: a name, and how it reads."""
    tell = interval if brief else share
    rows: list[tuple[str, Told]] = [("Rank 1", lambda size: tell(size.rank_1))]
    if sample.at_policy is not None and sample.decided is not None:
        at = f"at {sample.at_policy.threshold:g}"
        rows += [
            (f"FPIR {at}", lambda size: tell(size.at_policy.fpir) if size.at_policy else NOTHING),
            (f"FNIR {at}", lambda size: tell(size.at_policy.fnir) if size.at_policy else NOTHING),
            ("Right person asked about", lambda size: tell(size.decided.found) if size.decided else NOTHING),
            ("· of these, others too", lambda size: tell(size.decided.ambiguous) if size.decided else NOTHING),
        ]
    for place, wanted in enumerate(sample.at_fpir):
        rows.append((f"FNIR at FPIR ≤ {power(wanted.fpir_wanted or 0)}", _fnir_at(place, tell)))
    rows.append(("Margin, lowest 5 %", lambda size: _number(size.margin_5_percent)))
    return rows


def _fnir_at(place: int, tell: Callable[[Share], str]) -> Told:
    def told(size: identification.GalleryFigures) -> str:
        at = size.at_fpir[place]
        return f"{tell(at.fnir)}, at {at.threshold:.4f}"

    return told


def _models(
    systems: Sequence[verification.SystemFigures | liveness.SystemFigures | identification.SystemFigures],
) -> Table:
    jobs = sorted({job for system in systems for job in system.models})
    rows = [(job, [system.models.get(job, NOTHING) for system in systems]) for job in jobs]
    return _across("Models, by name and hash", rows, [system.name for system in systems])


def _own_thresholds(
    systems: Sequence[verification.SystemFigures | liveness.SystemFigures | identification.SystemFigures],
) -> str:
    own = [system.name for system in systems if not system.policy_applies]
    if not own:
        return ""
    others = ", ".join(own)
    made_for = f"The policy's thresholds were made for {systems[0].name}"
    return f"{made_for}; compare {others} where both make equally many errors."


def _equal_error(error: EqualError | None) -> str:
    if error is None:
        return NOTHING
    most = max(error.false_accepts.high, error.false_rejects.high)
    return f"{percent(error.rate)}, at {error.threshold:.4f} [each error at most {percent(most)}]"


def _rate(value: float | None) -> str:
    return NOTHING if value is None else percent(value)


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.4f}"
