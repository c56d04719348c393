"""Verbs of money and faces: pay, find out what became of a payment, and try what must not work."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

import typer
import uuid_utils

from mock_terminal import attack as attacks
from mock_terminal.attack import Attack, Attempt
from mock_terminal.camera import Camera, Portrait
from mock_terminal.errors import InputError
from mock_terminal.face import Claim, Sitting, authenticate, outcome_name
from mock_terminal.folder import Folder
from mock_terminal.inputs import card_from, claim_from, pin_from
from mock_terminal.journal import Journal
from mock_terminal.leaving import Exit, leave
from mock_terminal.lock import Lock
from mock_terminal.options import (
    DEFAULT_STATE,
    BillNumber,
    Business,
    ClaimFile,
    Json,
    LandmarksFile,
    NotCovered,
    Platform,
    PortraitFile,
    Seed,
    State,
    Total,
    TransactionId,
)
from mock_terminal.patient import Patient
from mock_terminal.payment import Cashier, DieAt, Order
from mock_terminal.report import Reporter
from mock_terminal.scenes import Scene
from shualian.terminal.v1 import settlement_pb2, types_pb2

RENEWAL_TAKES: Final = timedelta(seconds=5)
"""A payment waits so long for a change of the certificate that has begun."""
_DECISIONS: Final = {
    "NOT_MATCHED": Exit.NOT_MATCHED,
    "SPOOF_SUSPECTED": Exit.SPOOF_SUSPECTED,
    "INSUFFICIENT": Exit.INSUFFICIENT,
    "CONSENT_REFUSED": Exit.CONSENT_REFUSED,
}


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
        Lock(state=state).refuse()
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
        with folder.paying(patience=RENEWAL_TAKES):
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

    leave(work, report)


def resume(*, platform: Platform, state: State = DEFAULT_STATE, as_json: Json = False) -> None:
    """Find out what became of payments that broke off: take the receipt, or make sure they are not paid."""
    report = Reporter(as_json=as_json)

    async def work() -> Exit:
        folder = Folder(path=state)
        with folder.paying(patience=RENEWAL_TAKES):
            async with folder.channel(platform) as channel:
                left = await Cashier(channel, Journal(state), report).resume()
        report.event("resumed", unfinished=len(left))
        return Exit.OUTCOME_UNKNOWN if left else Exit.OK

    leave(work, report)


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

    leave(work, report)


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
