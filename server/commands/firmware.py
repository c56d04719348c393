"""`shualian firmware`: which firmware may be offered, by the manifest that its maker signed."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from server.commands.maker import model_id
from server.commands.mistakes import CommandError, ExitCode
from server.commands.options import Json, Reason
from server.commands.output import show_list, show_record
from server.commands.remote import admin
from server.commands.session import session_of
from server.commands.shown import shown
from shualian.admin.v1 import maker_pb2 as pb
from shualian.admin.v1.maker_pb2_grpc import MakerServiceStub

app = typer.Typer(
    name="firmware", help="Approved firmware and its findings.", no_args_is_help=True, add_completion=False
)

Id = Annotated[str, typer.Argument(metavar="FIRMWARE", help="Id of the firmware, from `shualian firmware list`.")]
Finding = Annotated[str, typer.Option("--finding", help="What is wrong with it; it stands in the audit trail.")]

_COLUMNS = ("manufacturer", "model", "version", "state", "finding", "size_bytes", "sha256", "firmware_id")


@app.command("add")
def add(
    context: typer.Context,
    *,
    manifest: Annotated[Path, typer.Option("--manifest", dir_okay=False, help="The manifest, as the maker signed it.")],
    signature: Annotated[
        Path | None, typer.Option("--signature", dir_okay=False, help="Its signature; else the same name with .sig.")
    ] = None,
    reason: Reason,
    as_json: Json = False,
) -> None:
    """Approve a firmware; version, digest and size are what its maker signed."""
    content = manifest.read_bytes()
    signed = (signature or manifest.with_name(f"{manifest.name}.sig")).read_bytes()
    maker, model = _whose(manifest, content)
    with admin(session_of(context)) as api:
        request = pb.AddFirmwareRequest(
            model_id=model_id(api, maker, model), manifest=content, signature=signed, reason=reason
        )
        added = MakerServiceStub(api).AddFirmware(request).firmware
    show_record(shown(added), as_json=as_json, title="Firmware approved")


@app.command("list")
def list_firmware(context: typer.Context, *, as_json: Json = False) -> None:
    """List firmware, whatever its state."""
    with admin(session_of(context)) as api:
        found = MakerServiceStub(api).ListFirmware(pb.ListFirmwareRequest()).firmware
    empty = "No firmware yet. Approve one with `shualian firmware add`."
    show_list("firmware", [shown(one) for one in found], columns=_COLUMNS, as_json=as_json, empty=empty)


@app.command("flag")
def flag(context: typer.Context, *, firmware: Id, finding: Finding, as_json: Json = False) -> None:
    """Note a finding: the firmware is not offered any more, and the fleet audit names the terminals that run it."""
    _judge(context, firmware, pb.FIRMWARE_STATE_FLAGGED, finding, as_json=as_json)


@app.command("unflag")
def unflag(context: typer.Context, *, firmware: Id, reason: Reason, as_json: Json = False) -> None:
    """Lift a flag: the finding was none."""
    _judge(context, firmware, pb.FIRMWARE_STATE_APPROVED, reason, as_json=as_json)


@app.command("withdraw")
def withdraw(context: typer.Context, *, firmware: Id, finding: Finding, as_json: Json = False) -> None:
    """Withdraw a firmware for good."""
    _judge(context, firmware, pb.FIRMWARE_STATE_WITHDRAWN, finding, as_json=as_json)


def _judge(
    context: typer.Context, firmware: str, state: "pb.FirmwareState.ValueType", finding: str, *, as_json: bool
) -> None:
    with admin(session_of(context)) as api:
        request = pb.JudgeFirmwareRequest(firmware_id=firmware, state=state, finding=finding)
        judged = MakerServiceStub(api).JudgeFirmware(request).firmware
    show_record(shown(judged), as_json=as_json, title=f"Firmware {judged.version}")


def _whose(path: Path, content: bytes) -> tuple[str, str]:
    """Return the maker and model that a manifest names; the platform checks that it was signed so."""
    try:
        said: Any = json.loads(content)
        return str(said["manufacturer"]), str(said["model"])
    except (ValueError, KeyError, TypeError) as error:
        raise CommandError(
            f"{path} is no firmware manifest.",
            next="docs/operations/factory-enrollment.md says what one looks like.",
            code=ExitCode.USAGE,
        ) from error
