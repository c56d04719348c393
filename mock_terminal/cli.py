"""`shualian-terminal`: each verb of a terminal, with exit codes that a script can act on."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import uuid_utils

from mock_terminal import attack as attacks
from mock_terminal.attack import Attack, Attempt
from mock_terminal.camera import Camera, Portrait
from mock_terminal.client import root_with_fingerprint
from mock_terminal.connection import Connection
from mock_terminal.errors import (
    InputError,
    OutcomeUnknownError,
    PlatformRefusedError,
    PortraitError,
    StateError,
    TerminalError,
    UnreachableError,
)
from mock_terminal.face import Claim, Sitting, authenticate, outcome_name
from mock_terminal.folder import Folder
from mock_terminal.inputs import card_from, claim_from, pin_from, roots_from
from mock_terminal.journal import Journal
from mock_terminal.patient import Patient
from mock_terminal.payment import DIED, Cashier, DieAt, Order
from mock_terminal.report import Reporter
from mock_terminal.scenes import Scene
from mock_terminal.terminal import ENDED_FOR_GOOD
from mock_terminal.terminal import enroll as enroll_terminal
from mock_terminal.terminal import renew as renew_terminal
from shualian.terminal.v1 import settlement_pb2, types_pb2


class Exit(IntEnum):
    """How a verb ended."""

    OK = 0
    """What was wanted happened; for `attack`: the platform refused."""
    ACCEPTED = 1
    """`attack`: the platform let it pass. Anything else: a fault of this program."""
    USAGE = 2
    """The command line, a file it names, or the state folder cannot be used."""
    REFUSED = 3
    """The platform said no; the reason is in the last event."""
    NOT_MATCHED = 4
    """Alive, but not the claimed person."""
    SPOOF_SUSPECTED = 5
    """The platform saw signs of a picture or a screen."""
    REVOKED = 6
    """This terminal's certificate is of no use any more: enroll it again."""
    UNREACHABLE = 7
    """No answer from the platform."""
    OUTCOME_UNKNOWN = 8
    """It may have been paid or not; `resume` finds out."""
    INSUFFICIENT = 9
    """Time ran out before the platform had seen enough."""
    CONSENT_REFUSED = 10
    """The person did not agree; other ways to pay are in the last event."""
    INTERRUPTED = 130
    """Stopped at the keyboard; a payment under way stays open in the journal, and `resume` finds out."""
    DIED = DIED
    """`pay --die-at`: dropped dead as told."""


_DECISIONS: Final = {
    "NOT_MATCHED": Exit.NOT_MATCHED,
    "SPOOF_SUSPECTED": Exit.SPOOF_SUSPECTED,
    "INSUFFICIENT": Exit.INSUFFICIENT,
    "CONSENT_REFUSED": Exit.CONSENT_REFUSED,
}

app = typer.Typer(
    name="shualian-terminal",
    help="A medical-insurance terminal in software.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Exit codes: " + ", ".join(f"{code.value} {code.name.lower()}" for code in Exit),
)

State = Annotated[Path, typer.Option(help="Folder of this terminal's keys and journal.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line for each event.")]
Platform = Annotated[str, typer.Option(help="Terminal port of the platform, host:port.")]
PortraitFile = Annotated[Path | None, typer.Option("--portrait", help="Picture of who is before the camera.")]
LandmarksFile = Annotated[
    Path | None, typer.Option("--landmarks", help="Its five points, as `shualian face landmarks --json` prints them.")
]
ClaimFile = Annotated[Path | None, typer.Option("--claim", help='JSON {"id_number", "name"}; - is standard input.')]
Total = Annotated[int, typer.Option(help="Whole bill, fen.")]
NotCovered = Annotated[int, typer.Option(help="Part outside the insurance catalogue, fen.")]
BillNumber = Annotated[str, typer.Option(help="The site's number for the bill.")]
Business = Annotated[int, typer.Option(help="Business type, such as 1301 for 01301.")]
Seed = Annotated[int, typer.Option(help="Makes the camera's noise and tremor repeatable.")]
TransactionId = Annotated[str, typer.Option(help="UUIDv7; made when empty.")]
DEFAULT_STATE: Final = Path("shualian-terminal")


