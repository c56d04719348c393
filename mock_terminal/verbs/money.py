"""Verbs of money: pay, and find out what became of a payment."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

import typer
import uuid_utils

from mock_terminal.eye import Cameras
from mock_terminal.factors import second_factors
from mock_terminal.folder import Folder
from mock_terminal.inputs import card_from, code_from, pin_from
from mock_terminal.journal import Journal
from mock_terminal.leaving import Exit, leave
from mock_terminal.lock import Lock
from mock_terminal.means import ByCard, ByCode, ByFace, confirming
from mock_terminal.options import (
    DEFAULT_STATE,
    At,
    BillNumber,
    Business,
    CameraChoice,
    CannotMove,
    ChronicDisease,
    ClaimFile,
    Consents,
    Identify,
    Json,
    LandmarksFile,
    LastFour,
    NotCovered,
    PhoneLastFour,
    Platform,
    PortraitFile,
    Seed,
    State,
    StayNumber,
    Total,
    TransactionId,
)
from mock_terminal.payment import Cashier, DieAt, Order
from mock_terminal.report import Reporter
from mock_terminal.self_paid import self_pay_from
from mock_terminal.sitting import Sitting
from mock_terminal.verbs.persons import bill_from, practitioner_from, who_from, window_from

RENEWAL_TAKES: Final = timedelta(seconds=5)
"""A payment waits so long for a change of the certificate that has begun."""


def pay(  # noqa: PLR0917, RUF100  # one option each
    *,
    platform: Platform,
    total_fen: Total,
    not_covered_fen: NotCovered = 0,
    bill_number: BillNumber = "BILL-1",
    stay_number: StayNumber = "",
    chronic_disease: ChronicDisease = "",
    business_type: Business = 1301,
    portrait: PortraitFile = None,
    landmarks: LandmarksFile = None,
    claim: ClaimFile = None,
    identify: Identify = False,
    last_four: LastFour = "",
    phone_last_four: PhoneLastFour = "",
    camera: CameraChoice = Cameras.ALL,
    cannot_move: CannotMove = False,
    consent: Consents = True,
    pin_file: Annotated[Path | None, typer.Option(help="The person's PIN, for bills above the PIN-free limit.")] = None,
    staff_code: Annotated[
        str, typer.Option(help="Code of a practitioner who confirms in the place of the PIN, where that may be.")
    ] = "",
    staff_portrait: Annotated[Path | None, typer.Option(help="The practitioner's picture.")] = None,
    staff_landmarks: Annotated[Path | None, typer.Option(help="Its five points.")] = None,
    at: At = "",
    card_file: Annotated[
        Path | None, typer.Option(help='JSON {"card_number", "pin"}: pay by card, without a face.')
    ] = None,
    code_file: Annotated[
        Path | None, typer.Option(help="File with a dynamic code, - is standard input: pay by code, without a face.")
    ] = None,
    relative: Annotated[str, typer.Option(help="Id of the binding of a relative who was treated.")] = "",
    self_pay: Annotated[
        str, typer.Option(help="How the self-paid part is paid, in fen: electronic:1200,credit:500,cash:300.")
    ] = "",
    repeat: Annotated[bool, typer.Option(help="Send the very same Settle once more afterwards.")] = False,
    transaction_id: TransactionId = "",
    die_at: Annotated[DieAt | None, typer.Option(help="Test aid: drop dead at this moment.")] = None,
    seed: Seed = None,
    state: State = DEFAULT_STATE,
    as_json: Json = False,
) -> None:
    """Find out about unfinished payments, then pay one bill: by a face, a code, or a card with its PIN."""
    report = Reporter(as_json=as_json)

    async def work() -> Exit:
        folder = Folder(path=state)
        Lock(state=state).refuse()
        parts = self_pay_from(self_pay)
        bill = bill_from(
            bill_number,
            business_type,
            total_fen=total_fen,
            not_covered_fen=not_covered_fen,
            stay_number=stay_number,
            chronic_disease=chronic_disease,
        )
        means: ByCard | ByCode | ByFace
        if card_file is not None:
            means = ByCard(card=card_from(card_file))
        elif code_file is not None:
            means = ByCode(code=code_from(code_file), pin=pin_from(pin_file) if pin_file else "")
        else:
            patient = Sitting(
                who=who_from(claim, identify=identify),
                eye=window_from(portrait, landmarks, cameras=camera, seed=seed).eye(obeys=not cannot_move),
                business_type=bill.business_type,
                sign=folder.keys.sign,
                amount_fen=bill.total_fen,
                cannot_move=cannot_move,
                consents=consent,
                second_factors=second_factors(id_number_last_four=last_four, phone_last_four=phone_last_four),
            )
            staff = None
            if staff_code:
                beside = window_from(staff_portrait, staff_landmarks, cameras=camera, seed=seed)
                staff = confirming(patient, practitioner_from(staff_code, at), beside.eye())
            means = ByFace(patient=patient, pin=pin_from(pin_file) if pin_file else "", staff=staff)
        with folder.paying(patience=RENEWAL_TAKES):
            async with folder.channel(platform) as channel:
                cashier = Cashier(channel, Journal(state), report, die_at=die_at)
                if await cashier.resume():
                    return Exit.OUTCOME_UNKNOWN
                authorization = await means.authorization(channel, bill, report)
                order = Order(
                    transaction_id=transaction_id or str(uuid_utils.uuid7()),
                    bill=bill,
                    authorization=authorization,
                    self_pay=parts,
                    binding_id=relative,
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
