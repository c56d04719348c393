"""What must a reader know before the first number? Which pictures are simulated, and what the numbers are not."""

from face_pipeline.evaluation import identification, liveness, verification

Figures = verification.Figures | liveness.Figures | identification.Figures


def notice(figures: Figures, *, rolled_degrees: float = 0.0) -> str:
    """Return the first line of console, report and JSON."""
    match figures:
        case liveness.Figures():
            kinds = ", ".join(f"{count} {kind}" for kind, count in figures.simulated_kinds.items())
            told = f": {kinds}" if kinds else ""
            return f"{_simulated(figures)}{told}. Single pictures, not whole sessions."
        case verification.Figures(rolled_pictures=rolled) if rolled:
            of = f"{rolled:,} of {figures.pictures + rolled:,} pictures"
            also = f"; {_simulated(figures)}" if figures.simulated_pictures else ""
            return f"SIMULATED: {of} are others turned by {rolled_degrees:g} degrees in software{also}."
        case _:
            return f"{_simulated(figures)}."


def notes(figures: Figures, *, all_pairs: bool = False) -> list[str]:
    """Return what else a reader must know to read the numbers rightly."""
    match figures:
        case liveness.Figures():
            told = list(_LIVENESS)
        case identification.Figures():
            told = [*_ALWAYS, *_IDENTIFICATION, *_not_shown("FPIR", figures.fpirs_not_shown, figures.strangers)]
        case verification.Figures():
            many = [_ALL_PAIRS] if all_pairs else []
            told = [*_ALWAYS, *many, *_not_shown("FAR", figures.fars_not_shown, figures.impostor_pairs)]
    return [" ".join(sentence.split()) for sentence in told]


def _simulated(figures: Figures) -> str:
    if not figures.simulated_pictures:
        return f"No picture of these {figures.pictures:,} is labelled as simulated"
    return f"SIMULATED: {figures.simulated_pictures:,} of {figures.pictures:,} pictures"


def _not_shown(name: str, rates: tuple[float, ...], trials: int) -> list[str]:
    if not rates:
        return []
    listed = ", ".join(f"{rate:.0e}".replace("e-0", "e-") for rate in rates)
    best = f"{trials:,} trials without a single error would show {3 / max(trials, 1):.1e} at best"
    return [f"{name} {listed} is not shown: {best} (rule of three, ISO/IEC 19795-1)."]


_INTERVALS = "Brackets hold exact 95 % intervals (Clopper and Pearson), which take every trial as independent."
_ALWAYS = (
    _INTERVALS,
    """A threshold at a wanted error rate is read off these very pictures, and flatters a little; a policy's threshold
    was fixed before.""",
    "A picture in which no face is found counts as the right person refused and the wrong one not accepted.",
)
_ALL_PAIRS = """All pairs share pictures: a face that is like many others is counted often, so that the true uncertainty
    of FAR is larger than its interval."""
_IDENTIFICATION = (
    """FPIR: strangers for whom somebody is named. FNIR: enrolled people who are not named first. Both count a name only
    from the threshold on (ISO/IEC 19795-1).""",
    "The margin to the second best, and the second factor that the platform asks for, come on top.",
)
_LIVENESS = (
    """Words of ISO/IEC 30107-3. APCER: attacks called live, for each instrument by itself. BPCER: living people
    called an attack. Both are shares of the pictures in which a face was found; of the others APNRR and BPNRR tell
    how many there are.""",
    """ACER is the mean of the highest APCER and BPCER. An instrument with few pictures can have a high APCER by chance:
    see its interval.""",
    _INTERVALS,
    """The platform never decides on one picture, nor on this model alone; a simulated attack says little about a real
    one.""",
)
