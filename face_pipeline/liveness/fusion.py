"""Is this a living person? The one place where cues become live, suspected or insufficient.

Everything here is a pure function of what the cues said. Four rules:

- Most cues are hard: one that says no ends in a suspicion (or, where it proves nothing worse, in "not enough").
- Passive model and terminal's own check are judges that err: each is one doubt. With one colour camera no doubt is
  borne; beside depth that agreed at rest and in every action, or infrared that did in a challenge, one is.
- Only depth makes a face solid: infrared tells screens and inks from skin, and not every ink, nor what it is worn on.
- Nobody is live without each needed cue: what is missing is never read as a yes (I10).

Adding a cue that says no never improves the end; the tests walk every combination.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from face_pipeline.frames import Assurance
from face_pipeline.liveness.cues import CaptureFindings, Cue, CueReading, CueSays, Reason, SealFinding
from face_pipeline.policy import FacePolicy

DOUBTS: Final = frozenset({Cue.PASSIVE, Cue.PASSIVE_SHARE, Cue.TERMINAL})
PROVES_NO_ATTACK: Final = frozenset({Cue.DELIVERY, Cue.CHALLENGE})
"""What an honest person may do as well: a bad line, the other side."""
SOLID: Final = frozenset({Cue.DEPTH, Cue.DEPTH_MOVED})
"""What must all speak for a face to be solid; in a session without a challenge that is the one at rest."""
IN_INFRARED: Final = frozenset({Cue.INFRARED, Cue.INFRARED_MOVED})


class Liveness(IntEnum):
    """What the cues amount to; the larger, the worse."""

    LIVE = 0
    INSUFFICIENT = 1
    SPOOF_SUSPECTED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Fusion:
    """What the cues amount to, and why."""

    liveness: Liveness
    reasons: tuple[Reason, ...]
    assurance: Assurance
    is_final: bool
    """Whether more frames could not change it."""


def fused(cues: Iterable[CueReading], policy: FacePolicy) -> Fusion:
    """Return what the cues amount to.

    Args:
        cues: at most one reading of each cue; a cue that is not there was not asked.
        policy: how many doubts infrared or depth bear.
    """
    readings = tuple(cues)
    against = [reading for reading in readings if reading.says is CueSays.AGAINST]
    doubts = {_judge(reading) for reading in against if reading.name in DOUBTS}
    is_borne = len(doubts) <= (policy.doubts_borne_solid if _may_be_borne(readings) else 0)
    attacks = [reading for reading in against if _is_attack(reading, is_borne=is_borne)]
    if attacks:
        return _end(Liveness.SPOOF_SUSPECTED, attacks)
    failures = [reading for reading in against if reading.name not in DOUBTS]
    if failures:
        return _end(Liveness.INSUFFICIENT, failures)
    is_vouched = _is_vouched(readings)
    missing = [reading for reading in readings if _is_missing(reading, is_vouched=is_vouched)]
    if missing or not readings or (doubts and not is_vouched):
        return _end(Liveness.INSUFFICIENT, missing, is_final=False)
    return Fusion(liveness=Liveness.LIVE, reasons=(), assurance=_assurance(readings), is_final=True)


def capture_cues(findings: CaptureFindings) -> tuple[CueReading, ...]:
    """Return what the way of the frames to us says."""
    seal = {
        SealFinding.NOT_ASKED: (CueSays.SILENT, None),
        SealFinding.VERIFIED: (CueSays.FOR, None),
        SealFinding.MISSING: (CueSays.SILENT, Reason.SEAL_MISSING),
        SealFinding.BROKEN: (CueSays.AGAINST, Reason.SEAL_BROKEN),
    }[findings.seal]
    is_replay = findings.replayed_frames > 0
    own = {None: CueSays.SILENT, True: CueSays.FOR, False: CueSays.AGAINST}[findings.terminal_says]
    return (
        CueReading(
            name=Cue.SEAL,
            says=seal[0],
            value=None,
            threshold=None,
            reason=seal[1],
            needed=findings.seal is not SealFinding.NOT_ASKED,
        ),
        CueReading(
            name=Cue.REPLAY,
            says=CueSays.AGAINST if is_replay else CueSays.FOR,
            value=float(findings.replayed_frames),
            threshold=0.0,
            reason=Reason.REPLAYED,
        ),
        CueReading(name=Cue.TERMINAL, says=own, value=None, threshold=None, reason=Reason.TERMINAL_DOUBTS),
    )


def _judge(reading: CueReading) -> Cue:
    """Return who doubts: the passive model is one judge, however often it is asked."""
    return Cue.PASSIVE if reading.name is Cue.PASSIVE_SHARE else reading.name


def _is_attack(reading: CueReading, *, is_borne: bool) -> bool:
    return not is_borne if reading.name in DOUBTS else reading.name not in PROVES_NO_ATTACK


def _is_missing(reading: CueReading, *, is_vouched: bool) -> bool:
    excused = is_vouched and reading.name in DOUBTS
    return reading.needed and reading.says is not CueSays.FOR and not excused


def _said(readings: tuple[CueReading, ...], names: frozenset[Cue]) -> set[CueSays]:
    """Return what one camera beside colour said; nothing of one that was not promised."""
    return {reading.says for reading in readings if reading.name in names}


def _vouching(readings: tuple[CueReading, ...]) -> tuple[set[CueSays], ...]:
    """Return what each camera said that may bear a doubt: in infrared a print held still can look like a face."""
    is_asked = any(reading.name is Cue.CHALLENGE for reading in readings)
    return tuple(_said(readings, names) for names in ((SOLID, IN_INFRARED) if is_asked else (SOLID,)))


def _may_be_borne(readings: tuple[CueReading, ...]) -> bool:
    """Return whether a camera speaks for the face so far, and neither against it."""
    is_denied = CueSays.AGAINST in _said(readings, SOLID | IN_INFRARED)
    return not is_denied and any(CueSays.FOR in words for words in _vouching(readings))


def _is_vouched(readings: tuple[CueReading, ...]) -> bool:
    """Return whether a camera spoke for the face all the way."""
    return _may_be_borne(readings) and any(words == {CueSays.FOR} for words in _vouching(readings))


def _assurance(readings: tuple[CueReading, ...]) -> Assurance:
    if _said(readings, SOLID) == {CueSays.FOR}:
        return Assurance.SOLID
    moved = any(reading.name is Cue.CHALLENGE and reading.says is CueSays.FOR for reading in readings)
    return Assurance.COLOUR if moved else Assurance.COLOUR_UNMOVED


def _end(liveness: Liveness, because: list[CueReading], *, is_final: bool = True) -> Fusion:
    """Return an end that is no yes; nothing stands behind it."""
    reasons = dict.fromkeys(reading.reason for reading in because if reading.reason is not None)
    return Fusion(liveness=liveness, reasons=tuple(reasons), assurance=Assurance.COLOUR_UNMOVED, is_final=is_final)
