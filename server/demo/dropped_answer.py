"""An insurer far away loses its answer: the platform once more, on a provincial core that books and hangs up."""

import json
import secrets
import shutil
import sqlite3
import time
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import uuid_utils

from server.commands.output import yuan
from server.demo.face import SECONDS_MAX, bill
from server.demo.platform import POLL_SECONDS, READY_SECONDS_MAX
from server.demo.stage import CARD_NUMBER, REGION, Stage, Told
from server.programs import Answer, Program, StepFailedError, ask, program

INSTITUTION: Final = "H11000000001"  # made up
SCRIPT: Final = """seed = 1
[[rule]]
fault = "commit_then_drop"
infno = ["2207"]
count = 1
"""
DATABASE: Final = "shualian.sqlite"
RESOLVED_EVERY: Final = "500ms"


def begin(stage: Stage) -> None:
    """Start a core that will drop an answer, and a second platform with the same people that asks it; pay a bill there.

    The second platform and its terminal run on copies of the first ones: all that differs is who the insurer is. They
    are copied here and now, because later steps change the first ones.
    """
    folder = stage.folder / "far-away"
    _copied(stage.folder / "platform", folder / "platform")
    shutil.copytree(stage.folder / "terminal", folder / "terminal")
    stage.known["dropped"] = stage.meanwhile(_paid, stage, folder)


def healed(stage: Stage) -> Told:
    """See that nobody knew whether it was paid, then that it was, and that both books have it once."""
    receipt, shown, booked = stage.known["dropped"].result()
    tried = [each["outcome"] for each in shown["tried"]]
    if shown["state"] != "SETTLED" or tried[:1] != ["NO_ANSWER"] or tried[-1] != "SETTLED":
        raise StepFailedError(f"{shown['state']} after {', '.join(tried)}; it must be in doubt first, then settled")
    if [row["state"] for row in booked] != ["SETTLED"] or booked[0]["fund_fen"] != receipt["pooled_fund_fen"]:
        raise StepFailedError(f"the core has {len(booked)} settlements, must have this one")
    return Told(
        line=f"{yuan(receipt['total_fen'])} booked, the answer lost: UNKNOWN, then SETTLED once on both books",
        notes=[
            "a provincial core booked it and hung up; the platform asked what became of it (5203)",
            f"nothing was sent twice: {booked[0]['setl_id']} at the core, {yuan(booked[0]['fund_fen'])} from the fund",
        ],
        details={
            "receipt_id": receipt["receipt_id"],
            "state": shown["state"],
            "tried": tried,
            "settlements_at_the_core": len(booked),
            "pooled_fund_fen": receipt["pooled_fund_fen"],
        },
    )


def _paid(stage: Stage, folder: Path) -> tuple[Answer, Answer, list[Answer]]:
    """Return the receipt, what the platform knows of the settlement, and what the core has booked."""
    data = folder / "platform"
    core = _core(stage, folder, data)
    serving = _second_platform(stage, folder, data, core)
    transaction_id = str(uuid_utils.uuid7())
    paying = stage.start(
        "paying far away", "shualian-terminal", "pay", *bill(9), "--card-file", "-", "--platform", serving["terminal"],
        "--transaction-id", transaction_id, "--state", str(folder / "terminal"), "--json",
        typed=json.dumps({"card_number": CARD_NUMBER, "pin": stage.known["pin"]}),
    )  # fmt: skip
    _, receipt = paying.wait_for("settled", within=SECONDS_MAX)
    shown = ask(
        [program("shualian"), "settlement", "show", transaction_id], env={**stage.env, "SHUALIAN_DATA_DIR": str(data)}
    )
    booked = _read(f"{core}/sim/books")["settlements"]
    for role in ("second platform", "core"):
        stage.running[role].stop()
    return receipt, shown, booked


def _copied(source: Path, data: Path) -> None:
    """Copy keys and database of a platform that is running; SQLite copies its own file as of one moment."""
    shutil.copytree(source, data, ignore=shutil.ignore_patterns(f"{DATABASE}*", "*.sock"))
    with closing(sqlite3.connect(source / DATABASE)) as one, closing(sqlite3.connect(data / DATABASE)) as other:
        one.backup(other)


def _core(stage: Stage, folder: Path, data: Path) -> str:
    """Start the core and return its address."""
    secret, script = data / "keys" / "fsi-secret", folder / "script.toml"
    secret.touch(mode=0o600)
    secret.write_text(secrets.token_hex(16), encoding="ascii")
    script.write_text(SCRIPT, encoding="utf-8")
    core = stage.start(
        "core", "shualian", "core-sim", "--books", str(folder / "core-books.sqlite"), "--script", str(script),
        "--secret-file", str(secret),
    )  # fmt: skip
    _, ready = core.wait_for("ready", within=READY_SECONDS_MAX)
    return str(ready["address"])


def _second_platform(stage: Stage, folder: Path, data: Path, core: str) -> Answer:
    """Start the platform on the copy, with the core as its insurer, and return where it listens."""
    settings = {
        "SHUALIAN_DATA_DIR": str(data),
        "SHUALIAN_INSURER_KIND": "fsi",
        "SHUALIAN_FSI_BASE_URL": core,
        "SHUALIAN_FSI_INSTITUTION_CODE": INSTITUTION,
        "SHUALIAN_FSI_INSTITUTION_NAME": "Demo Community Clinic",
        "SHUALIAN_FSI_REGION": REGION,
        "SHUALIAN_FSI_PAASID": "demo",
        "SHUALIAN_SETTLEMENT_RESOLVE_INTERVAL": RESOLVED_EVERY,
    }
    ready_file = folder / "ready.json"
    serving = stage.start("second platform", "shualian", "serve", "--ready-file", str(ready_file), secret=settings)
    return _ready(serving, ready_file)


def _ready(serving: Program, ready_file: Path) -> Answer:
    until = time.monotonic() + READY_SECONDS_MAX
    while not ready_file.is_file():
        if not serving.is_running or time.monotonic() > until:
            raise StepFailedError(f"the second platform did not come up: {serving.last_words()}")
        time.sleep(POLL_SECONDS)
    ready: Answer = json.loads(ready_file.read_text(encoding="utf-8"))
    return ready


def _read(address: str) -> dict[str, Any]:
    with urllib.request.urlopen(address, timeout=10) as answer:  # noqa: S310 - our own process, on this machine
        found: dict[str, Any] = json.load(answer)
    return found
