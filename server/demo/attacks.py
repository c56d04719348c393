"""Those who must not pass: each is refused, and the reason stays inside."""

from typing import Final

from server.demo.face import SECONDS_MAX, STRANGER, at_the_window, bill, visited
from server.demo.stage import Stage, Told
from server.programs import Answer, Program, StepFailedError

REFUSED: Final = ("SPOOF_SUSPECTED", "INSUFFICIENT")
"""Both say no: that it is a picture, or that nothing living was seen in time."""
IN_ONE_GO: Final = ("flat-photo", "cut-out", "screen-replay", "virtual-camera", "bare-id-number")
"""Tried by one process, one after the other, in the order in which they are told."""


def begin(stage: Stage) -> None:
    """Let those come who must not pass: one with pictures, one with a living face that is somebody else's."""
    at_the_window(stage, "attack", *IN_ONE_GO, *bill(3))
    _claim_falsely(stage)


def flat_photo(stage: Stage) -> Told:
    """Hold a printed photo of the insured person before the cameras."""
    return _refusal("taken for a picture; nothing is said about the match", _spoof(stage, "flat-photo"))


def cut_out(stage: Stage) -> Told:
    """Hold the face, cut out of the photo, before a head."""
    return _refusal("right in colour, wrong in infrared and depth", _spoof(stage, "cut-out"))


def screen_replay(stage: Stage) -> Told:
    """Hold a screen that shows the insured person before the cameras."""
    return _refusal("taken for a screen; nothing is said about the match", _spoof(stage, "screen-replay"))


def wrong_person(stage: Stage) -> Told:
    """Let a stranger claim to be the insured person."""
    visit = visited(lambda: _claim_falsely(stage), started=stage.running["stranger"])
    visit.demand("NOT_MATCHED")
    return _refusal("alive, but not the person claimed", visit.decision)


def virtual_camera(stage: Stage) -> Told:
    """Record an honest session of this very terminal, and play it again with new times and a good seal."""
    told = _refusal("pictures of the real person, each seen before", _spoof(stage, "virtual-camera"))
    return Told(
        line=told.line,
        notes=["played by the terminal itself: new times, a good seal, turned as asked"],
        details=told.details,
    )


def bare_id_number(stage: Stage) -> Told:
    """Try to settle with nothing but an ID number."""
    program = stage.running["attack"]
    _, refused = program.wait_for("refused", within=SECONDS_MAX)
    program.wait(within=SECONDS_MAX)
    return Told(
        line=f"{refused['reason']}: an ID number alone pays nothing",
        details={"reason": refused["reason"], "code": refused["code"]},
    )


def _claim_falsely(stage: Stage) -> Program:
    return at_the_window(stage, "attack", "wrong-person", *bill(3), face=STRANGER, role="stranger")


def _spoof(stage: Stage, kind: str) -> Answer:
    """Return the last decision that an attack got: a virtual camera first lets an honest person in."""
    seen: list[tuple[float, Answer]] = []
    _, ended = stage.running["attack"].wait_for("attack_ended", within=SECONDS_MAX, passing=seen)
    decisions = [event for _, event in seen if event["event"] == "decision"]
    if ended["kind"] != kind or not decisions or ended["how"] not in REFUSED:
        raise StepFailedError(f"{kind} got {ended['how']}, must be refused")
    return decisions[-1]


def _refusal(line: str, decision: Answer) -> Told:
    if decision["outcome"] == "INSUFFICIENT":
        line = "not seen alive; nothing is said about the match"
    ways = ", ".join(way.lower().replace("_", " ") for way in decision["other_ways"])
    return Told(
        line=line,
        notes=[f"offered instead: {ways}"] if ways else [],
        details={key: decision[key] for key in ("outcome", "liveness", "frames_used", "other_ways")},
    )
