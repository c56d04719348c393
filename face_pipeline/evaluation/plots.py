"""How do the figures look? Drawings as SVG text, without a display and without a picture of anybody in them."""

import io
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Final

from face_pipeline.evaluation import identification, liveness, verification
from face_pipeline.evaluation.notice import Figures
from face_pipeline.evaluation.rates import Histogram, Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RIGHT, WRONG, GRAY = "#1d4ed8", "#d9480f", "#64748b"  # blue and orange: told apart without red and green
LINES: Final = ("-", "--", ":", "-.")
SIZE: Final = (6.4, 3.9)  # inches
TICKS: Final = (1e-6, 1e-5, 1e-4, 1e-3, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4)
STYLE: Final = {
    "svg.fonttype": "none",  # letters stay letters: small, and found by a search
    "font.family": "sans-serif",
    "font.size": 9,
    "text.parse_math": False,  # names come from labels: a dollar is a dollar
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e2e8f0",
    "axes.axisbelow": True,
    "legend.frameon": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """One drawing."""

    title: str
    caption: str
    svg: str


def plots(figures: Figures) -> list[Plot]:
    """Return what there is to see."""
    match figures:
        case verification.Figures():
            return _verification(figures)
        case liveness.Figures():
            return _liveness(figures)
        case identification.Figures():
            return _identification(figures)


def _verification(figures: verification.Figures) -> list[Plot]:
    drawn = [
        _histograms(
            f"Similarities, {system.name}",
            (("genuine", RIGHT, system.genuine), ("impostor", WRONG, system.impostor)),
            ((f"{system.deciding_threshold:g}", system.deciding_threshold),),
            axis="cosine",
        )
        for system in figures.systems
    ]
    curves = [(system.name, system.curve) for system in figures.systems]
    least = (1 / max(figures.impostor_pairs, 1), 1 / max(figures.genuine_pairs, 1))
    return [
        _det("Detection error trade-off", curves, least, axes=("FAR", "FRR")),
        *drawn,
        _errors("Errors by threshold", curves, axis="cosine", names=("FAR", "FRR")),
    ]


def _liveness(figures: liveness.Figures) -> list[Plot]:
    drawn = [
        _histograms(
            f"Live probabilities, {system.name}",
            (("bona fide", RIGHT, system.live), ("attack", WRONG, system.attack)),
            ((f"{system.threshold:g}", system.threshold),),
            axis="probability of live",
        )
        for system in figures.systems
    ]
    curves = [(system.name, system.curve) for system in figures.systems]
    names = ("attacks called live", "BPCER")
    return [
        _instruments(figures),
        *drawn,
        _errors("Errors by threshold, all instruments together", curves, axis="probability of live", names=names),
    ]


def _identification(figures: identification.Figures) -> list[Plot]:
    drawn = [_by_size(figures)]
    for system in figures.systems:
        largest = system.galleries[-1]
        sizes = [(f"{size.people:,} people", size.curve) for size in system.galleries][-len(LINES) :]
        least = (1 / max(largest.strangers, 1), 1 / max(largest.mated, 1))
        marked = ((f"{system.deciding_threshold:g}", system.deciding_threshold),)
        scores = (("enrolled, ranked first", RIGHT, largest.mated_scores), ("stranger", WRONG, largest.stranger_scores))
        drawn += [
            _det(f"FPIR against FNIR, {system.name}", sizes, least, axes=("FPIR", "FNIR")),
            _histograms(f"Best candidate among {largest.people:,}, {system.name}", scores, marked, axis="cosine"),
            _histograms(
                f"Margin to the second best among {largest.people:,}, {system.name}",
                (("enrolled, ranked first", RIGHT, largest.margins),),
                (),
                axis="difference of cosines",
            ),
        ]
    return drawn


def _drawn(title: str, caption: str, draw: "Callable[[Axes], None]") -> Plot:
    """Return a drawing; matplotlib is loaded here, because it takes half a second."""
    from matplotlib import rc_context  # noqa: PLC0415 - see above
    from matplotlib.figure import Figure  # noqa: PLC0415 - same

    style: Any = {
        **STYLE,
        "svg.hashsalt": title,
    }  # the same figures give the same file, and no two drawings of a page the same ids
    with rc_context(style), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the reader's own fonts draw the letters
        sheet = Figure(figsize=SIZE, layout="constrained")
        draw(sheet.add_subplot())
        text = io.StringIO()
        sheet.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return Plot(title=title, caption=caption, svg=_inline(text.getvalue(), title))


def _inline(svg: str, title: str) -> str:
    """Return the drawing as it can stand inside a page: without prolog, and with a name for those who cannot see it."""
    body = svg[svg.index("<svg") :]
    label = title.replace("&", "&amp;").replace('"', "&quot;")
    return re.sub(r"<svg ", f'<svg role="img" aria-label="{label}" ', body, count=1)


def _histograms(
    title: str,
    series: Sequence[tuple[str, str, Histogram]],
    marks: Sequence[tuple[str, float]],
    *,
    axis: str,
) -> Plot:
    def draw(axes: "Axes") -> None:
        for name, colour, bands in series:
            total = max(sum(bands.counts), 1)
            edges = [bands.start + bands.width * place for place in range(len(bands.counts) + 1)]
            percents = [100 * count / total for count in bands.counts]
            axes.stairs(percents, edges, fill=True, alpha=0.35, color=colour)
            axes.stairs(percents, edges, color=colour, label=f"{name}, {sum(bands.counts):,}")
        for name, threshold in marks:
            axes.axvline(threshold, color=GRAY, linestyle="--", linewidth=1, label=f"threshold {name}")
        filled = [
            bands.start + bands.width * place
            for _, _, bands in series
            for place, count in enumerate(bands.counts)
            if count
        ]
        if filled:
            axes.set_xlim(min(filled) - 0.05, max(filled) + 0.07)
        axes.set(xlabel=axis, ylabel="% of each kind")
        axes.legend()

    return _drawn(title, "Each kind adds up to 100 %.", draw)


def _det(
    title: str, curves: Sequence[tuple[str, Sequence[Point]]], least: tuple[float, float], *, axes: tuple[str, str]
) -> Plot:
    """Return both errors against each other, on axes that make normal scores a straight line."""
    warp = NormalDist().inv_cdf
    edges = [max(min(one / 2, 0.2), 1e-7) for one in least]

    def draw(sheet: "Axes") -> None:
        for line, colour, (name, points) in zip(LINES, (RIGHT, WRONG, GRAY, "black"), curves, strict=False):
            # An error that was not seen cannot be drawn on these axes: it is put onto their edge.
            x = [warp(min(max(point.false_accepts, edges[0]), 0.9999)) for point in points]
            y = [warp(min(max(point.false_rejects, edges[1]), 0.9999)) for point in points]
            sheet.plot(x, y, line, color=colour, linewidth=1.6, label=name)
        for side, one, edge in zip(("x", "y"), least, edges, strict=True):
            ticks = [tick for tick in TICKS if tick >= edge]
            getattr(sheet, f"set_{side}ticks")([warp(tick) for tick in ticks], [f"{100 * tick:g} %" for tick in ticks])
            getattr(sheet, f"set_{side}lim")(warp(edge), warp(0.5))
            span = sheet.axvspan if side == "x" else sheet.axhspan
            span(warp(edge), warp(min(3 * one, 0.49)), color=GRAY, alpha=0.12, linewidth=0)
        sheet.set(xlabel=axes[0], ylabel=axes[1])
        sheet.legend()

    told = (
        "Nearer to the lower left is better. Gray: less than three errors, where chance draws; on the edge: none seen."
    )
    return _drawn(title, told, draw)


def _errors(title: str, curves: Sequence[tuple[str, Sequence[Point]]], *, axis: str, names: tuple[str, str]) -> Plot:
    def draw(axes: "Axes") -> None:
        for line, (name, points) in zip(LINES, curves, strict=False):
            x = [point.threshold for point in points]
            axes.plot(
                x, [100 * point.false_accepts for point in points], line, color=WRONG, label=f"{names[0]}, {name}"
            )
            axes.plot(
                x, [100 * point.false_rejects for point in points], line, color=RIGHT, label=f"{names[1]}, {name}"
            )
        axes.set(xlabel=f"threshold, {axis}", ylabel="%")
        axes.legend()

    return _drawn(title, "A higher threshold turns one error into the other.", draw)


def _instruments(figures: liveness.Figures) -> Plot:
    """Return APCER of each instrument and BPCER, with their intervals."""

    def draw(axes: "Axes") -> None:
        labels: list[str] = []
        for offset, (system, colour) in enumerate(zip(figures.systems, (RIGHT, WRONG), strict=False)):
            groups = [*system.instruments, system.bona_fide]
            labels = [f"APCER {group.title}" for group in system.instruments] + ["BPCER"]
            for row, group in enumerate(groups):
                height = row + 0.18 * offset
                axes.plot([100 * group.wrong.low, 100 * group.wrong.high], [height, height], color=colour, linewidth=2)
                axes.plot(
                    [100 * (group.wrong.rate or 0)], [height], "o", color=colour, label=system.name if not row else ""
                )
        axes.set_yticks(range(len(labels)), labels)
        axes.invert_yaxis()
        axes.set(xlabel="% classified wrongly", xlim=(-2, 102))
        axes.legend()

    return _drawn("Wrong classifications with 95 % intervals", "A long line is a small sample.", draw)


def _by_size(figures: identification.Figures) -> Plot:
    def draw(axes: "Axes") -> None:
        for line, system in zip(LINES, figures.systems, strict=False):
            sizes = [size.people for size in system.galleries]
            missed = [100 * (1 - (size.rank_1.rate or 0)) for size in system.galleries]
            axes.plot(sizes, missed, line, marker="o", color=GRAY, label=f"not ranked first, {system.name}")
            fixed = [(size.people, size.at_policy) for size in system.galleries if size.at_policy]
            for name, colour, percents in (
                ("FPIR", WRONG, [100 * (at.fpir.rate or 0) for _, at in fixed]),
                ("FNIR", RIGHT, [100 * (at.fnir.rate or 0) for _, at in fixed]),
            ):
                if fixed:
                    label = f"{name} at {fixed[0][1].threshold:g}, {system.name}"
                    axes.plot([people for people, _ in fixed], percents, line, marker="o", color=colour, label=label)
        people = [size.people for size in figures.systems[0].galleries]
        axes.set_xscale("log")
        axes.set_xticks(people, [f"{size:,}" for size in people])
        axes.minorticks_off()
        axes.set(xlabel="people in the gallery", ylabel="%")
        axes.set_ylim(bottom=0)
        axes.legend()

    return _drawn(
        "Errors by size of the gallery", "Small galleries are cut from the same people as the large one.", draw
    )
