"""`shualian settlement`: payments whose outcome nobody knows, and what an operator can do about them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from server.commands.doubting import in_the_room
from server.commands.mistakes import CommandError, ExitCode
from server.commands.options import Json, Reason
from server.commands.output import console, plain, print_json, show_list, show_record, yuan
from server.commands.session import session_of
from server.doubt_room import DoubtRoom
from server.settlement.closing import Looked, Verdict
from server.settlement.doubts import Doubt
from server.settlement.insurers import Heard

app = typer.Typer(
    name="settlement", help="Payments in doubt: look, try anew, decide.", no_args_is_help=True, add_completion=False
)

_ID = Annotated[str, typer.Argument(metavar="ID", help="Transaction id of the settlement.")]
_COLUMNS = ("transaction_id", "wanted", "total", "age", "tries", "why", "next_try_at")


@app.command("doubts")
def doubts(
    context: typer.Context,
    *,
    dead: Annotated[bool, typer.Option("--dead", help="Only what was given up on.")] = False,
    as_json: Json = False,
) -> None:
    """List what is in doubt, oldest first: how long, how often it was tried, and what went wrong last."""
    found = in_the_room(session_of(context), lambda room: room.doubts.listed(dead_only=dead))
    now = datetime.now(UTC)
    show_list(
        "doubts",
        [plain(doubt) if as_json else _as_row(doubt, now) for doubt in found],
        columns=_COLUMNS,
        as_json=as_json,
        empty="Nothing is in doubt.",
    )


@app.command("show")
def show(
    context: typer.Context,
    transaction_id: _ID,
    *,
    verbatim: Annotated[
        str | None,
        typer.Option(
            metavar="REASON",
            help="Also what the insurer wrote, word for word. It may name people: say why you read it, "
            "it stands in the audit trail.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show where one settlement stands, and what was tried to end its doubt."""
    session = session_of(context)
    if verbatim is not None and not verbatim.strip():
        raise CommandError("Why it is read is not said.", next='As in --verbatim "complaint 17".', code=ExitCode.USAGE)
    looked, heard = in_the_room(
        session, lambda room: _looked(room, transaction_id, actor=session.actor, reason=verbatim)
    )
    row = plain(looked.row)
    # Whose bill it is stays with the one who treated them: an operator needs the id alone.
    for name in ("person_id", "payer_id", "body_sha256", "stay_number", "chronic_disease"):
        row.pop(name, None)
    if as_json:
        said = {} if heard is None else {"heard": [plain(each) for each in heard]}
        print_json({**row, "tried": [plain(each) for each in looked.tries], **said})
        return
    show_record(row, as_json=False)
    show_list(
        "tried",
        looked.tries,
        columns=("number", "tried_at", "intent", "outcome", "why"),
        as_json=False,
        empty="It was never in doubt.",
    )
    if heard is not None:
        show_list(
            "heard",
            [{**plain(each), "words": _printable(each.words)} for each in heard],
            columns=("message_id", "call", "sent_at", "code", "words"),
            as_json=False,
            empty="Nothing of it was ever sent to an insurer elsewhere.",
        )


async def _looked(
    room: DoubtRoom, transaction_id: str, *, actor: str, reason: str | None
) -> tuple[Looked, Sequence[Heard] | None]:
    """Return a settlement, and what was heard of it where somebody says why they read that."""
    looked = await room.doubts.show(transaction_id)
    if reason is None:
        return looked, None
    return looked, await room.doubts.read_words(transaction_id, actor=actor, reason=reason)


@app.command("retry")
def retry(
    context: typer.Context,
    transaction_id: Annotated[str | None, typer.Argument(metavar="ID", help="Which one.")] = None,
    *,
    all_dead: Annotated[bool, typer.Option("--all-dead", help="Everything that was given up on.")] = False,
    as_json: Json = False,
) -> None:
    """Have the platform try anew what it has given up on, as often as before."""
    if (transaction_id is None) is not all_dead:
        raise CommandError("It is not clear which one.", next="Name an ID, or use --all-dead.", code=ExitCode.USAGE)
    session = session_of(context)
    revived = in_the_room(session, lambda room: room.doubts.retry(transaction_id, actor=session.actor))
    if as_json:
        print_json({"retried": list(revived)})
        return
    console().print(f"{len(revived)} to be tried anew by the running platform.")


@app.command("close")
def close(
    context: typer.Context,
    transaction_id: _ID,
    *,
    verdict: Annotated[Verdict, typer.Option("--as", help="How it ended, by the insurer's books.")],
    reason: Reason,
    as_json: Json = False,
) -> None:
    """Decide what was given up on. The insurer is asked once more; when it says otherwise, that counts."""
    session = session_of(context)
    closed = in_the_room(
        session, lambda room: room.doubts.close(transaction_id, verdict, actor=session.actor, reason=reason)
    )
    if as_json:
        print_json(closed)
        return
    said = "the insurer agrees" if closed.insurer == "AGREES" else "the insurer did not answer"
    console().print(f"{closed.transaction_id} is {closed.state.value} now; {said}.")


def _printable(words: str) -> str:
    """Return words of somebody else's as a screen may show them: without anything that steers it."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in words)


def _as_row(doubt: Doubt, now: datetime) -> dict[str, Any]:
    return {
        "transaction_id": doubt.transaction_id,
        "wanted": doubt.intent.value,
        "total": "" if doubt.total_fen is None else yuan(doubt.total_fen),
        "age": str(timedelta(seconds=max(int((now - doubt.since).total_seconds()), 0))),
        "tries": doubt.tries,
        "why": doubt.why,
        "next_try_at": "given up" if doubt.next_try_at is None else doubt.next_try_at.isoformat(timespec="seconds"),
    }
