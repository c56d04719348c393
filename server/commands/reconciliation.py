"""`shualian reconciliation`: our books against the insurer's, and what differs."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

import typer

from server import convert
from server.commands.doubting import in_the_room
from server.commands.mistakes import CommandError, ExitCode
from server.commands.options import Json, Reason
from server.commands.output import console, plain, print_json, show_list, yuan
from server.commands.session import session_of
from server.refusals import InvalidRequestError
from server.settlement.reconciliation.items import Item

app = typer.Typer(
    name="reconciliation",
    help="Our books against the insurer's: compare, look, repair, close.",
    no_args_is_help=True,
    add_completion=False,
)

_ITEM = Annotated[str, typer.Argument(metavar="ITEM", help="Id of the item, from `shualian reconciliation list`.")]
_DAY = Annotated[str, typer.Option("--day", metavar="YYYY-MM-DD", help="Only this day.")]
_COLUMNS = ("item_id", "day", "class", "about", "ours", "theirs", "state", "proposal", "owner", "age", "seen")


@app.command("run")
def run(context: typer.Context, *, day: _DAY = "", as_json: Json = False) -> None:
    """Compare every day that is open, or one day, now. Exit code 1 when something differs or could not be compared."""
    wanted = _day(day)
    results = in_the_room(session_of(context), lambda room: room.reconciliation.run(wanted))
    is_fine = all(result.agrees for result in results)
    if as_json:
        print_json({"ok": is_fine, "days": [plain(result) for result in results]})
    else:
        for result in results:
            console().print(_sentence(result.day, agrees=result.agrees, differences=result.differences, why=result.why))
    if not is_fine:
        raise typer.Exit(ExitCode.REFUSED)


@app.command("list")
def listed(context: typer.Context, *, day: _DAY = "", as_json: Json = False) -> None:
    """List the differences that are open, oldest first; with --day all of that day, closed ones too."""
    wanted = _day(day)
    found = in_the_room(session_of(context), lambda room: room.items.listed(wanted))
    now = datetime.now(UTC)
    show_list(
        "items",
        [plain(item) if as_json else _as_row(item, now) for item in found],
        columns=_COLUMNS,
        as_json=as_json,
        empty="The books agree.",
    )


@app.command("assign")
def assign(
    context: typer.Context,
    item_id: _ITEM,
    owner: Annotated[str, typer.Argument(metavar="OWNER", help="Who looks after it; up to 64 characters.")],
    *,
    as_json: Json = False,
) -> None:
    """Say who looks after a difference."""
    session = session_of(context)
    if not 0 < len(owner) <= 64:  # noqa: PLR2004 - the column's width, told in the option's help
        raise CommandError("An owner is a name of up to 64 characters.", next="Shorten it.", code=ExitCode.USAGE)
    item = in_the_room(session, lambda room: room.items.assign(item_id, owner, actor=session.actor))
    _tell(item, f"{owner} looks after {item.item_id} now.", as_json=as_json)


@app.command("confirm")
def confirm(context: typer.Context, item_id: _ITEM, *, as_json: Json = False) -> None:
    """Carry out the repair that is proposed: have the insurer undo what is undone here."""
    session = session_of(context)
    repaired = in_the_room(session, lambda room: room.items.confirm(item_id, actor=session.actor))
    came = "the insurer has undone it" if repaired.money_moved_back else "the insurer had nothing booked any more"
    _tell(repaired.item, f"{item_id} is repaired: {came}.", as_json=as_json)


@app.command("close")
def close(context: typer.Context, item_id: _ITEM, *, reason: Reason, as_json: Json = False) -> None:
    """Close a difference that somebody has seen to; when it is found again, it is open again."""
    session = session_of(context)
    if not 0 < len(reason) <= 200:  # noqa: PLR2004 - the column's width
        raise CommandError("A reason has up to 200 characters.", next="Shorten it.", code=ExitCode.USAGE)
    item = in_the_room(session, lambda room: room.items.close(item_id, actor=session.actor, reason=reason))
    _tell(item, f"{item_id} is closed.", as_json=as_json)


def _tell(item: Item, sentence: str, *, as_json: bool) -> None:
    if as_json:
        print_json(item)
    else:
        console().print(sentence)


def _sentence(day: date, *, agrees: bool, differences: int, why: str) -> str:
    if why:
        return f"{day}: [red]could not be compared[/] ({why})."
    if agrees:
        return f"{day}: [green]agrees[/]."
    if differences:
        return f"{day}: [red]{differences} differences[/]; see `shualian reconciliation list`."
    return f"{day}: [yellow]open[/]; something of it is still in doubt."


def _as_row(item: Item, now: datetime) -> dict[str, Any]:
    return {
        "item_id": item.item_id,
        "day": item.day.isoformat(),
        "class": item.difference_class.value,
        "about": item.transaction_id or item.reference,
        "ours": _money(item.ours_fen),
        "theirs": _money(item.theirs_fen),
        "state": item.outcome.value or item.state.value,
        "proposal": item.proposal.value,
        "owner": item.owner,
        "age": str(timedelta(seconds=max(int((now - item.first_seen_at).total_seconds()), 0))),
        "seen": item.times_seen,
    }


def _money(fen: int | None) -> str:
    return "" if fen is None else yuan(fen)


def _day(text: str) -> date | None:
    if not text:
        return None
    try:
        return convert.day(text, "day")
    except InvalidRequestError as error:
        raise CommandError(f"{text} is no day.", next="As in --day 2026-03-02.", code=ExitCode.USAGE) from error
