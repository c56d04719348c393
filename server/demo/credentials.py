"""The credential's steps: activated with a face, shown as a code that pays, and paying for a child."""

import json
from typing import Final

from server.commands.output import yuan
from server.demo.face import PERSON, SECONDS_MAX, at_the_window
from server.demo.stage import CARD_NUMBER, REGION, Stage, Told
from server.programs import Answer, StepFailedError

CHILD_NAME: Final = "赵溪"  # made up
CHILD_ID_NUMBER: Final = "990101201705146627"  # made up; only its checksum is real
CODE_BILL_FEN: Final = 12_000
CHILD_BILL_FEN: Final = 4_500
"""Below what a code pays without a PIN, and a child's small one."""


def begin(stage: Stage) -> None:
    """Let the insured person come back to the window, beside those who must not pass."""
    stage.known["credential"] = stage.meanwhile(_come_back, stage)


def activated(stage: Stage) -> Told:
    """Tell how the credential was activated."""
    done = stage.known["credential"].result()["activated"]
    return Told(
        line=f"credential of {done['person']} active, by name, number and a face that the register knows",
        notes=["the head was not to be turned: the depth camera is asked instead; what this signs pays nothing"],
        details={"credential_id": done["credential_id"], "is_reissued": done["is_reissued"]},
    )


def code(stage: Stage) -> Told:
    """Tell how a code paid, which lives for seconds and is used up with the bill."""
    known = stage.known["credential"].result()
    receipt, again = known["by_code"], known["code_again"]
    if again["reason"] != "CODE_USED":
        raise StepFailedError(f"the code, shown again, got {again['reason']}")
    return Told(
        line=f"a code for 30 seconds, scanned: {yuan(receipt['total_fen'])} paid for {receipt['patient']}",
        notes=["scanned a second time: CODE_USED"],
        details={"receipt_id": receipt["receipt_id"], "again": again["reason"]},
    )


def family(stage: Stage) -> Told:
    """Tell how the credential paid for a child."""
    receipt = stage.known["credential"].result()["for_child"]
    if receipt["payer"] == receipt["patient"]:
        raise StepFailedError("the receipt does not say who paid for whom")
    return Told(
        line=f"{receipt['payer']} paid {yuan(receipt['total_fen'])} for {receipt['patient']}, a child",
        notes=["bound on the word of the guardian in the register; from sixteen on they would show their own face"],
        details={"receipt_id": receipt["receipt_id"], "payer": receipt["payer"], "patient": receipt["patient"]},
    )


def _come_back(stage: Stage) -> dict[str, Answer]:
    """Activate, have a code made, pay with it twice, bind a child, pay for it: one after the other, as one person."""
    adding = stage.meanwhile(
        stage.platform, "person", "add", "--name", CHILD_NAME, "--id-number", CHILD_ID_NUMBER, "--region", REGION,
        "--no-pin", "--guardian", stage.known["person_id"],
    )  # fmt: skip
    program = at_the_window(stage, "activate", "--cannot-move", face=PERSON)
    _, done = program.wait_for("activated", within=SECONDS_MAX)
    program.wait(within=SECONDS_MAX)
    shown = str(stage.folder / "code")
    _asked(stage, "code", "--out", shown, "--card-file", "-", event="code_issued", typed=_card(stage))
    bill = ("--total-fen", str(CODE_BILL_FEN), "--code-file", shown)
    by_code = _asked(stage, "pay", *bill, "--bill-number", "BILL-4", event="settled")
    again = _asked(stage, "pay", *bill, "--bill-number", "BILL-5", event="failed")
    adding.result()
    (stage.folder / "child.json").write_text(
        json.dumps({"id_number": CHILD_ID_NUMBER, "name": CHILD_NAME}), encoding="utf-8"
    )
    bound = _asked(
        stage, "relatives", "bind", "--relative", str(stage.folder / "child.json"), "--card-file", "-", event="bound",
        typed=_card(stage),
    )  # fmt: skip
    for_child = _asked(
        stage, "pay", "--total-fen", str(CHILD_BILL_FEN), "--bill-number", "BILL-6", "--card-file", "-", "--relative",
        bound["binding_id"], event="settled", typed=_card(stage),
    )  # fmt: skip
    return {"activated": done, "by_code": by_code, "code_again": again, "for_child": for_child}


def _asked(stage: Stage, verb: str, *arguments: str, event: str, typed: str = "") -> Answer:
    """Return one event of a verb that ends by itself."""
    program = stage.terminal(
        verb, *arguments, "--platform", stage.known["ready"]["terminal"], role=f"credential-{verb}", typed=typed
    )
    _, told = program.wait_for(event, within=SECONDS_MAX)
    program.wait(within=SECONDS_MAX)
    return told


def _card(stage: Stage) -> str:
    """Return what goes over standard input: arguments can be read by every user of the machine."""
    return json.dumps({"card_number": CARD_NUMBER, "pin": stage.known["pin"]})
