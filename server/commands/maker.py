"""`shualian maker`: the manufacturers whose terminals are let in, and their certified models."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import grpc
import typer

from device_registry.model import TerminalClass
from server.commands.mistakes import CommandError, ExitCode
from server.commands.options import Json, Reason
from server.commands.output import show_list, show_record
from server.commands.remote import admin
from server.commands.session import session_of
from server.commands.shown import shown
from shualian.admin.v1 import maker_pb2 as pb
from shualian.admin.v1 import registry_pb2
from shualian.admin.v1.maker_pb2_grpc import MakerServiceStub

app = typer.Typer(name="maker", help="Approved manufacturers and models.", no_args_is_help=True, add_completion=False)
models = typer.Typer(name="model", help="Certified models.", no_args_is_help=True, add_completion=False)
app.add_typer(models)

Maker = Annotated[str, typer.Argument(metavar="MAKER", help="Name of the manufacturer, as terminals are registered.")]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="The manufacturer's name of the model.")]

_MAKER_COLUMNS = ("name", "state", "signs_firmware", "root_fingerprints", "manufacturer_id")
_MODEL_COLUMNS = (
    "manufacturer", "name", "terminal_class", "certification_number", "certification_expires_on", "state", "model_id",
)  # fmt: skip


@app.command("add")
def add(
    context: typer.Context,
    *,
    name: Maker,
    roots: Annotated[
        list[Path],
        typer.Option("--root", dir_okay=False, help="Factory root certificate, PEM or DER; may be repeated."),
    ],
    firmware_key: Annotated[
        Path | None,
        typer.Option(
            "--firmware-key", dir_okay=False, help="Public key that signs its firmware manifests, PEM or DER."
        ),
    ] = None,
    reason: Reason,
    as_json: Json = False,
) -> None:
    """Approve a manufacturer by the roots of its factory identities."""
    request = pb.AddManufacturerRequest(
        name=name,
        root_certificates_der=[der_from(path) for path in roots],
        firmware_key_der=der_from(firmware_key) if firmware_key is not None else b"",
        reason=reason,
    )
    with admin(session_of(context)) as api:
        added = MakerServiceStub(api).AddManufacturer(request).manufacturer
    show_record(shown(added), as_json=as_json, title="Manufacturer approved")


@app.command("list")
def list_makers(context: typer.Context, *, as_json: Json = False) -> None:
    """List the manufacturers, withdrawn ones included."""
    with admin(session_of(context)) as api:
        makers = MakerServiceStub(api).ListManufacturers(pb.ListManufacturersRequest()).manufacturers
    empty = "No manufacturer yet. Approve one with `shualian maker add`."
    show_list("manufacturers", [shown(one) for one in makers], columns=_MAKER_COLUMNS, as_json=as_json, empty=empty)


@app.command("withdraw")
def withdraw(context: typer.Context, *, name: Maker, reason: Reason, as_json: Json = False) -> None:
    """Take an approval back: no terminal of this maker enrolls by factory identity; running ones go on."""
    with admin(session_of(context)) as api:
        request = pb.WithdrawManufacturerRequest(manufacturer_id=manufacturer_id(api, name), reason=reason)
        withdrawn = MakerServiceStub(api).WithdrawManufacturer(request).manufacturer
    show_record(shown(withdrawn), as_json=as_json, title="Manufacturer withdrawn")


@models.command("add")
def add_model(
    context: typer.Context,
    *,
    maker: Maker,
    name: Model,
    terminal_class: Annotated[
        TerminalClass, typer.Option("--class", help="The highest class its terminals may have: I, II or III.")
    ],
    certification_number: Annotated[str, typer.Option("--certification", help="Certification number (认证编号).")],
    expires_on: Annotated[
        datetime,
        typer.Option("--expires", formats=["%Y-%m-%d"], help="Last day on which its terminals may enroll, UTC."),
    ],
    reason: Reason,
    as_json: Json = False,
) -> None:
    """Approve a model."""
    with admin(session_of(context)) as api:
        request = pb.AddModelRequest(
            manufacturer_id=manufacturer_id(api, maker),
            name=name,
            terminal_class=registry_pb2.TerminalClass.Value(f"TERMINAL_CLASS_{terminal_class.name}"),
            certification_number=certification_number,
            certification_expires_on=expires_on.date().isoformat(),
            reason=reason,
        )
        added = MakerServiceStub(api).AddModel(request).model
    show_record(shown(added), as_json=as_json, title="Model approved")


@models.command("list")
def list_models(context: typer.Context, *, as_json: Json = False) -> None:
    """List the models, withdrawn ones included."""
    with admin(session_of(context)) as api:
        found = MakerServiceStub(api).ListModels(pb.ListModelsRequest()).models
    empty = "No model yet. Approve one with `shualian maker model add`."
    show_list("models", [shown(one) for one in found], columns=_MODEL_COLUMNS, as_json=as_json, empty=empty)


@models.command("withdraw")
def withdraw_model(context: typer.Context, *, maker: Maker, name: Model, reason: Reason, as_json: Json = False) -> None:
    """Take a model's approval back: none of its terminals enrolls by factory identity; running ones go on."""
    with admin(session_of(context)) as api:
        request = pb.WithdrawModelRequest(model_id=model_id(api, maker, name), reason=reason)
        withdrawn = MakerServiceStub(api).WithdrawModel(request).model
    show_record(shown(withdrawn), as_json=as_json, title="Model withdrawn")


def manufacturer_id(api: grpc.Channel, name: str) -> str:
    """Return the id of the approved manufacturer that was meant by its name.

    Raises:
        CommandError: there is none.
    """
    makers = MakerServiceStub(api).ListManufacturers(pb.ListManufacturersRequest()).manufacturers
    for maker in makers:
        if maker.name == name and maker.state == pb.MAKER_STATE_APPROVED:
            return str(maker.manufacturer_id)
    raise CommandError(f"No approved manufacturer is called {name}.", next="`shualian maker list` shows them.")


def model_id(api: grpc.Channel, maker: str, name: str) -> str:
    """Return the id of the approved model that was meant by its names.

    Raises:
        CommandError: there is none.
    """
    wanted = pb.ListModelsRequest(manufacturer_id=manufacturer_id(api, maker))
    for model in MakerServiceStub(api).ListModels(wanted).models:
        if model.name == name and model.state == pb.MAKER_STATE_APPROVED:
            return str(model.model_id)
    raise CommandError(f"{maker} has no approved model {name}.", next="`shualian maker model list` shows them.")


def der_from(path: Path) -> bytes:
    """Read a certificate or a public key, PEM or DER, as DER; what it is and whether it is any good the platform says.

    Raises:
        CommandError: it is neither.
    """
    from cryptography import x509  # noqa: PLC0415 - a list needs none of it
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    content = path.read_bytes()
    try:
        if content.startswith(b"-----BEGIN CERTIFICATE-----"):
            return x509.load_pem_x509_certificate(content).public_bytes(serialization.Encoding.DER)
        if content.startswith(b"-----BEGIN PUBLIC KEY-----"):
            return serialization.load_pem_public_key(content).public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
    except ValueError as error:
        raise _unreadable(path) from error
    if not content.startswith(b"0"):  # every DER of ours is a SEQUENCE
        raise _unreadable(path)
    return content


def _unreadable(path: Path) -> CommandError:
    return CommandError(
        f"{path} is neither a certificate nor a public key.",
        next="Give what the maker sent, PEM or DER; never a private key.",
        code=ExitCode.USAGE,
    )
