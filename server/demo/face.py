"""The patient's steps: enrolled from a portrait, recognised, settled."""

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from server.commands.output import yuan
from server.demo.stage import (
    ACCOUNT_FEN,
    BILL_FEN,
    CARD_NUMBER,
    DOCTOR_CODE,
    DOCTOR_NAME,
    FUND_FEN,
    ID_NUMBER,
    NOT_COVERED_FEN,
    PERSON_NAME,
    REGION,
    Stage,
    Told,
)
from server.programs import Answer, Program, StepFailedError

SECONDS_MAX: Final = 90.0
PERSON: Final = "grace_hopper"
STRANGER: Final = "astronaut"
"""Whose face is not the insured person's: the doctor's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """How one face session went."""

    program: Program
    accepted: Answer
    seen: Sequence[Answer]
    """What the terminal told between the beginning and the decision."""
    decision: Answer

    def demand(self, outcome: str) -> None:
        """Go on only if this was the outcome."""
        if self.decision["outcome"] != outcome:
            raise StepFailedError(f"got {self.decision['outcome']}, must get {outcome}")


def begin(stage: Stage) -> None:
    """Find out how the two portraits lie, and take a picture of the doctor: that takes no platform."""
    for name in (PERSON, STRANGER):
        stage.known[f"camera of {name}"] = stage.meanwhile(_prepare_camera, stage, name)
    stage.known["doctor's picture"] = stage.meanwhile(_doctors_picture, stage)


def enroll(stage: Stage) -> None:
    """Begin to add the people of the clinic, and fund the region that will pay for them."""
    fund = ("ledger", "fund", "--region", REGION, "--amount-fen", str(FUND_FEN))
    stage.known["added"] = stage.meanwhile(_add_person, stage)
    stage.known["beside the person"] = [
        stage.meanwhile(stage.platform, *fund), stage.meanwhile(_add_doctor, stage), stage.known[f"camera of {PERSON}"]
    ]  # fmt: skip


def person(stage: Stage) -> Told:
    """Add the insured person with face, card, PIN and money, and a doctor."""
    added = stage.known["added"].result()
    for other in stage.known["beside the person"]:
        other.result()
    stage.known["person_id"] = added["person_id"]
    return Told(
        line=f"{added['masked_name']} ({added['masked_id_number']}), {yuan(ACCOUNT_FEN)} in the account",
        notes=["made up, like everybody here; the template rests encrypted, the portrait is not kept"],
        details={"person_id": added["person_id"], "balance_fen": ACCOUNT_FEN},
    )


def session(stage: Stage) -> Told:
    """Stand before the cameras: guidance, challenge, liveness in three kinds of light, seal, match."""
    visit = visited(lambda: at_the_window(stage, "pay", "--repeat", *bill(1)))
    visit.demand("MATCHED")
    accepted, decision = visit.accepted, visit.decision
    return Told(
        line=f"alive, and it is {decision['person']['name']} ({decision['person']['id_number']})",
        notes=[
            f"consent recorded, then asked at random: {_asked(accepted['actions'])}",
            *_guidance(accepted, visit.seen),
            "colour, infrared and depth agree; the frames are sealed with the terminal's key",
            f"decided {decision['decision_ms']} ms after the last frame needed; {decision['frames_used']} frames",
        ],
        details={
            "outcome": decision["outcome"],
            "liveness": decision["liveness"],
            "challenge_passed": decision["challenge_passed"],
            "actions": accepted["actions"],
            "guidance": [event["hint"] for event in visit.seen if event["event"] == "guidance"],
            "pin_free_limit_fen": decision["pin_free_limit_fen"],
            "sealed": any(event["event"] == "sealed" for event in visit.seen),
            "frames_used": decision["frames_used"],
            "decision_ms": decision["decision_ms"],
        },
    )


def quote(stage: Stage) -> Told:
    """Ask who would pay what."""
    _, event = stage.running["pay"].wait_for("quote", within=SECONDS_MAX)
    pin = "a PIN is needed" if event["pin_required"] else "no PIN needed"
    return Told(
        line=f"a bill of {yuan(event['total_fen'])}, {yuan(NOT_COVERED_FEN)} of it not covered; {pin}",
        details={**_shares(event), "pin_required": event["pin_required"]},
    )


def settled(stage: Stage) -> Told:
    """Settle as quoted; the assertion of the face is used up in the same transaction."""
    _, receipt = stage.running["pay"].wait_for("settled", within=SECONDS_MAX)
    shares = _shares(receipt)
    balance = receipt["personal_account_balance_fen"]
    if balance != ACCOUNT_FEN - shares["personal_account_fen"]:
        raise StepFailedError(f"the account holds {yuan(balance)} after paying {yuan(shares['personal_account_fen'])}")
    stage.known["receipt"] = receipt
    return Told(
        line=f"receipt {receipt['receipt_id']}",
        notes=[
            f"pooled fund       {yuan(shares['pooled_fund_fen']):>9}",
            f"personal account  {yuan(shares['personal_account_fen']):>9}, {yuan(balance)} left",
            f"self-pay          {yuan(shares['self_pay_fen']):>9}",
        ],
        details={"receipt_id": receipt["receipt_id"], **shares, "personal_account_balance_fen": balance},
    )


def repeated(stage: Stage) -> Told:
    """Send the very same request again, as after a lost answer; look into the books as well."""
    program, receipt = stage.running["pay"], stage.known["receipt"]
    _, again = program.wait_for("repeated", within=SECONDS_MAX)
    program.wait(within=SECONDS_MAX)
    balance = stage.platform("person", "show", stage.known["person_id"])["balance_fen"]
    if not again["same_receipt"] or again["receipt_id"] != receipt["receipt_id"]:
        raise StepFailedError("the repetition got another receipt")
    if balance != receipt["personal_account_balance_fen"]:
        raise StepFailedError("the repetition was debited again")
    return Told(
        line=f"same receipt, no second debit: the account still holds {yuan(balance)}",
        details={"receipt_id": again["receipt_id"], "same_receipt": True, "balance_fen": balance},
    )


def _add_person(stage: Stage) -> Answer:
    """The PIN goes over standard input: arguments can be read by every user of the machine."""
    stage.known["pin"] = f"{secrets.randbelow(1_000_000):06d}"
    return stage.platform(
        "person", "add", "--name", PERSON_NAME, "--id-number", ID_NUMBER, "--region", REGION,
        "--card-number", CARD_NUMBER, "--pin-file", "-", "--portrait", str(stage.known["portraits"][PERSON]),
        "--balance-fen", str(ACCOUNT_FEN), "--site", stage.known["site"]["site_id"],
        typed=f"{stage.known['pin']}\n",
    )  # fmt: skip


def _doctors_picture(stage: Stage) -> str:
    """Return a picture of the doctor by the terminal's camera, as a clinic would take it: the portrait is small."""
    stage.known[f"camera of {STRANGER}"].result()
    portrait, landmarks = picture(stage, STRANGER)
    taken = stage.start(
        "picture", "shualian-terminal", "picture", str(stage.folder), "--camera", "rgb", "--portrait", portrait,
        "--landmarks", landmarks, "--json",
    )  # fmt: skip
    _, event = taken.wait_for("picture", within=SECONDS_MAX)
    return str(event["path"])


