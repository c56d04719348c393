"""`shualian person keys`, `rekey` and `drop-key`: replace the key of the face templates while people pay."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from server.commands.domain import open_domain, reading, transaction
from server.commands.mistakes import ExitCode
from server.commands.options import Json
from server.commands.output import console, plain, print_json, show_list
from server.commands.session import session_of
from server.wiring import Domain

if TYPE_CHECKING:
    from server.credentials.rekeying import Portion, Rekeying

_COLUMNS = ("file", "key_id", "is_newest", "templates")


def add_to(app: typer.Typer) -> None:
    """Add the verbs to `shualian person`."""
    app.command("keys")(keys)
    app.command("rekey")(rekey)
    app.command("drop-key")(drop_key)


def keys(context: typer.Context, *, as_json: Json = False) -> None:
    """Show the keys of the face templates, and how many are sealed with each."""
    with reading(session_of(context)) as (domain, connection):
        usage = _rekeying(domain).usage(connection)
    if as_json:
        print_json({**plain(usage), "left": usage.left})
        return
    show_list("keys", usage.keys, columns=_COLUMNS, as_json=False, empty="There is no key.")
    if usage.unnamed:
        console().print(f"{usage.unnamed} templates are of the first format, which names no key.")
    if usage.left:
        console().print(f"[bold]{usage.left}[/] are not under the newest key: `shualian person rekey`.")


def rekey(
    context: typer.Context,
    *,
    new_key: Annotated[
        bool, typer.Option("--new-key", help="Only make the next key; copy it to the other machines, then rekey.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Seal every face template with the newest key, some at a time; to interrupt it and run it again is safe."""
    session = session_of(context)
    if new_key:
        with transaction(session) as (domain, connection):
            path = domain.keys.templates.make()
            _rekeying(domain).note_made(connection, key_file=path.name, actor=session.actor)
        _tell_made(str(path), as_json=as_json)
        return
    with open_domain(session) as domain:
        rekeying = _rekeying(domain)
        resealed = unopened = 0
        for portion in _portions(domain, rekeying):
            resealed += portion.resealed
            unopened += portion.unopened
        with domain.engine.begin() as connection:
            rekeying.note_done(connection, resealed=resealed, unopened=unopened, actor=session.actor)
    if as_json:
        print_json({"resealed": resealed, "unopened": unopened})
    else:
        console().print(f"[bold]{resealed}[/] templates were sealed anew.")
        if unopened:
            console().print(f"[bold red]{unopened}[/] open with no key that is here; they stay as they are.")
    if unopened:
        raise typer.Exit(int(ExitCode.REFUSED))


def drop_key(
    context: typer.Context,
    *,
    key_file: Annotated[str, typer.Argument(metavar="FILE", help="Name of the key's file, from `person keys`.")],
    as_json: Json = False,
) -> None:
    """Remove a key that nothing is sealed with any more; backups made before open no more without a copy of it."""
    session = session_of(context)
    with transaction(session) as (domain, connection):
        _rekeying(domain).drop(connection, key_file=key_file, actor=session.actor)
    if as_json:
        print_json({"dropped": key_file})
        return
    console().print(f"[bold]{key_file} is removed.[/] Remove it on the other machines too, and from their backups.")


def _rekeying(domain: Domain) -> "Rekeying":
    from server.credentials.rekeying import Rekeying  # noqa: PLC0415 - needs the pipeline, and `--help` does not

    return Rekeying(keys=domain.keys.templates, audit=domain.audit)


def _portions(domain: Domain, rekeying: "Rekeying") -> Iterator["Portion"]:
    """Reseal portion by portion, each in a transaction of its own."""
    from server.credentials.rekeying import templates_in  # noqa: PLC0415 - as above

    with domain.engine.begin() as connection:
        total = templates_in(connection)
    after: tuple[int, str] | None = (0, "")
    with _progress(total) as advance:
        while after is not None:
            with domain.engine.begin() as connection:
                portion = rekeying.portion(connection, after)
            after = portion.after
            advance(portion.looked_at)
            yield portion


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """Show somebody who watches how far it is."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console  # noqa: PLC0415 - nobody watches most runs
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn  # noqa: PLC0415

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("rekey", total=total)
        yield lambda count: progress.advance(task, count)


def _tell_made(path: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"made": path})
        return
    out = console()
    out.print(f"[bold]Made {path}.[/] New templates are sealed with it from now on.")
    out.print("Copy it to the keys folder of every other machine of this platform, then run `shualian person rekey`.")
