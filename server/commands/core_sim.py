"""`shualian core-sim`: the provincial core as a process, to try settlements against without a province."""

import ipaddress
import json
import sqlite3
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from server.commands.mistakes import CommandError, ExitCode
from server.core_simulator import Books, Core, CoreSettings, Ready, Script, Seals, serve
from server.core_simulator.script import ScriptError, script_from_file

SECRET_CHARACTERS_MAX: Final = 200

app = typer.Typer(name="core-sim", add_completion=False)

Listen = Annotated[str, typer.Option("--listen", metavar="HOST:PORT", help="Where to listen; port 0 is any free one.")]
Anywhere = Annotated[
    bool,
    typer.Option("--anywhere", help="Listen on an address that other machines reach; it holds made-up people only."),
]
BooksFile = Annotated[Path, typer.Option("--books", metavar="FILE", help="SQLite file of its books.", dir_okay=False)]
PeopleFile = Annotated[
    Path | None, typer.Option("--people", metavar="FILE.toml", help="People to insure.", exists=True, dir_okay=False)
]
KnownOnly = Annotated[
    bool, typer.Option("--known-only", help="Refuse unknown credentials and cards instead of making people up.")
]
ScriptFile = Annotated[
    Path | None, typer.Option("--script", metavar="FILE.toml", help="How it misbehaves.", exists=True, dir_okay=False)
]
SecretFile = Annotated[
    Path | None,
    typer.Option("--secret-file", metavar="FILE", help="Secret shared with institutions; headers are checked with it.",
                 exists=True, dir_okay=False),
]  # fmt: skip
InstitutionKey = Annotated[
    Path | None,
    typer.Option("--institution-key", metavar="PEM", help="Institutions' SM2 public key; cainfo is checked with it.",
                 exists=True, dir_okay=False),
]  # fmt: skip
CoreKey = Annotated[
    Path | None,
    typer.Option("--core-key", metavar="PEM", help="The core's SM2 private key; answers are signed with it.",
                 exists=True, dir_okay=False),
]  # fmt: skip
Sm4 = Annotated[bool, typer.Option("--sm4", help="Take and give SM4 bodies only; needs --secret-file.")]
Lifetime = Annotated[int, typer.Option("--sign-in-seconds", help="How long a sign_no is good.", min=1, max=604_800)]
Zone = Annotated[str, typer.Option("--zone", help="Time zone whose days settlements are counted in.")]
ReadyFile = Annotated[
    Path | None, typer.Option("--ready-file", metavar="FILE", help="Gets the address as JSON once it listens.",
                              dir_okay=False)
]  # fmt: skip


@app.command("core-sim")
def core_sim(
    *, listen: Listen = "127.0.0.1:0", anywhere: Anywhere = False, books: BooksFile = Path("core-books.db"),
    people: PeopleFile = None, known_only: KnownOnly = False, script: ScriptFile = None,
    secret_file: SecretFile = None, institution_key: InstitutionKey = None, core_key: CoreKey = None,
    sm4: Sm4 = False, sign_in_seconds: Lifetime = 86_400, zone: Zone = "Asia/Shanghai", ready_file: ReadyFile = None,
) -> None:  # fmt: skip
    """Run a simulated provincial core until SIGTERM or Ctrl-C; prints its address as one JSON line."""
    host, port = _host_and_port(listen, is_anywhere=anywhere)
    if sm4 and secret_file is None:
        raise CommandError("--sm4 needs a secret.", next="Name its file with --secret-file.", code=ExitCode.USAGE)
    seals = Seals(
        secret=_text(secret_file),
        institution_key_pem=_bytes(institution_key),
        core_key_pem=_bytes(core_key),
        is_encrypted=sm4,
    )
    _check(seals)
    settings = CoreSettings(
        zone=_zone(zone), makes_people_up=not known_only, sign_in_lifetime=timedelta(seconds=sign_in_seconds)
    )
    opened = _opened(books)
    core = Core(books=opened, seals=seals, settings=settings, now=lambda: datetime.now(UTC))
    if people is not None:
        _load(core, opened, people)
    serve(core=core, books=opened, script=_script(script), host=host, port=port, ready_file=ready_file, on_ready=_tell)


def _tell(ready: Ready) -> None:
    sys.stdout.write(json.dumps({"event": "ready", "address": ready.address, "pid": ready.pid}) + "\n")
    sys.stdout.flush()


def _host_and_port(listen: str, *, is_anywhere: bool) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    try:
        is_here = host == "localhost" or ipaddress.ip_address(host).is_loopback
        number = int(port)
    except ValueError as error:
        raise CommandError(f"{listen} is no HOST:PORT.", next="Such as 127.0.0.1:0.", code=ExitCode.USAGE) from error
    if not is_here and not is_anywhere:
        raise CommandError(
            f"{host} can be reached from other machines.", next="Add --anywhere if that is meant.", code=ExitCode.USAGE
        )
    return host, number


def _check(seals: Seals) -> None:
    try:
        seals.check_keys()
    except ValueError as error:
        raise CommandError(
            f"{error}.", next="Look at --institution-key and --core-key.", code=ExitCode.CONFIGURATION
        ) from error


def _opened(path: Path) -> Books:
    try:
        return Books(path)
    except sqlite3.Error as error:
        raise CommandError(
            f"{path} cannot be used for books: {error}.",
            next="Name another file with --books.",
            code=ExitCode.UNAVAILABLE,
        ) from error


def _load(core: Core, books: Books, path: Path) -> None:
    try:
        with books.transaction():
            core.people.load(path)
    except ValueError as error:
        raise CommandError(f"{error}.", next="Correct the file.", code=ExitCode.CONFIGURATION) from error


def _script(path: Path | None) -> Script:
    try:
        return Script() if path is None else script_from_file(path)
    except ScriptError as error:
        raise CommandError(f"{error}.", next="Correct the script.", code=ExitCode.CONFIGURATION) from error


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise CommandError(f"{name} is no time zone.", next="Such as Asia/Shanghai.", code=ExitCode.USAGE) from error


def _text(path: Path | None) -> str:
    secret = path.read_text(encoding="utf-8").strip() if path is not None else ""
    if path is not None and not 0 < len(secret) <= SECRET_CHARACTERS_MAX:
        raise CommandError(f"{path} holds no secret.", next="One line of text.", code=ExitCode.CONFIGURATION)
    return secret


def _bytes(path: Path | None) -> bytes:
    return path.read_bytes() if path is not None else b""