def _add_doctor(stage: Stage) -> None:
    stage.platform(
        "practitioner", "add", "--code", DOCTOR_CODE, "--name", DOCTOR_NAME, "--site", stage.known["site"]["site_id"],
        "--portrait", stage.known["doctor's picture"].result(),
    )  # fmt: skip


def _prepare_camera(stage: Stage, name: str) -> None:
    """Write where eyes, nose and mouth are: the simulated camera turns the head around them."""
    landmarks = stage.platform("face", "landmarks", str(stage.known["portraits"][name]))
    (stage.folder / f"{name}.json").write_text(json.dumps(landmarks), encoding="utf-8")


def at_the_window(stage: Stage, verb: str, *arguments: str, face: str = PERSON, role: str = "") -> Program:
    """Start a verb of the terminal with somebody before its cameras, who claims to be the insured person.

    Who that is goes over standard input: arguments can be read by every user of the machine.
    """
    return stage.terminal(
        verb, *arguments, "--claim", "-", *before_the_cameras(stage, face), role=role,
        typed=json.dumps({"id_number": ID_NUMBER, "name": PERSON_NAME}),
    )  # fmt: skip


def visited(start: Callable[[], Program], *, started: Program | None = None) -> Visit:
    """Return how a face session went; of whom nothing could be told looks into the cameras once more.

    Args:
        start: starts the terminal's program.
        started: what `start` has started already, if it has.
    """
    visit = _visit(started or start())
    if visit.decision["outcome"] != "INSUFFICIENT":
        return visit
    visit.program.wait(within=SECONDS_MAX)
    return _visit(start())


def _visit(program: Program) -> Visit:
    _, accepted = program.wait_for("accepted", within=SECONDS_MAX)
    seen: list[tuple[float, Answer]] = []
    _, decision = program.wait_for("decision", within=SECONDS_MAX, passing=seen)
    return Visit(program=program, accepted=accepted, seen=[event for _, event in seen], decision=decision)


def before_the_cameras(stage: Stage, face: str) -> tuple[str, ...]:
    """Return the options that put somebody before the cameras of the platform's terminal."""
    portrait, landmarks = picture(stage, face)
    return ("--platform", stage.known["ready"]["terminal"], "--portrait", portrait, "--landmarks", landmarks)


def picture(stage: Stage, face: str) -> tuple[str, str]:
    """Return the files that the simulated cameras make somebody of: the portrait, and where its five points are."""
    return str(stage.known["portraits"][face]), str(stage.folder / f"{face}.json")


def bill(number: int) -> tuple[str, ...]:
    """Return the options that name a bill to pay."""
    amounts = ("--total-fen", str(BILL_FEN), "--not-covered-fen", str(NOT_COVERED_FEN))
    return (*amounts, "--bill-number", f"BILL-{number}")


def _asked(actions: Sequence[str]) -> str:
    return ", then ".join(action.lower().replace("_", " ") for action in actions)


def _guidance(accepted: Answer, seen: Sequence[Answer]) -> list[str]:
    """Return what the person was told, each hint once in a row, with the time since the camera went on."""
    told: list[str] = []
    last = ""
    for event in seen:
        if event["event"] == "guidance" and event["hint"] != last:
            last = event["hint"]
            seconds = (event["ms"] - accepted["ms"]) / 1000
            told.append(f"{seconds:4.1f} s  “{event['en']}”")
    return told


def _shares(event: Mapping[str, Any]) -> dict[str, int]:
    names = ("total_fen", "pooled_fund_fen", "personal_account_fen", "self_pay_fen")
    return {name: int(event[name]) for name in names}
