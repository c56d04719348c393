"""The platform's own steps: models, authority, listeners."""

import json
import time
import urllib.request
from pathlib import Path
from typing import Final

from server.demo.stage import Stage, Told
from server.programs import StepFailedError

READY_SECONDS_MAX: Final = 60.0
POLL_SECONDS: Final = 0.02


def begin(stage: Stage) -> None:
    """Have the certificate authority and every key file made."""
    stage.known["authority"] = stage.meanwhile(stage.platform, "ca", "init")


def models(stage: Stage) -> Told:
    """Make sure that every weight file is the one the manifest names."""
    files = stage.platform("models", "install")["files"]
    stage.known["portraits"] = {file["name"]: Path(file["path"]) for file in files if file["job"] == "portrait"}
    count = len(files) - len(stage.known["portraits"])
    line = f"{count} models, {len(stage.known['portraits'])} portraits, every SHA-256 right"
    return Told(line=line, details={"models": count, "fetched": sum(file["fetched"] for file in files)})


def authority(stage: Stage) -> Told:
    """Tell of the certificate authority and its keys."""
    made = stage.known["authority"].result()
    fingerprint = made["root_fingerprint_sha256"]
    stage.known.update(root_fingerprint=fingerprint, root_folder=made["take_offline"], issuers=[made["issuer_id"]])
    return Told(
        line=f"root {fingerprint[:8]}…{fingerprint[-8:]}, issuing CA until {made['issuing_not_after'][:10]}",
        notes=[f"{len(made['keys_made'])} key files, readable by their owner alone"],
        details={"root_fingerprint_sha256": fingerprint, "issuing_not_after": made["issuing_not_after"]},
    )


def next_authority(stage: Stage) -> Told:
    """Prepare another issuing authority, have the root sign it, and let it take over."""
    passphrase = stage.folder / "platform" / "keys" / "ca-passphrase"
    prepared = stage.platform(
        "ca", "prepare", "--root", stage.known["root_folder"], "--passphrase-file", str(passphrase),
        "--reason", "five years are over",
    )  # fmt: skip
    activated = stage.platform("ca", "activate", prepared["issuer_id"], "--reason", "five years are over")
    stage.known["issuers"].append(activated["issuer_id"])
    former, following = stage.known["issuers"]
    return Told(
        line=f"issuing CA {following[:8]}… signs from now on; {former[:8]}… still counts",
        notes=["same root: nothing to install in a terminal, no call is dropped"],
        details={"issuer_id": following, "former_issuer_id": former, "state": activated["state"]},
    )


def serving(stage: Stage) -> Told:
    """Start the platform as a process and wait until it says that it is ready."""
    ready_file = stage.folder / "ready.json"
    server = stage.start("platform", "shualian", "serve", "--ready-file", str(ready_file))
    until = time.monotonic() + READY_SECONDS_MAX
    while not ready_file.is_file():
        if not server.is_running or time.monotonic() > until:
            raise StepFailedError(f"the platform did not come up: {server.last_words()}")
        time.sleep(POLL_SECONDS)
    ready = json.loads(ready_file.read_text(encoding="utf-8"))
    with urllib.request.urlopen(f"http://{ready['http']}/readyz", timeout=10) as answer:
        status = answer.status
    stage.known["ready"] = ready
    return Told(
        line=f"one process, pid {ready['pid']}, /readyz answers {status}",
        notes=[
            f"{ready['enrollment']} enrollment, TLS",
            f"{ready['terminal']} terminals, mutual TLS",
            f"{ready['admin']} operators, mutual TLS",
            f"{ready['http']} metrics and health",
        ],
        details={key: ready[key] for key in ("pid", "enrollment", "terminal", "admin", "http")},
    )
