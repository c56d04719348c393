"""`shualian ca`: the root, and the issuing authorities that sign terminals, servers and operators."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from device_registry.authority.authority import Authority
from device_registry.authority.profiles import DEFAULT_LIFETIMES, CertificateLifetimes
from device_registry.authority.root import Root
from server.commands.mistakes import CommandError
from server.commands.options import Json, Reason
from server.commands.output import console, print_json, show_list, show_record
from server.commands.remote import admin
from server.commands.session import Session, session_of
from server.commands.shown import shown
from server.issuing import certificate_lifetimes, issuing_keys
from server.keyring import make_keys
from server.services.admin.convert import moment
from shualian.admin.v1 import authority_pb2 as pb
from shualian.admin.v1.authority_pb2_grpc import AuthorityServiceStub

app = typer.Typer(name="ca", help="The certificate authority.", no_args_is_help=True, add_completion=False)

IssuerId = Annotated[str, typer.Argument(metavar="ISSUER", help="As `shualian ca list` shows it.")]
RootFolder = Annotated[
    Path | None, typer.Option("--root", metavar="DIR", help="The root's offline folder: key.pem and certificate.pem.")
]
PassphraseFile = Annotated[
    Path | None,
    typer.Option("--passphrase-file", metavar="FILE", help="Opens the root's key; asked for when not given."),
]
Days = Annotated[
    int, typer.Option("--days", min=1, max=3650, help="Life of the issuing certificate, within the root's own.")
]
_DAYS = DEFAULT_LIFETIMES.issuing // timedelta(days=1)
_COLUMNS = ("issuer_id", "state", "state_since", "days_left", "terminals", "share", "dependents", "key_backend")


@app.command("init")
def init(context: typer.Context, *, as_json: Json = False) -> None:
    """Make the root, a first issuing authority and all key files; refuses to overwrite anything."""
    config = session_of(context).config
    made = make_keys(config)
    authority = Authority.create(
        config.authority_dir,
        passphrase=config.ca_passphrase.read_bytes().strip(),
        now=lambda: datetime.now(UTC),
        lifetimes=certificate_lifetimes(config),
        keys=issuing_keys(config),
    )
    offline = config.authority_dir / "root"
    if as_json:
        print_json(
            {
                "root_fingerprint_sha256": authority.root_fingerprint_sha256,
                "issuer_id": authority.issuer_id,
                "issuing_not_after": authority.not_after,
                "root_certificate": config.authority_dir / "root.pem",
                "take_offline": offline,
                "keys_made": made,
            }
        )
        return
    out = console()
    out.print(f"[bold]Authority made[/] in {config.authority_dir}; {len(made)} key files in {config.keys_dir}.")
    out.print(f"Root fingerprint (SHA-256): [bold]{authority.root_fingerprint_sha256}[/]")
    out.print("Give the fingerprint to whoever installs terminals.")
    out.print(
        f"[yellow]Take {offline} offline now[/] (a safe, not a disk in this machine) and back up {config.keys_dir}."
    )
    out.print(f"Put a copy of {config.ca_passphrase} into another safe: it opens the root's key too.")


@app.command("show")
def show(context: typer.Context, *, as_json: Json = False) -> None:
    """Show the root, and every issuing authority with its state, days left and share of the fleet."""
    session = session_of(context)
    listed = _listed(session)
    issuers = _rows(listed)
    root = x509.load_der_x509_certificate(listed.root_certificate_der)
    if as_json:
        active = next((issuer for issuer in issuers if issuer["state"] == "ACTIVE"), {})
        print_json(
            {
                "root_fingerprint_sha256": listed.root_fingerprint_sha256,
                "root_not_after": root.not_valid_after_utc,
                "issuing_not_after": active.get("not_after"),
                "terminals": listed.terminals,
                "issuers": issuers,
            }
        )
        return
    out = console()
    out.print(f"Root fingerprint (SHA-256): [bold]{listed.root_fingerprint_sha256}[/]")
    out.print(f"Root good until {root.not_valid_after_utc:%Y-%m-%d}; {listed.terminals} terminals in service.")
    show_list("issuers", issuers, columns=_COLUMNS, as_json=False, empty="")
    if not session.server and (session.config.authority_dir / "root").exists():
        offline = session.config.authority_dir / "root"
        out.print(f"[yellow]The root's key is still on this machine:[/] take {offline} offline.")


@app.command("list")
def list_issuers(context: typer.Context, *, as_json: Json = False) -> None:
    """List the issuing authorities, oldest first."""
    rows = _rows(_listed(session_of(context)))
    show_list("issuers", rows, columns=_COLUMNS, as_json=as_json, empty="No issuing authority yet.")


@app.command("prepare")
def prepare(
    context: typer.Context,
    *,
    reason: Reason,
    root: RootFolder = None,
    passphrase_file: PassphraseFile = None,
    days: Days = _DAYS,
    request: Annotated[
        Path | None,
        typer.Option("--request", metavar="FILE", help="Without --root: write here what the root is to sign (PEM)."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make the key of a next issuing authority, have the root sign it on this machine, and install the certificate."""
    if (root is None) == (request is None):
        raise CommandError(
            "Say where the root is.",
            next="Name its folder with --root; or write a --request, take it to the root, and use `shualian ca sign`.",
        )
    with admin(session_of(context)) as api:
        authority = AuthorityServiceStub(api)
        prepared = authority.PrepareIssuer(pb.PrepareIssuerRequest(reason=reason))
        asked = x509.load_der_x509_csr(prepared.signing_request_der)
        if root is None:
            if request is not None:
                request.write_bytes(asked.public_bytes(Encoding.PEM))
            _tell(prepared.issuer, as_json=as_json, then=f"Take {request} to the root: `shualian ca sign`.")
            return
        signed = _signed(asked, root, passphrase_file, days, expected_der=prepared.root_certificate_der)
        installed = authority.InstallIssuer(
            pb.InstallIssuerRequest(
                issuer_id=prepared.issuer.issuer_id, certificate_der=signed.public_bytes(Encoding.DER)
            )
        ).issuer
    _tell(installed, as_json=as_json, then=f"`shualian ca activate {installed.issuer_id}` lets it sign.")


