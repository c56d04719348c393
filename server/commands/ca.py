"""`shualian ca`: the authority that signs terminals and servers."""

from datetime import UTC, datetime

import typer

from device_registry.authority import Authority, CertificateLifetimes
from server.commands.output import Json, console, print_json
from server.commands.session import session_of
from server.config import Config
from server.keyring import make_keys

app = typer.Typer(name="ca", help="The certificate authority.", no_args_is_help=True, add_completion=False)


@app.command("init")
def init(context: typer.Context, *, as_json: Json = False) -> None:
    """Make the authority and all key files; refuses to overwrite anything."""
    config = session_of(context).config
    made = make_keys(config)
    authority = Authority.create(
        config.authority_dir,
        passphrase=config.ca_passphrase.read_bytes().strip(),
        now=lambda: datetime.now(UTC),
        lifetimes=CertificateLifetimes(
            terminal=config.registry.certificate_lifetime, server=config.tls.server_lifetime
        ),
    )
    offline = config.authority_dir / "root"
    if as_json:
        print_json({**_described(config, authority), "take_offline": offline, "keys_made": made})
        return
    out = console()
    out.print(f"[bold]Authority made[/] in {config.authority_dir}; {len(made)} key files in {config.keys_dir}.")
    out.print(f"Root fingerprint (SHA-256): [bold]{authority.root_fingerprint_sha256}[/]")
    out.print("Give the fingerprint to whoever installs terminals.")
    out.print(
        f"[yellow]Take {offline} offline now[/] (a safe, not a disk in this machine) and back up {config.keys_dir}."
    )


@app.command("show")
def show(context: typer.Context, *, as_json: Json = False) -> None:
    """Show the root's fingerprint and how long the issuing certificate lasts."""
    config = session_of(context).config
    authority = Authority.open(config.authority_dir, passphrase=config.ca_passphrase.read_bytes().strip())
    if as_json:
        print_json(_described(config, authority))
        return
    out = console()
    out.print(f"Root fingerprint (SHA-256): [bold]{authority.root_fingerprint_sha256}[/]")
    out.print(f"Issuing certificate good until {authority.not_after:%Y-%m-%d}.")
    if (config.authority_dir / "root").exists():
        out.print(f"[yellow]The root's key is still on this machine:[/] take {config.authority_dir / 'root'} offline.")


def _described(config: Config, authority: Authority) -> dict[str, object]:
    return {
        "root_fingerprint_sha256": authority.root_fingerprint_sha256,
        "issuing_not_after": authority.not_after,
        "root_certificate": config.authority_dir / "root.pem",
    }
