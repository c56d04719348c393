"""Other patients, and another camera: who says nothing, who cannot move, and what one colour camera is good for."""

from typing import Final

from server.commands.output import yuan
from server.demo.face import PERSON, SECONDS_MAX, STRANGER, at_the_window, before_the_cameras, bill, picture, visited
from server.demo.stage import BILL_FEN, DOCTOR_CODE, ID_NUMBER, PLACE, Stage, Told
from server.programs import Program, StepFailedError

SEED: Final = "1"
"""A place and a light in which colour alone is beyond doubt: without depth some honest visits have to be repeated."""
LAST_FOUR: Final = {"SHUALIAN_TERMINAL_LAST_FOUR": ID_NUMBER[-4:]}


def identified(stage: Stage) -> Told:
    """Find out who stands there, among everybody known at the clinic, and be sure by four digits."""
    visit = visited(lambda: _say_nothing(stage))
    visit.program.wait(within=SECONDS_MAX)
    visit.demand("MATCHED")
    [asked] = [event for event in visit.seen if event["event"] == "second_factor_asked"]
    return Told(
        line=f"said nothing, and was found by the face: {visit.decision['person']['name']}",
        notes=["among all who are known at the clinic; then four digits of the ID number make sure"],
        details={"outcome": visit.decision["outcome"], "kinds": asked["kinds"]},
    )


def unmoved(stage: Stage) -> Told:
    """Pay for somebody who cannot turn the head: a doctor confirms with face and place in the place of the PIN."""
    visit = visited(lambda: _hold_still(stage))
    visit.demand("MATCHED")
    _, limit = visit.program.wait_for("staff_asked", within=SECONDS_MAX)
    _, staff = visit.program.wait_for("decision", within=SECONDS_MAX)
    if staff["outcome"] != "MATCHED":
        raise StepFailedError(f"the doctor got {staff['outcome']}, must get MATCHED")
    _, receipt = visit.program.wait_for("settled", within=SECONDS_MAX)
    visit.program.wait(within=SECONDS_MAX)
    if visit.accepted["actions"]:
        raise StepFailedError("somebody who cannot move was asked to")
    return Told(
        line=f"nothing was asked of the patient, a doctor confirmed: {yuan(receipt['total_fen'])} paid",
        notes=["the doctor's face and place stand in for the PIN; by themselves they pay nothing"],
        details={
            "actions": visit.accepted["actions"],
            "pin_free_limit_fen": limit["pin_free_limit_fen"],
            "receipt_id": receipt["receipt_id"],
        },
    )


def colour_only(stage: Stage) -> Told:
    """Hold the same session before one colour camera: good for less, because a screen that obeys may pass it."""
    visit = visited(lambda: _stand_before_colour(stage))
    visit.program.wait(within=SECONDS_MAX)
    visit.demand("MATCHED")
    free, most = visit.decision["pin_free_limit_fen"], visit.decision["amount_limit_fen"]
    return Told(
        line=f"pays {yuan(free)} without a PIN, {yuan(most)} at most",
        notes=["the same person, alive; but a video that obeys could fool a single colour camera"],
        details={"outcome": visit.decision["outcome"], "pin_free_limit_fen": free, "amount_limit_fen": most},
    )


def _say_nothing(stage: Stage) -> Program:
    cameras = before_the_cameras(stage, PERSON)
    return stage.terminal("face", "--identify", *cameras, role="identify", secret=LAST_FOUR)


def _hold_still(stage: Stage) -> Program:
    portrait, landmarks = picture(stage, STRANGER)
    return at_the_window(
        stage, "pay", "--cannot-move", *bill(2), "--staff-code", DOCTOR_CODE, "--at", PLACE,
        "--staff-portrait", portrait, "--staff-landmarks", landmarks, role="unmoved",
    )  # fmt: skip


def _stand_before_colour(stage: Stage) -> Program:
    return at_the_window(stage, "face", "--camera", "rgb", "--seed", SEED, "--amount-fen", str(BILL_FEN), role="colour")
