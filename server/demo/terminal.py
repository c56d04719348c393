"""The terminal's steps: made, enrolled, connected; and in the end moved to the next authority and revoked."""

from datetime import UTC, datetime, timedelta
from typing import Final

from server.demo.stage import MAKER, MODEL, PLACE, REGION, SERIAL_NUMBER, Stage, Told
from server.programs import StepFailedError

SECONDS_MAX: Final = 60.0
CUT_SECONDS_PROMISED: Final = 1.0  # I2
CERTIFICATION: Final = "DEMO-CERT-1"
CERTIFIED_FOR: Final = timedelta(days=365)


def begin(stage: Stage) -> None:
    """Found a maker in software, and let its factory make a terminal: that takes no platform."""
    stage.known["founded"] = stage.meanwhile(_founded, stage)
    stage.known["made"] = stage.meanwhile(_made, stage)


def approved(stage: Stage) -> Told:
    """Approve the maker; make a place for its terminal meanwhile."""
    north, east = PLACE.split(",")
    placing = stage.meanwhile(
        stage.platform, "site", "add", "--name", "Demo Community Clinic", "--region", REGION, "--kind", "CLINIC",
        "--latitude", north, "--longitude", east,
    )  # fmt: skip
    root_file = stage.known["founded"].result()
    maker = stage.platform("maker", "add", MAKER, "--root", root_file, "--reason", "factory audited")
    stage.known["site"] = placing.result()
    [root] = maker["root_fingerprints"]
    return Told(
        line=f"{MAKER}, by its factory root {root[:8]}…{root[-8:]}",
        notes=["a maker in software; who comes from its factory may enroll"],
        details={"manufacturer_id": maker["manufacturer_id"], "factory_root_sha256": root},
    )


def registered(stage: Stage) -> Told:
    """Certify a model, register the serial number of a terminal, and let the factory make it."""
    site = stage.known["site"]
    certifying = stage.meanwhile(
        stage.platform, "maker", "model", "add", MAKER, MODEL, "--class", "III", "--certification", CERTIFICATION,
        "--expires", f"{datetime.now(UTC) + CERTIFIED_FOR:%Y-%m-%d}", "--reason", "certificate seen",
    )  # fmt: skip
    made = stage.platform(
        "terminal", "register", "--serial", SERIAL_NUMBER, "--site", site["site_id"], "--manufacturer", MAKER,
        "--model", MODEL, "--certification", CERTIFICATION, "--record", "DEMO-REC-1",
    )  # fmt: skip
    model = certifying.result()
    stage.known["made"].result()
    stage.known["terminal_id"] = made["terminal_id"]
    return Told(
        line=f"{SERIAL_NUMBER}, class {made['terminal_class']}, at {site['name']}",
        notes=[f"a {MODEL}, certified up to class {model['terminal_class']}, its maker's key inside"],
        details={
            "terminal_id": made["terminal_id"],
            "serial_number": SERIAL_NUMBER,
            "site_id": site["site_id"],
            "model_id": model["model_id"],
        },
    )


def enrolled(stage: Stage) -> Told:
    """Let the terminal make its key, and prove by its factory identity that it may have a certificate."""
    known = stage.known
    program = stage.terminal(
        "enroll", "--platform-enroll", known["ready"]["enrollment"], "--root-fingerprint", known["root_fingerprint"]
    )
    _, event = program.wait_for("enrolled", within=SECONDS_MAX)
    program.wait(within=SECONDS_MAX)
    if event["terminal_id"] != known["terminal_id"]:
        raise StepFailedError(f"it enrolled as {event['terminal_id']}")
    return Told(
        line=f"key made in the terminal, certificate good until {event['not_after'][:10]}",
        notes=["let in by its factory identity: no token, nothing to type"],
        details={"terminal_id": event["terminal_id"], "not_after": event["not_after"]},
    )


def connected(stage: Stage) -> Told:
    """Open the control stream and keep it open."""
    program = stage.terminal("run", "--platform", stage.known["ready"]["terminal"])
    _, event = program.wait_for("connected", within=SECONDS_MAX)
    return Told(
        line=f"over mutual TLS, a heartbeat every {event['heartbeat_interval_seconds']:.0f} s",
        details={"terminal_id": event["terminal_id"]},
    )


def rotated(stage: Stage) -> Told:
    """Roll the fleet to the next authority, and see the old certificate retired by the first use of the new one."""
    former, following = stage.known["issuers"]
    stage.platform(
        "rollout", "start", "--action", "renew-certificate", "--issuer", former, "--groups", "100%",
        "--reason", "authority rolled",
    )  # fmt: skip
    _, event = stage.running["run"].wait_for("renewed", within=SECONDS_MAX)
    stage.running["run"].wait_for("connected", within=SECONDS_MAX)
    asking = stage.meanwhile(stage.platform, "ca", "show")
    shown = stage.platform("terminal", "show", SERIAL_NUMBER)
    statuses = sorted(certificate["status"] for certificate in shown["certificates"])
    if statuses != ["CURRENT", "RETIRED"]:
        raise StepFailedError(f"the certificates are {', '.join(statuses)}")
    issuers = {issuer["issuer_id"]: issuer for issuer in asking.result()["issuers"]}
    share, dependents = issuers[following]["share"], issuers[former]["dependents"]
    if (share, dependents) != ("100%", 0):
        raise StepFailedError(f"{share} of the fleet on the next authority, {dependents} on the former one")
    return Told(
        line=f"told by a rollout: new key, new certificate, {share} on the next CA",
        notes=["the old one was retired by the first use of the new one"],
        details={
            "not_after": event["not_after"],
            "certificates": statuses,
            "issuer_id": following,
            "share": share,
            "dependents_on_former": dependents,
        },
    )


def revoked(stage: Stage) -> Told:
    """Revoke the terminal from the command line, and see its stream end, within a second unless the machine is busy."""
    answer = stage.platform("terminal", "revoke", stage.known["terminal_id"], "--reason", "end of the demo")
    arrived, event = stage.running["run"].wait_for("stream_ended", within=SECONDS_MAX)
    # From the moment the revocation was decided, on the platform's clock, to the line the terminal printed.
    cut_after = arrived - datetime.fromisoformat(answer["state_since"]).timestamp()
    is_late = cut_after > CUT_SECONDS_PROMISED
    stage.running["run"].wait(within=SECONDS_MAX)
    return Told(
        line=f"its stream was cut after {cut_after * 1000:.0f} ms ({event['reason']})",
        notes=[
            "from the decision in another process to the terminal's last line",
            *(["more than the second that is promised: is this machine busy with other things?"] if is_late else []),
        ],
        details={"cut_ms": round(cut_after * 1000), "reason": event["reason"]},
    )


def _founded(stage: Stage) -> str:
    """Return the file with the root of a new maker."""
    founding = stage.start("maker", "shualian-terminal", "factory", "init", "--maker", MAKER, *_plant(stage), "--json")
    _, event = founding.wait_for("founded", within=SECONDS_MAX)
    return str(event["root"])


def _made(stage: Stage) -> None:
    """Have the terminal made, once there is a factory."""
    stage.known["founded"].result()
    making = stage.terminal("factory", "make", "--serial", SERIAL_NUMBER, *_plant(stage))
    making.wait_for("made", within=SECONDS_MAX)


def _plant(stage: Stage) -> tuple[str, str]:
    """Return the option that names the maker's folder."""
    return "--folder", str(stage.folder / "factory")
