"""`shualian credit`: who may owe how much of the self-paid part, who owes it, and what was repaid."""

import secrets
from typing import Annotated

import typer
from sqlalchemy import Connection

from server.commands.domain import reading, transaction
from server.commands.mistakes import CommandError
from server.commands.options import Json
from server.commands.output import console, plain, print_json, show_list, show_record, yuan
from server.commands.session import session_of
from server.settlement.self_pay.credit import CreditLine
from server.wiring import Domain

app = typer.Typer(name="credit", help="Credit for the self-paid part.", no_args_is_help=True, add_completion=False)

LINES_MAX = 10_000
PERSON = Annotated[str, typer.Argument(help="Whose; ids are printed by `shualian person add`.")]


@app.command("approve")
def approve(
    context: typer.Context,
    person_id: PERSON,
    *,
    limit_fen: Annotated[int, typer.Option("--limit-fen", min=0, help="How much may be owed at once, in fen.")],
    days: Annotated[
        int | None,
        typer.Option("--days", min=1, max=365, help="When what is taken is due; as configured when left out."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Approve a limit, or another one; a line that was stopped lends again."""
    session = session_of(context)
    with transaction(session) as (domain, connection):
        _refuse_unknown(domain, connection, person_id)
        line = domain.credit.approve(
            connection,
            person_id,
            limit_fen=limit_fen,
            pay_within_days=days or domain.config.self_pay.credit_pay_within_days,
            actor=session.actor,
        )
    _show(line, as_json=as_json)


@app.command("stop")
def stop(context: typer.Context, person_id: PERSON, *, as_json: Json = False) -> None:
    """Lend no more to somebody; what is owed stays owed."""
    session = session_of(context)
    with transaction(session) as (domain, connection):
        line = domain.credit.stop(connection, person_id, actor=session.actor)
    _show(line, as_json=as_json)


@app.command("repay")
def repay(
    context: typer.Context,
    person_id: PERSON,
    *,
    amount_fen: Annotated[int, typer.Option("--amount-fen", min=1, help="How much was received, in fen.")],
    reference: Annotated[
        str | None,
        typer.Option("--reference", help="Name of the repayment; the same one is not booked twice."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write down that somebody repaid; what is due first is repaid first."""
    session = session_of(context)
    named = reference or f"manual:{secrets.token_hex(8)}"
    with transaction(session) as (domain, connection):
        line = domain.credit.repay(connection, person_id, amount_fen=amount_fen, reference=named, actor=session.actor)
    if as_json:
        print_json({"reference": named, "amount_fen": amount_fen, **plain(line)})
        return
    console().print(f"{yuan(amount_fen)} repaid as {named}; {yuan(line.owed_fen)} are still owed.")


@app.command("show")
def show(context: typer.Context, person_id: PERSON, *, as_json: Json = False) -> None:
    """Show what somebody may owe and what they owe, settlement by settlement."""
    with reading(session_of(context)) as (domain, connection):
        line = domain.credit.line(connection, person_id)
        debts = domain.credit.debts(connection, person_id)
    if as_json:
        print_json({**plain(line), "debts": [plain(debt) for debt in debts]})
        return
    _show(line, as_json=False)
    show_list(
        "debts",
        debts,
        columns=("transaction_id", "taken_fen", "repaid_fen", "taken_at", "due_on"),
        as_json=False,
        empty="Nothing is owed.",
    )


@app.command("list")
def list_lines(
    context: typer.Context,
    *,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only those who owe something that is overdue.")] = False,
    as_json: Json = False,
) -> None:
    """List who may owe and who owes, what is due first at the top: who is to be asked, for how much, and since when."""
    with reading(session_of(context)) as (domain, connection):
        lines = domain.credit.lines(connection, overdue_only=overdue, limit=LINES_MAX)
    show_list(
        "lines",
        lines,
        columns=("person_id", "limit_fen", "owed_fen", "overdue_fen", "next_due_on", "is_stopped", "approved_by"),
        as_json=as_json,
        empty="Nobody's debt is overdue." if overdue else "No credit was approved yet.",
    )


def _show(line: CreditLine, *, as_json: bool) -> None:
    show_record(line, as_json=as_json)


def _refuse_unknown(domain: Domain, connection: Connection, person_id: str) -> None:
    if domain.people.get(connection, person_id) is None:
        raise CommandError("No person has this id.", next="Ids are printed by `shualian person add`.")
