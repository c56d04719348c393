"""Verbs of faces: hold one session, and try what must not work."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from mock_terminal.attack import Attack, Attempt, Result, attempted
from mock_terminal.errors import InputError
from mock_terminal.eye import Cameras
from mock_terminal.face import authenticate
from mock_terminal.factors import second_factors
from mock_terminal.folder import Folder
from mock_terminal.inputs import claim_from
from mock_terminal.leaving import Exit, exit_of_decision, leave
from mock_terminal.lock import Lock
from mock_terminal.options import (
    DEFAULT_STATE,
    At,
    BillNumber,
    Business,
    CameraChoice,
    CannotMove,
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
    Total,
)
from mock_terminal.report import Reporter
from mock_terminal.sitting import Sitting
from mock_terminal.verbs.money import RENEWAL_TAKES
from mock_terminal.verbs.persons import bill_from, business_type_from, who_from, window_from
from shualian.terminal.v1 import face_pb2

OWN_CHECK: Final = "mock-terminal-1"
FILES: Final = {
    face_pb2.MODALITY_RGB: "colour.jpg",
    face_pb2.MODALITY_NIR: "infrared.jpg",
    face_pb2.MODALITY_DEPTH: "depth.png",
}


class Says(StrEnum):
    """What the terminal's own liveness check says."""

    NOTHING = "nothing"
    LIVE = "live"
    NOT_LIVE = "not-live"


def face(  # noqa: PLR0917, RUF100  # one option each
    *,
    platform: Platform,
    portrait: PortraitFile = None,
    landmarks: LandmarksFile = None,
    claim: ClaimFile = None,
    identify: Identify = False,
    practitioner: Annotated[str, typer.Option(help="Code of a practitioner who proves face and place.")] = "",
    at: At = "",
    last_four: LastFour = "",
    phone_last_four: PhoneLastFour = "",
    camera: CameraChoice = Cameras.ALL,
    cannot_move: CannotMove = False,
    consent: Consents = True,
    amount_fen: Annotated[int, typer.Option(help="The bill, fen, if it is known by now.")] = 0,
    business_type: Business = 1301,
    terminal_says: Annotated[Says, typer.Option(help="What the terminal's own liveness check says.")] = Says.NOTHING,
    seed: Seed = None,
    state: State = DEFAULT_STATE,
    as_json: Json = False,
) -> None:
    """Hold one face session and tell how it ends: somebody with a claim, somebody unknown, or a practitioner."""
    report = Reporter(as_json=as_json)

    async def work() -> Exit:
        folder = Folder(path=state)
        Lock(state=state).refuse()
        sitting = Sitting(
            who=who_from(claim, identify=identify, practitioner=practitioner, at=at),
            eye=window_from(portrait, landmarks, cameras=camera, seed=seed).eye(obeys=not cannot_move),
            business_type=business_type_from(business_type),
            sign=folder.keys.sign,
            amount_fen=amount_fen,
            cannot_move=cannot_move,
            consents=consent,
            second_factors=second_factors(id_number_last_four=last_four, phone_last_four=phone_last_four),
            verdict=_verdict(terminal_says),
        )
        with folder.paying(patience=RENEWAL_TAKES):  # the seal is signed with the key that opened the connection
            async with folder.channel(platform) as channel:
                return exit_of_decision(await authenticate(channel, sitting, report))

    leave(work, report)


def picture(
    out: Annotated[Path, typer.Argument(help="Folder for colour.jpg, infrared.jpg and depth.png.")],
    *,
    portrait: PortraitFile = None,
    landmarks: LandmarksFile = None,
    camera: CameraChoice = Cameras.ALL,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Write what the cameras see of somebody at rest, without any platform: to compare formats, or to enroll from."""
    report = Reporter(as_json=as_json)

    async def work() -> Exit:
        out.mkdir(parents=True, exist_ok=True)
        for taken in window_from(portrait, landmarks, cameras=camera, seed=seed).eye().pictures(0.0):
            path = out / FILES[taken.modality]
            path.write_bytes(taken.data)
            report.event("picture", path=str(path), bytes=len(taken.data))
        return Exit.OK

    leave(work, report)


def attack(  # noqa: PLR0917, RUF100  # one option each
    kinds: Annotated[list[Attack] | None, typer.Argument(help="What to try, in this order.")] = None,
    *,
    platform: Platform,
    everything: Annotated[
        bool, typer.Option("--all", help="Try all, but wrong-person, which needs another's portrait.")
    ] = False,
    claim: ClaimFile = None,
    portrait: PortraitFile = None,
    landmarks: LandmarksFile = None,
    camera: CameraChoice = Cameras.ALL,
    total_fen: Total = 10_000,
    not_covered_fen: NotCovered = 0,
    bill_number: BillNumber = "BILL-1",
    business_type: Business = 1301,
    seed: Seed = None,
    state: State = DEFAULT_STATE,
    as_json: Json = False,
) -> None:
    """Try what must not work; exit 0 when the platform refuses all of it, 1 when it does not.

    With --all, what is known to pass is told in the table and does not change the exit code.
    """
    report = Reporter(as_json=as_json)

    async def work() -> Exit:
        wanted = [kind for kind in Attack if kind is not Attack.WRONG_PERSON] if everything else kinds or []
        if not wanted:
            raise InputError(f"say what to try: --all, or any of {', '.join(Attack)}")
        if claim is None:
            raise InputError("say who the person claims to be: --claim FILE")
        bill = bill_from(bill_number, business_type, total_fen=total_fen, not_covered_fen=not_covered_fen)
        window = window_from(portrait, landmarks, cameras=camera, seed=seed) if portrait or landmarks else None
        folder, claimed = Folder(path=state), claim_from(claim)
        results: list[Result] = []
        try:
            async with folder.channel(platform) as channel:
                attempt = Attempt(
                    channel=channel, report=report, claim=claimed, bill=bill, sign=folder.keys.sign, window=window
                )
                for kind in wanted:
                    results.append(await attempted(kind, attempt))
                    report.event("attack_ended", **results[-1].as_fields())
        finally:  # also when the platform has shut the terminal out in the middle
            report.table("attacks", [result.as_fields() for result in results])
        passed = [result for result in results if not (result.refused or (everything and result.known_gap))]
        return Exit.ACCEPTED if passed else Exit.OK

    leave(work, report)


def _verdict(says: Says) -> face_pb2.TerminalVerdict | None:
    if says is Says.NOTHING:
        return None
    return face_pb2.TerminalVerdict(live=says is Says.LIVE, algorithm=OWN_CHECK)
