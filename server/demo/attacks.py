"""Those who must not pass: each is refused, and the reason stays inside."""

from typing import Final

from server.demo.face import SECONDS_MAX, STRANGER, at_the_window, bill
from server.demo.processes import Answer, StepFailedError
from server.demo.stage import Stage, Told

IN_ONE_GO: Final = ("flat-photo", "cut-out", "screen-replay", "virtual-camera", "bare-id-number")
"""Tried by one process, one after the other, in the order in which they are told."""


def flat_photo(stage: Stage) -> Told:
    """Hold a printed photo of the insured person before the cameras; a stranger comes to them meanwhile."""
    at_the_window(stage, "attack", "wrong-person", *bill(3), face=STRANGER)
    stage.running["stranger"] = stage.running.pop("attack")
    at_the_window(stage, "attack", *IN_ONE_GO, *bill(3))
    return _refusal("taken for a picture; nothing is said about the match", _spoof(stage, "flat-photo"))


def cut_out(stage: Stage) -> Told:
    """Hold the face, cut out of the photo, before a head."""
    return _refusal("right in colour, wrong in infrared and depth", _spoof(stage, "cut-out"))


def screen_replay(stage: Stage) -> Told:
    """Hold a screen that shows the insured person before the cameras."""
    return _refusal("taken for a screen; nothing is said about the match", _spoof(stage, "screen-replay"))


def wrong_person(stage: Stage) -> Told:
    """Let a stranger claim to be the insured person."""
    stranger = stage.running["stranger"]
    _, decision = stranger.wait_for("decision", within=SECONDS_MAX)
    stranger.wait(within=SECONDS_MAX)
    if decision["outcome"] != "NOT_MATCHED":
        raise StepFailedError(f"wrong-person got {decision['outcome']}, must get NOT_MATCHED")
    return _refusal("alive, but not the person claimed", decision)


def virtual_camera(stage: Stage) -> Told:
    """Record an honest session of this very terminal, and play it again with new times and a good seal."""
    told = _refusal(
        "recorded pictures of the real person, and each had been seen before", _spoof(stage, "virtual-camera")
    )
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


def _spoof(stage: Stage, kind: str) -> Answer:
    """Return the last decision that an attack got: a virtual camera first lets an honest person in."""
    seen: list[tuple[float, Answer]] = []
    _, ended = stage.running["attack"].wait_for("attack_ended", within=SECONDS_MAX, passing=seen)
    decisions = [event for _, event in seen if event["event"] == "decision"]
    if ended["kind"] != kind or not decisions or ended["how"] != "SPOOF_SUSPECTED":
        raise StepFailedError(f"{kind} got {ended['how']}, must get SPOOF_SUSPECTED")
    return decisions[-1]


def _refusal(line: str, decision: Answer) -> Told:
    ways = ", ".join(way.lower().replace("_", " ") for way in decision["other_ways"])
    return Told(
        line=line,
        notes=[f"offered instead: {ways}"] if ways else [],
        details={key: decision[key] for key in ("outcome", "liveness", "frames_used", "other_ways")},
    )
