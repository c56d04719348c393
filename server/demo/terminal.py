"""The terminal's steps: registered, enrolled, connected; and in the end renewed and revoked."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Final

from server.demo.processes import StepFailedError
from server.demo.stage import REGION, SERIAL_NUMBER, Stage, Told

SECONDS_MAX: Final = 20.0
CUT_SECONDS_MAX: Final = 1.0  # I2


def registered(stage: Stage) -> Told:
    """Add a site and register a terminal with its one-time token."""
    site = stage.platform("site", "add", "--name", "Demo Community Clinic", "--region", REGION, "--kind", "CLINIC")
    made = stage.platform(
        "terminal", "register", "--serial", SERIAL_NUMBER, "--site", site["site_id"], "--manufacturer", "Demo Works",
        "--model", "K1", "--certification", "DEMO-CERT-1", "--record", "DEMO-REC-1", "--with-token",
    )  # fmt: skip
    stage.known.update(terminal_id=made["terminal_id"], token=made["token"])
    return Told(
        line=f"{SERIAL_NUMBER}, class {made['terminal_class']}, at {site['name']}",
        notes=["one-time token, bound to serial number and site; only its hash rests"],
        details={"terminal_id": made["terminal_id"], "serial_number": SERIAL_NUMBER, "site_id": site["site_id"]},
    )


def enrolled(stage: Stage) -> Told:
    """Let the terminal make its key and trade the token for a certificate."""
    known = stage.known
    program = stage.terminal(
        "enroll", "--serial", SERIAL_NUMBER, "--platform-enroll", known["ready"]["enrollment"],
        "--root-fingerprint", known["root_fingerprint"], secret={"SHUALIAN_TERMINAL_TOKEN": known["token"]},
    )  # fmt: skip
    _, event = program.wait_for("enrolled", within=SECONDS_MAX)
    program.wait(within=SECONDS_MAX)
    return Told(
        line=f"key made in the terminal, certificate good until {event['not_after'][:10]}",
        notes=["nonce and key possession proven; the token is used up"],
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


def renewed(stage: Stage) -> Told:
    """Tell the terminal to renew its certificate, and see the old one retired by the first use of the new one."""
    with ThreadPoolExecutor(max_workers=1) as beside:
        sending = beside.submit(stage.platform, "command", "send", SERIAL_NUMBER, "RENEW_CERTIFICATE")
        _, event = stage.running["run"].wait_for("renewed", within=SECONDS_MAX)
        stage.running["run"].wait_for("connected", within=SECONDS_MAX)
        sending.result()
    shown = stage.platform("terminal", "show", SERIAL_NUMBER)
    statuses = sorted(certificate["status"] for certificate in shown["certificates"])
    if statuses != ["CURRENT", "RETIRED"]:
        raise StepFailedError(f"the certificates are {', '.join(statuses)}")
    return Told(
        line="told down the stream, new key and certificate, stream up again",
        notes=["the old certificate was retired when the new one was first used"],
        details={"not_after": event["not_after"], "certificates": statuses},
    )


def revoked(stage: Stage) -> Told:
    """Revoke the terminal from the command line, and see its stream end within a second."""
    answer = stage.platform("terminal", "revoke", stage.known["terminal_id"], "--reason", "end of the demo")
    arrived, event = stage.running["run"].wait_for("stream_ended", within=SECONDS_MAX)
    # From the moment the revocation was decided, on the platform's clock, to the line the terminal printed.
    cut_after = arrived - datetime.fromisoformat(answer["state_since"]).timestamp()
    if cut_after > CUT_SECONDS_MAX:
        raise StepFailedError(
            f"the stream was cut only after {cut_after:.1f} s, at most {CUT_SECONDS_MAX:.0f} s is allowed"
        )
    stage.running["run"].wait(within=SECONDS_MAX)
    return Told(
        line=f"its stream was cut after {cut_after * 1000:.0f} ms ({event['reason']})",
        notes=["from the decision in another process to the terminal's last line"],
        details={"cut_ms": round(cut_after * 1000), "reason": event["reason"]},
    )
