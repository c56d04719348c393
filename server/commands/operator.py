"""`shualian operator`: who may use the admin API, with which role, and their certificates."""

import sys
from getpass import getpass
from pathlib import Path
from typing import Annotated

import typer

from device_registry.operators.roles import Role
from server.commands import identity
from server.commands.mistakes import CommandError, ExitCode
from server.commands.options import Json, Reason
from server.commands.output import console, print_json, show_list, show_record
from server.commands.remote import admin
from server.commands.session import session_of
from server.commands.shown import shown
from shualian.admin.v1 import operator_pb2 as pb
from shualian.admin.v1.operator_pb2_grpc import OperatorServiceStub

app = typer.Typer(name="operator", help="Who may use the admin API.", no_args_is_help=True, add_completion=False)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the operator, e.g. alice.")]
RoleOption = Annotated[Role, typer.Option("--role", case_sensitive=False, help="What they may do.")]
Encrypt = Annotated[
    bool,
    typer.Option("--encrypt", help="Protect the key with a passphrase; typed, or the first line of standard input."),
]


@app.command("request")
def request(
    *,
    folder: Annotated[Path, typer.Option("--folder", help="New folder for the key; it never leaves it.")],
    encrypt: Encrypt = False,
    as_json: Json = False,
) -> None:
    """Make a key and a signing request, on the operator's own machine."""
    path = identity.write_request(folder, identity.make_request(folder, passphrase=_passphrase(wanted=encrypt)))
    if as_json:
        print_json({"key": folder / identity.KEY, "request": path})
        return
    out = console()
    out.print(f"Key made in {folder}, readable by you alone.")
    out.print(f"Give [bold]{path}[/] to the security team: `shualian operator add NAME --role ROLE --csr {path}`.")


@app.command("add")
def add(
    context: typer.Context,
    *,
    name: Name,
    role: RoleOption,
    csr: Annotated[
        Path | None,
        typer.Option("--csr", dir_okay=False, help="The operator's signing request, from their own machine."),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--folder", help="With --csr: where the certificate goes; without: also make the key there."),
    ] = None,
    encrypt: Encrypt = False,
    as_json: Json = False,
) -> None:
    """Let an operator in and sign their certificate."""
    if csr is None and folder is None:
        raise CommandError(
            "Neither a signing request nor a folder.",
            next="Give --csr FILE from the operator's machine, or --folder to make the key here.",
            code=ExitCode.USAGE,
        )
    target = folder or (csr.parent if csr is not None else Path())
    if csr is not None:
        signing_request = identity.read_request(csr)
    else:
        signing_request = identity.make_request(target, passphrase=_passphrase(wanted=encrypt))
    with admin(session_of(context)) as api:
        answer = OperatorServiceStub(api).AddOperator(
            pb.AddOperatorRequest(name=name, role=_role(role), signing_request_der=signing_request)
        )
    _write(target, answer.certificate)
    if as_json:
        print_json({**shown(answer.operator), "folder": target})
        return
    show_record(shown(answer.operator), as_json=False, title="Operator added")
    out = console()
    out.print(f"Certificate and root are in {target}, beside the key or to be put there.")
    out.print(f"They call with `shualian --server HOST:PORT --as {target} ...`.")


@app.command("list")
def list_operators(context: typer.Context, *, as_json: Json = False) -> None:
    """List the operators."""
    with admin(session_of(context)) as api:
        operators = OperatorServiceStub(api).ListOperators(pb.ListOperatorsRequest()).operators
    columns = ("name", "role", "state", "certificate_not_after", "added_by")
    empty = "No operator yet. `shualian operator add NAME --role security --folder FOLDER` makes the first."
    show_list("operators", [shown(one) for one in operators], columns=columns, as_json=as_json, empty=empty)


@app.command("role")
def change_role(context: typer.Context, *, name: Name, role: RoleOption, reason: Reason, as_json: Json = False) -> None:
    """Give an operator another role; it holds for their next call."""
    with admin(session_of(context)) as api:
        changed = OperatorServiceStub(api).ChangeRole(pb.ChangeRoleRequest(name=name, role=_role(role), reason=reason))
    show_record(shown(changed.operator), as_json=as_json, title="Role changed")


@app.command("revoke")
def revoke(context: typer.Context, *, name: Name, reason: Reason, as_json: Json = False) -> None:
    """Lock an operator out; their next call is refused, and their streams end within a second."""
    with admin(session_of(context)) as api:
        changed = OperatorServiceStub(api).RevokeOperator(pb.RevokeOperatorRequest(name=name, reason=reason))
    show_record(shown(changed.operator), as_json=as_json, title="Operator locked out")


@app.command("renew")
def renew(context: typer.Context, *, encrypt: Encrypt = False, as_json: Json = False) -> None:
    """Get a new certificate for a new key, over the one in use; both are changed in the folder of `--as`."""
    session = session_of(context)
    folder = session.operator_folder
    if not session.server or folder is None:
        raise CommandError(
            "Only an operator who calls a server has a certificate to renew.",
            next="Run `shualian --server HOST:PORT --as FOLDER operator renew`.",
            code=ExitCode.USAGE,
        )
    with admin(session) as api:  # the old key is read before the new one is made
        request_der = identity.make_next_request(folder, passphrase=_passphrase(wanted=encrypt))
        certificate = (
            OperatorServiceStub(api).RenewOperator(pb.RenewOperatorRequest(signing_request_der=request_der)).certificate
        )
    identity.take_up_next(folder, chain_der=certificate.certificate_chain_der)
    show_record({"folder": folder, **shown(certificate)}, as_json=as_json, title="Renewed", leave_out=_DER)


@app.command("whoami")
def whoami(context: typer.Context, *, as_json: Json = False) -> None:
    """Say who you are to the platform, and with which role."""
    with admin(session_of(context)) as api:
        answer = OperatorServiceStub(api).WhoAmI(pb.WhoAmIRequest())
    show_record(shown(answer), as_json=as_json)


_DER = ("certificate_chain_der", "root_certificates_der")


def _write(folder: Path, certificate: pb.OperatorCertificate) -> None:
    identity.write_certificate(
        folder, chain_der=certificate.certificate_chain_der, roots_der=certificate.root_certificates_der
    )


def _role(role: Role) -> "pb.Role.ValueType":
    return pb.Role.Value(f"ROLE_{role.name}")


def _passphrase(*, wanted: bool) -> bytes | None:
    """Return the passphrase that is typed for a new key, None when it is to have none."""
    if not wanted:
        return None
    typed = getpass("New passphrase: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    if len(typed) < identity.PASSPHRASE_LENGTH_MIN:
        raise CommandError(
            "The passphrase is too short.", next=f"Take at least {identity.PASSPHRASE_LENGTH_MIN} characters."
        )
    return typed.encode()
