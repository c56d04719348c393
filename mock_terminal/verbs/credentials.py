"""Verbs of electronic credentials: activate one, show it as a code, end it, and say whom it pays for."""

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
import uuid_utils
from grpc import aio

from mock_terminal.client import CALL_SECONDS_MAX, call
from mock_terminal.disk import write_private
from mock_terminal.errors import InputError
from mock_terminal.eye import Cameras
from mock_terminal.folder import Folder
from mock_terminal.inputs import STDIN, card_from, claim_from, pin_from
from mock_terminal.leaving import Exit, leave
from mock_terminal.lock import Lock
from mock_terminal.options import (
    DEFAULT_STATE,
    CameraChoice,
    CannotMove,
    ClaimFile,
    Consents,
    Json,
    LandmarksFile,
    Platform,
    PortraitFile,
    Seed,
    State,
)
from mock_terminal.presence import Presence, Shows
from mock_terminal.report import Reporter
from mock_terminal.sitting import Sitting
from mock_terminal.verbs.money import RENEWAL_TAKES
from mock_terminal.verbs.persons import business_type_from, who_from, window_from
from shualian.terminal.v1 import credential_pb2, credential_pb2_grpc

if TYPE_CHECKING:
    from shualian.terminal.v1.credential_pb2_grpc import CredentialServiceAsyncStub  # in the .pyi alone

CardFile = Annotated[
    Path | None, typer.Option("--card-file", help='JSON {"card_number", "pin"}: by card, without a face.')
]
BUSINESS: Final = 1301
"""What a face is shown for here is no bill; the contract asks for a business type all the same."""

relatives = typer.Typer(
    name="relatives", help="Whom a credential pays for.", no_args_is_help=True, add_completion=False
)


def activate(  # noqa: PLR0917, RUF100  # one option each
    *,
    platform: Platform,
    claim: ClaimFile = None,
    portrait: PortraitFile = None,
    landmarks: LandmarksFile = None,
    camera: CameraChoice = Cameras.ALL,
    cannot_move: CannotMove = False,
    consent: Consents = True,
    pin_file: Annotated[Path | None, typer.Option(help="A first PIN, for bills above the PIN-free limit.")] = None,
    seed: Seed = None,
    state: State = DEFAULT_STATE,
    as_json: Json = False,
) -> None:
    """Activate the credential of somebody, by name, ID number and a face that the register knows."""
    report = Reporter(as_json=as_json)
    folder = Folder(path=state)

    async def ask(channel: aio.Channel) -> None:
        if claim is None:
            raise InputError("say who the person is: --claim FILE")
        sitting = _sitting(
            folder, claim, portrait, landmarks, camera=camera, seed=seed, cannot_move=cannot_move, consents=consent,
            activates=True,
        )  # fmt: skip
        pin = pin_from(pin_file) if pin_file else ""
        assertion = await Presence(channel=channel, report=report).assertion(sitting)
        request = credential_pb2.ActivateRequest(request_id=_new_id(), face_assertion=assertion, pin=pin)
        stub = credential_pb2_grpc.CredentialServiceStub(channel)
        done = await call(lambda: stub.Activate(request, timeout=CALL_SECONDS_MAX))
        report.event(
            "activated",
            credential_id=done.credential_id,
            person=done.masked_name,
            activated_at=done.activated_at.ToDatetime().isoformat() + "Z",
            is_reissued=done.is_reissued,
        )

    _leave(folder, platform, report, ask)


def code(  # noqa: PLR0917, RUF100  # one option each
    *,
    platform: Platform,
    out: Annotated[Path, typer.Option(help="File for the code, a secret; - is standard output.")],
    svg: Annotated[Path | None, typer.Option(help="File for the code as a QR picture.")] = None,
    claim: ClaimFile = None,
    portrait: PortraitFile = None,
    landmarks: LandmarksFile = None,
    card_file: CardFile = None,
    camera: CameraChoice = Cameras.ALL,
    cannot_move: CannotMove = False,
    seed: Seed = None,
    state: State = DEFAULT_STATE,
    as_json: Json = False,
) -> None:
    """Have a code made for the holder of an active credential; `pay --code-file` pays with it, within seconds."""
    report = Reporter(as_json=as_json)
    folder = Folder(path=state)

    def shows() -> Shows:
        return _shows(folder, claim, portrait, landmarks, card_file, camera=camera, seed=seed, cannot_move=cannot_move)

    async def ask(stub: "CredentialServiceAsyncStub", proof: credential_pb2.HolderProof) -> None:
        issued = await call(
            lambda: stub.IssueCode(credential_pb2.IssueCodeRequest(proof=proof), timeout=CALL_SECONDS_MAX)
        )
        if svg is not None:
            _write_secret(svg, issued.qr_svg)
        _write_secret(out, issued.code.encode() + b"\n")
        report.event("code_issued", expires_at=issued.expires_at.ToDatetime().isoformat() + "Z")

    _leave(folder, platform, report, _of_holder(report, shows, ask))