@app.command()
def enroll(
    *,
    serial: Annotated[str, typer.Option(help="Serial number on the terminal.")],
    token: Annotated[str, typer.Option(envvar="SHUALIAN_TERMINAL_TOKEN", help="One-time token; better by variable.")],
    platform_enroll: Annotated[str, typer.Option(help="Enrollment port of the platform, host:port.")],
    root_fingerprint: Annotated[
        str, typer.Option(help="SHA-256 of the platform's root, as the installer was given.")
    ] = "",
    root: Annotated[Path | None, typer.Option(help="The platform's root certificate, PEM, instead.")] = None,
    state: State = DEFAULT_STATE,
    as_json: Json = False,
) -> None:
    """Make a key and trade the token for a certificate."""
    report = Reporter(as_json=as_json)

    async def work() -> Exit:
        if root is None and not root_fingerprint:
            raise InputError("give --root-fingerprint or --root: without one anybody could pose as the platform")
        roots_pem = roots_from(root) if root else root_with_fingerprint(platform_enroll, root_fingerprint)
        identity = await enroll_terminal(
            Folder(path=state), address=platform_enroll, serial_number=serial, token=token, roots_pem=roots_pem
        )
        report.event(
            "enrolled",
            terminal_id=identity.terminal_id,
            not_after=identity.not_after.isoformat(),
            renew_after=identity.renew_after.isoformat(),
        )
        return Exit.OK

    _leave(work, report)


@app.command()
def run(*, platform: Platform, state: State = DEFAULT_STATE, as_json: Json = False) -> None:
    """Keep the control stream open until stopped; renew when it is time, obey commands, come back when it breaks."""
    report = Reporter(as_json=as_json)

    async def work() -> Exit:
        connection = Connection(Folder(path=state), address=platform, report=report, now=_now)
        running = asyncio.create_task(connection.run())
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, running.cancel)
        try:
            raise await running
        except asyncio.CancelledError:
            report.event("stopped")
            return Exit.OK

    _leave(work, report)


@app.command()
def renew(*, platform: Platform, state: State = DEFAULT_STATE, as_json: Json = False) -> None:
    """Renew the certificate now, with a new key."""
    report = Reporter(as_json=as_json)

    async def work() -> Exit:
        folder = Folder(path=state)
        async with folder.channel(platform) as channel:
            identity = await renew_terminal(folder, channel)
        report.event("renewed", not_after=identity.not_after.isoformat())
        return Exit.OK

    _leave(work, report)


@app.command()
def pay(  # noqa: PLR0917, RUF100  # one option each
    *,
    platform: Platform,
    total_fen: Total,
    not_covered_fen: NotCovered = 0,
    bill_number: BillNumber = "BILL-1",
    business_type: Business = 1301,
    portrait: PortraitFile = None,
    landmarks: LandmarksFile = None,
    claim: ClaimFile = None,
    pin_file: Annotated[Path | None, typer.Option(help="The person's PIN, for bills above the PIN-free limit.")] = None,
    card_file: Annotated[
        Path | None, typer.Option(help='JSON {"card_number", "pin"}: pay by card, without a face.')
    ] = None,
    consent: Annotated[bool, typer.Option(help="Whether the person agrees to the face being looked at.")] = True,
    repeat: Annotated[bool, typer.Option(help="Send the very same Settle once more afterwards.")] = False,
    transaction_id: TransactionId = "",
    die_at: Annotated[DieAt | None, typer.Option(help="Test aid: drop dead at this moment.")] = None,
    seed: Seed = 0,
    state: State = DEFAULT_STATE,
    as_json: Json = False,
) -> None:
    """Find out about unfinished payments, then pay one bill: by a face, or by a card with its PIN."""
    report = Reporter(as_json=as_json)

    async def work() -> Exit:
        folder = Folder(path=state)
        bill = _bill(bill_number, business_type, total_fen, not_covered_fen)
        card = card_from(card_file) if card_file else None
        pin = pin_from(pin_file) if pin_file else ""
        sitting = None
        if card is None:
            sitting = Sitting(
                claim=_claim(claim),
                camera=_camera(portrait, landmarks, Scene.LIVE_HEAD, seed),
                patient=Patient(),
                business_type=bill.business_type,
                consents=consent,
            )
        with folder.paying():
            async with folder.channel(platform) as channel:
                cashier = Cashier(channel, Journal(state), report, die_at=die_at)
                if await cashier.resume():
                    return Exit.OUTCOME_UNKNOWN
                if sitting is None:
                    authorization = settlement_pb2.Authorization(card=card)
                else:
                    decision = await authenticate(channel, sitting, report)
                    if not decision.assertion:
                        return _DECISIONS.get(outcome_name(decision), Exit.REFUSED)
                    face = settlement_pb2.FaceAuthorization(assertion=decision.assertion, pin=pin)
                    authorization = settlement_pb2.Authorization(face=face)
                order = Order(
                    transaction_id=transaction_id or str(uuid_utils.uuid7()), bill=bill, authorization=authorization
                )
                quote = await cashier.quote(order)
                await cashier.settle(order, quote.quote_id, repeat=repeat)
        return Exit.OK

    _leave(work, report)