@app.command("sign")
def sign(
    *,
    request: Annotated[Path, typer.Option("--request", metavar="FILE", help="What `shualian ca prepare` wrote.")],
    root: Annotated[Path, typer.Option("--root", metavar="DIR", help="The root's offline folder.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the certificate goes (PEM).")],
    passphrase_file: PassphraseFile = None,
    days: Days = _DAYS,
) -> None:
    """Sign a next issuing authority where the root is; needs no platform and no network."""
    try:
        asked = x509.load_pem_x509_csr(request.read_bytes())
    except ValueError as error:
        raise CommandError(
            f"{request} is no signing request.", next="Give the file that `ca prepare` wrote."
        ) from error
    out.write_bytes(_signed(asked, root, passphrase_file, days).public_bytes(Encoding.PEM))
    console().print(f"Signed. Take {out} to the platform: `shualian ca install ISSUER --certificate {out}`.")


@app.command("install")
def install(
    context: typer.Context,
    *,
    issuer: IssuerId,
    certificate: Annotated[
        Path, typer.Option("--certificate", metavar="FILE", help="What `shualian ca sign` wrote (PEM).")
    ],
    as_json: Json = False,
) -> None:
    """Install the certificate that the root signed for a prepared issuing authority."""
    try:
        given = x509.load_pem_x509_certificate(certificate.read_bytes()).public_bytes(Encoding.DER)
    except ValueError as error:
        raise CommandError(f"{certificate} is no certificate.", next="Give the file that `ca sign` wrote.") from error
    with admin(session_of(context)) as api:
        installed = AuthorityServiceStub(api).InstallIssuer(
            pb.InstallIssuerRequest(issuer_id=issuer, certificate_der=given)
        )
    _tell(installed.issuer, as_json=as_json, then=f"`shualian ca activate {issuer}` lets it sign.")