def end(  # noqa: PLR0917, RUF100  # one option each
    *,
    platform: Platform,
    claim: ClaimFile = None,
    portrait: PortraitFile = None,
    landmarks: LandmarksFile = None,
    card_file: CardFile = None,
    camera: CameraChoice = Cameras.ALL,
    seed: Seed = None,
    state: State = DEFAULT_STATE,
    as_json: Json = False,
) -> None:
    """End a credential: its codes and its bindings are dead at once."""
    report = Reporter(as_json=as_json)
    folder = Folder(path=state)

    def shows() -> Shows:
        return _shows(folder, claim, portrait, landmarks, card_file, camera=camera, seed=seed)

    async def ask(stub: "CredentialServiceAsyncStub", proof: credential_pb2.HolderProof) -> None:
        done = await call(lambda: stub.Unbind(credential_pb2.UnbindRequest(proof=proof), timeout=CALL_SECONDS_MAX))
        report.event("credential_ended", ended_at=done.ended_at.ToDatetime().isoformat() + "Z")

    _leave(folder, platform, report, _of_holder(report, shows, ask))


@relatives.command("bind")
def bind(  # noqa: PLR0917, RUF100  # one option each
    *,
    platform: Platform,
    relative: Annotated[Path, typer.Option(help='JSON {"id_number", "name"} of the relative; - is standard input.')],
    relative_portrait: Annotated[
        Path | None, typer.Option(help="Picture of the relative, who must come along from the sixteenth birthday on.")
    ] = None,
    relative_landmarks: Annotated[Path | None, typer.Option(help="Its five points.")] = None,
    claim: ClaimFile = None,
    portrait: PortraitFile = None,
    landmarks: LandmarksFile = None,
    card_file: CardFile = None,
    camera: CameraChoice = Cameras.ALL,
    seed: Seed = None,
    state: State = DEFAULT_STATE,
    as_json: Json = False,
) -> None:
    """Let the holder's credential pay for a relative."""
    report = Reporter(as_json=as_json)
    folder = Folder(path=state)

    async def ask(channel: aio.Channel) -> None:
        who = claim_from(relative)
        shows = _shows(folder, claim, portrait, landmarks, card_file, camera=camera, seed=seed)
        presence = Presence(channel=channel, report=report)
        request = credential_pb2.BindRelativeRequest(request_id=_new_id(), holder=await presence.proof(shows))
        request.relative.id_number, request.relative.name = who.id_number, who.name
        if relative_portrait is not None:
            theirs = _sitting(folder, relative, relative_portrait, relative_landmarks, camera=camera, seed=seed)
            request.relative_face_assertion = await presence.assertion(theirs)
        stub = credential_pb2_grpc.CredentialServiceStub(channel)
        done = await call(lambda: stub.BindRelative(request, timeout=CALL_SECONDS_MAX))
        report.event("bound", binding_id=done.relative.binding_id, person=done.relative.masked_name)

    _leave(folder, platform, report, ask)