@app.command()
def resume(*, platform: Platform, state: State = DEFAULT_STATE, as_json: Json = False) -> None:
    """Find out what became of payments that broke off: take the receipt, or make sure they are not paid."""
    report = Reporter(as_json=as_json)

    async def work() -> Exit:
        folder = Folder(path=state)
        with folder.paying():
            async with folder.channel(platform) as channel:
                left = await Cashier(channel, Journal(state), report).resume()
        report.event("resumed", unfinished=len(left))
        return Exit.OUTCOME_UNKNOWN if left else Exit.OK

    _leave(work, report)


@app.command()
def attack(
    kind: Annotated[Attack, typer.Argument(help="What to try.")],
    *,
    platform: Platform,
    claim: ClaimFile = None,
    portrait: PortraitFile = None,
    landmarks: LandmarksFile = None,
    total_fen: Total = 10_000,
    not_covered_fen: NotCovered = 0,
    bill_number: BillNumber = "BILL-1",
    business_type: Business = 1301,
    seed: Seed = 0,
    state: State = DEFAULT_STATE,
    as_json: Json = False,
) -> None:
    """Try what must not work; exit 0 when the platform refuses it, 1 when it does not."""
    report = Reporter(as_json=as_json)

    async def work() -> Exit:
        claimed = _claim(claim)
        bill = _bill(bill_number, business_type, total_fen, not_covered_fen)
        async with Folder(path=state).channel(platform) as channel:
            attempt = Attempt(channel=channel, report=report)
            if kind is Attack.BARE_ID_NUMBER:
                order = Order(
                    transaction_id=str(uuid_utils.uuid7()), bill=bill, authorization=settlement_pb2.Authorization()
                )
                refused = await attacks.with_a_bare_id_number(attempt, order, claimed.id_number)
            else:
                camera = _camera(portrait, landmarks, attacks.SCENES[kind], seed)
                patient = Patient(obeys=kind is not Attack.FROZEN)
                sitting = Sitting(claim=claimed, camera=camera, patient=patient, business_type=bill.business_type)
                refused = await attacks.with_a_face(attempt, sitting)
        report.event("attack_ended", kind=kind.value, refused=refused)
        return Exit.OK if refused else Exit.ACCEPTED

    _leave(work, report)


def _leave(work: Callable[[], Coroutine[Any, Any, Exit]], report: Reporter) -> None:
    """Run a verb and leave with its exit code; what goes wrong is told in one event."""
    try:
        code = asyncio.run(work())
    except TerminalError as error:
        code = _exit_of(error)
        fields = error.as_fields() if isinstance(error, PlatformRefusedError) else {"reason": error.reason}
        report.event("failed", **fields, message=str(error))
    except OSError as error:
        code = Exit.USAGE
        message = f"{error.filename or ''} {error.strerror or ''}".strip()
        report.event("failed", reason="INPUT_UNUSABLE", message=message)
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
        report.event("stopped")
    raise typer.Exit(code)


def _exit_of(error: TerminalError) -> Exit:
    match error:
        case PlatformRefusedError():
            return Exit.REVOKED if error.reason in ENDED_FOR_GOOD else Exit.REFUSED
        case OutcomeUnknownError():
            return Exit.OUTCOME_UNKNOWN
        case UnreachableError():
            return Exit.UNREACHABLE
        case StateError() | InputError() | PortraitError():
            return Exit.USAGE
        case _:
            return Exit.REFUSED


def _camera(portrait: Path | None, landmarks: Path | None, scene: Scene, seed: int) -> Camera:
    if portrait is None or landmarks is None:
        raise InputError("a face needs --portrait and --landmarks")
    return Camera(Portrait.load(portrait, landmarks), scene=scene, seed=seed)


def _claim(path: Path | None) -> Claim:
    if path is None:
        raise InputError("say who the person claims to be: --claim FILE")
    return claim_from(path)


def _bill(number: str, business_type: int, total_fen: int, not_covered_fen: int) -> settlement_pb2.Bill:
    if business_type not in types_pb2.BusinessType.values():
        raise InputError(f"--business-type {business_type} is none of {types_pb2.BusinessType.values()[1:]}")
    return settlement_pb2.Bill(
        bill_number=number,
        business_type=types_pb2.BusinessType.ValueType(business_type),
        total_fen=total_fen,
        not_covered_fen=not_covered_fen,
    )


def _now() -> datetime:
    return datetime.now(UTC)