@app.command("activate")
def activate(
    context: typer.Context,
    *,
    issuer: IssuerId,
    reason: Reason,
    force: Annotated[
        bool, typer.Option("--force", help="Also when its key does not sign at this server; nothing is issued then.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Let new certificates come from an issuing authority; those of the former one stay good."""
    with admin(session_of(context)) as api:
        asked = pb.ActivateIssuerRequest(issuer_id=issuer, reason=reason, even_without_key=force)
        activated = AuthorityServiceStub(api).ActivateIssuer(asked).issuer
    _tell(activated, as_json=as_json, then="`shualian ca show` tells how much of the fleet is on it.")


@app.command("taint")
def taint(context: typer.Context, *, issuer: IssuerId, reason: Reason, as_json: Json = False) -> None:
    """Make every certificate of a former issuing authority due for renewal; they stay good."""
    with admin(session_of(context)) as api:
        tainted = AuthorityServiceStub(api).TaintIssuer(pb.TaintIssuerRequest(issuer_id=issuer, reason=reason)).issuer
    _tell(tainted, as_json=as_json, then="Terminals renew when they next ask; a rollout tells them now.")


@app.command("revoke")
def revoke(
    context: typer.Context,
    *,
    issuer: IssuerId,
    reason: Reason,
    force: Annotated[
        bool, typer.Option("--force", help="Lock out the terminals and operators that still depend on it.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Withdraw a tainted issuing authority with every certificate it signed; their holders are cut at once."""
    with admin(session_of(context)) as api:
        asked = pb.RevokeIssuerRequest(issuer_id=issuer, reason=reason, even_if_in_use=force)
        revoked = AuthorityServiceStub(api).RevokeIssuer(asked).issuer
    _tell(revoked, as_json=as_json, then="Its key is of no use any more: destroy it, in its folder or in the token.")


def _listed(session: Session) -> pb.ListIssuersResponse:
    with admin(session) as api:
        return AuthorityServiceStub(api).ListIssuers(pb.ListIssuersRequest())


def _rows(listed: pb.ListIssuersResponse) -> Sequence[Mapping[str, Any]]:
    """Return the issuers with what people ask first: how long it lasts, and how much of the fleet is on it."""
    now = datetime.now(UTC)
    return [
        {
            **shown(issuer),
            "days_left": (moment(issuer.not_after) - now).days if issuer.HasField("not_after") else None,
            "share": f"{issuer.terminals / listed.terminals:.0%}" if listed.terminals else "-",
        }
        for issuer in listed.issuers
    ]


def _signed(
    asked: x509.CertificateSigningRequest,
    folder: Path,
    passphrase_file: Path | None,
    days: int,
    *,
    expected_der: bytes | None = None,
) -> x509.Certificate:
    """Return what the root in a folder makes of a request; its key is opened here and forgotten again."""
    if passphrase_file is not None:
        passphrase = passphrase_file.read_bytes().strip()
    else:
        passphrase = typer.prompt("Passphrase of the root's key", hide_input=True, err=True).encode()
    root = Root.open(folder, passphrase=passphrase)
    if expected_der is not None and root.certificate.public_bytes(Encoding.DER) != expected_der:
        raise CommandError(
            f"The root in {folder} is not the platform's.", next="`shualian ca show` prints the platform's fingerprint."
        )
    lifetimes = CertificateLifetimes(issuing=timedelta(days=days))
    return root.sign_issuing(asked, lifetimes=lifetimes, at=datetime.now(UTC))


def _tell(issuer: pb.Issuer, *, as_json: bool, then: str) -> None:
    show_record(shown(issuer), as_json=as_json, title=f"Issuing authority {issuer.issuer_id}")
    if not as_json:
        console().print(then, style="dim")