@relatives.command("list")
def list_bound(  # noqa: PLR0917, RUF100  # one option each
    *,
    platform: Platform,
    claim: ClaimFile = None,
    portrait: PortraitFile = None,
    landmarks: LandmarksFile = None,
    card_file: CardFile = None,
    camera: CameraChoice = Cameras.ALL,
    seed: Seed = None,
    state: State = DEFAULT_STATE,
    as_json: Json = False,
) -> None:
    """List whom the holder's credential pays for."""
    report = Reporter(as_json=as_json)
    folder = Folder(path=state)

    def shows() -> Shows:
        return _shows(folder, claim, portrait, landmarks, card_file, camera=camera, seed=seed)

    async def ask(stub: "CredentialServiceAsyncStub", proof: credential_pb2.HolderProof) -> None:
        request = credential_pb2.ListRelativesRequest(holder=proof)
        found = await call(lambda: stub.ListRelatives(request, timeout=CALL_SECONDS_MAX))
        rows = [{"binding_id": each.binding_id, "person": each.masked_name} for each in found.relatives]
        report.table("relatives", rows)

    _leave(folder, platform, report, _of_holder(report, shows, ask))


@relatives.command("unbind")
def unbind(  # noqa: PLR0917, RUF100  # one option each
    *,
    platform: Platform,
    binding: Annotated[str, typer.Option(help="Id of the binding, as `list` has it.")],
    claim: ClaimFile = None,
    portrait: PortraitFile = None,
    landmarks: LandmarksFile = None,
    card_file: CardFile = None,
    camera: CameraChoice = Cameras.ALL,
    seed: Seed = None,
    state: State = DEFAULT_STATE,
    as_json: Json = False,
) -> None:
    """End a binding, on the word of the holder or of the relative."""
    report = Reporter(as_json=as_json)
    folder = Folder(path=state)

    def shows() -> Shows:
        return _shows(folder, claim, portrait, landmarks, card_file, camera=camera, seed=seed)

    async def ask(stub: "CredentialServiceAsyncStub", proof: credential_pb2.HolderProof) -> None:
        request = credential_pb2.UnbindRelativeRequest(proof=proof, binding_id=binding)
        done = await call(lambda: stub.UnbindRelative(request, timeout=CALL_SECONDS_MAX))
        report.event("unbound", ended_at=done.ended_at.ToDatetime().isoformat() + "Z")

    _leave(folder, platform, report, _of_holder(report, shows, ask))


def _of_holder(
    report: Reporter,
    shows: Callable[[], Shows],
    ask: Callable[["CredentialServiceAsyncStub", credential_pb2.HolderProof], Awaitable[None]],
) -> Callable[[aio.Channel], Awaitable[None]]:
    """Return what asks something once the holder has shown that they are here."""

    async def proven(channel: aio.Channel) -> None:
        proof = await Presence(channel=channel, report=report).proof(shows())
        await ask(credential_pb2_grpc.CredentialServiceStub(channel), proof)

    return proven


def _leave(folder: Folder, platform: str, report: Reporter, ask: Callable[[aio.Channel], Awaitable[None]]) -> None:
    """Do what a verb asks over a channel with one identity, and leave."""

    async def work() -> Exit:
        Lock(state=folder.path).refuse()
        with folder.paying(patience=RENEWAL_TAKES):  # an assertion is good with the certificate it was made under
            async with folder.channel(platform) as channel:
                await ask(channel)
        return Exit.OK

    leave(work, report)


def _shows(
    folder: Folder,
    claim: Path | None,
    portrait: Path | None,
    landmarks: Path | None,
    card_file: Path | None,
    *,
    camera: Cameras,
    seed: int | None,
    cannot_move: bool = False,
) -> Shows:
    if card_file is not None:
        return card_from(card_file)
    return _sitting(folder, claim, portrait, landmarks, camera=camera, seed=seed, cannot_move=cannot_move)


def _sitting(
    folder: Folder,
    claim: Path | None,
    portrait: Path | None,
    landmarks: Path | None,
    *,
    camera: Cameras,
    seed: int | None,
    cannot_move: bool = False,
    consents: bool = True,
    activates: bool = False,
) -> Sitting:
    return Sitting(
        who=who_from(claim),
        eye=window_from(portrait, landmarks, cameras=camera, seed=seed).eye(obeys=not cannot_move),
        business_type=business_type_from(BUSINESS),
        sign=folder.keys.sign,
        cannot_move=cannot_move,
        consents=consents,
        activates=activates,
    )


def _write_secret(path: Path, content: bytes) -> None:
    """Write what is good for money as long as it lives: for its owner alone, and never into an event."""
    if path == STDIN:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    write_private(path, content)


def _new_id() -> str:
    return str(uuid_utils.uuid7())
