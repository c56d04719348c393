"""Other patients, and another terminal: who says nothing, who cannot move, and what one colour camera is good for."""

from typing import Final

from server.commands.output import yuan
from server.demo.face import PERSON, SECONDS_MAX, STRANGER, at_the_window, before_the_cameras, bill, picture
from server.demo.processes import Answer, StepFailedError
from server.demo.stage import BILL_FEN, DOCTOR_CODE, ID_NUMBER, PLACE, Stage, Told

SEED: Final = "1"
"""A place and a light in which colour alone is beyond doubt: without depth some honest visits have to be repeated."""
LAST_FOUR: Final = {"SHUALIAN_TERMINAL_LAST_FOUR": ID_NUMBER[-4:]}


def identified(stage: Stage) -> Told:
    """Find out who stands there, among everybody known at the clinic, and be sure by four digits."""
    program = stage.terminal("face", "--identify", *before_the_cameras(stage, PERSON), secret=LAST_FOUR)
    _, asked = program.wait_for("second_factor_asked", within=SECONDS_MAX)
    _, decision = program.wait_for("decision", within=SECONDS_MAX)
    program.wait(within=SECONDS_MAX)
    _demand(decision, "MATCHED")
    return Told(
        line=f"said nothing, and was found by the face: {decision['person']['name']}",
        notes=["among all who are known at the clinic; then four digits of the ID number make sure"],
        details={"outcome": decision["outcome"], "kinds": asked["kinds"]},
    )


def unmoved(stage: Stage) -> Told:
    """Pay for somebody who cannot turn the head: a doctor confirms with face and place in the place of the PIN."""
    portrait, landmarks = picture(stage, STRANGER)
    program = at_the_window(
        stage, "pay", "--cannot-move", *bill(2), "--staff-code", DOCTOR_CODE, "--at", PLACE,
        "--staff-portrait", portrait, "--staff-landmarks", landmarks,
    )  # fmt: skip
    _, accepted = program.wait_for("accepted", within=SECONDS_MAX)
    _, patient = program.wait_for("decision", within=SECONDS_MAX)
    _demand(patient, "MATCHED")
    _, limit = program.wait_for("staff_asked", within=SECONDS_MAX)
    _, staff = program.wait_for("decision", within=SECONDS_MAX)
    _demand(staff, "MATCHED")
    _, receipt = program.wait_for("settled", within=SECONDS_MAX)
    program.wait(within=SECONDS_MAX)
    if accepted["actions"]:
        raise StepFailedError("somebody who cannot move was asked to")
    return Told(
        line=f"nothing was asked of the patient, a doctor confirmed: {yuan(receipt['total_fen'])} paid",
        notes=["the doctor's face and place stand in for the PIN; by themselves they pay nothing"],
        details={
            "actions": accepted["actions"],
            "pin_free_limit_fen": limit["pin_free_limit_fen"],
            "receipt_id": receipt["receipt_id"],
        },
    )


def colour_only(stage: Stage) -> Told:
    """Hold the same session before one colour camera: good for less, because a screen that obeys may pass it."""
    program = at_the_window(stage, "face", "--camera", "rgb", "--seed", SEED, "--amount-fen", str(BILL_FEN))
    _, decision = program.wait_for("decision", within=SECONDS_MAX)
    program.wait(within=SECONDS_MAX)
    _demand(decision, "MATCHED")
    free, most = decision["pin_free_limit_fen"], decision["amount_limit_fen"]
    return Told(
        line=f"pays {yuan(free)} without a PIN, {yuan(most)} at most",
        notes=["the same person, alive; but a video that obeys could fool a single colour camera"],
        details={"outcome": decision["outcome"], "pin_free_limit_fen": free, "amount_limit_fen": most},
    )


def _demand(decision: Answer, outcome: str) -> None:
    if decision["outcome"] != outcome:
        raise StepFailedError(f"got {decision['outcome']}, must get {outcome}")
