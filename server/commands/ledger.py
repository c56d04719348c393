"""`shualian ledger`: the books of the local insurer."""

import secrets
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from server.commands.domain import contribute, reading, transaction
from server.commands.mistakes import CommandError, ExitCode
from server.commands.options import Json
from server.commands.output import console, plain, print_json, yuan
from server.commands.session import session_of
from server.settlement import pin_free
from server.settlement.books import verify_settlements
from server.settlement.ledger import CONTRIBUTION_FEN_MAX, Account, AccountKind
from server.settlement.reconciliation.days import day_of
from server.settlement.self_pay.electronic_account import electronic_account

app = typer.Typer(name="ledger", help="The books of the local insurer.", no_args_is_help=True, add_completion=False)


@app.command("verify")
def verify(context: typer.Context, *, as_json: Json = False) -> None:
    """Walk all books: postings sum to zero, nothing is below zero, settlements agree. Exit code 1 when not so."""
    session = session_of(context)
    with reading(session) as (domain, connection):
        today = day_of(domain.now(), ZoneInfo(session.config.settlement.time_zone))
        report = domain.ledger.verify(connection)
        compared = verify_settlements(
            connection, is_in_house=domain.insurer.is_in_house, pin_free_since=today - pin_free.KEPT
        )
    is_sound = report.is_sound and compared.is_sound
    if as_json:
        print_json({"ok": is_sound, **plain(report), **plain(compared)})
    else:
        out = console()
        settled = f"{compared.settlements} settlements"
        out.print(f"{report.transactions} postings with {report.entries} entries, {settled}.")
        findings = {
            "unbalanced": report.unbalanced,
            "below zero": report.negative,
            "drifted": report.drifted,
            "settled but not posted": compared.unposted,
            "posted but not settled": compared.unexplained,
            "benefits miscounted": compared.miscounted,
            "credit misstated": compared.credit_misstated,
            "payments without a PIN miscounted": compared.pin_free_miscounted,
        }
        for finding, names in findings.items():
            if names:
                out.print(f"[red]{finding}:[/] {', '.join(names)}")
        out.print(
            "[green]Sums to zero, nothing below zero, settlements agree.[/]"
            if is_sound
            else "[red]The books are wrong.[/]"
        )
    if not is_sound:
        raise typer.Exit(ExitCode.REFUSED)


@app.command("top-up")
def top_up(
    context: typer.Context,
    *,
    person_id: Annotated[str, typer.Option("--person", help="Whose electronic account (电子账户).")],
    amount_fen: Annotated[int, typer.Option("--amount-fen", min=1, max=CONTRIBUTION_FEN_MAX, help="How much, in fen.")],
    reference: Annotated[
        str | None, typer.Option("--reference", help="Name of the top-up; the same one is not booked twice.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Put money into somebody's electronic account, from which they may pay what no insurance does."""
    _bring_in(
        context, electronic_account(person_id), person_id, amount_fen=amount_fen, reference=reference, as_json=as_json
    )


@app.command("fund")
def fund(
    context: typer.Context,
    *,
    amount_fen: Annotated[int, typer.Option("--amount-fen", min=1, max=CONTRIBUTION_FEN_MAX, help="How much, in fen.")],
    region: Annotated[
        str | None, typer.Option("--region", help="Into the pooled fund (统筹基金) of this region.")
    ] = None,
    person_id: Annotated[str | None, typer.Option("--person", help="Into this person's account (个人账户).")] = None,
    reference: Annotated[
        str | None, typer.Option("--reference", help="Name of the contribution; the same one is not booked twice.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Book a contribution; a pooled fund pays only what it holds."""
    if (region is None) == (person_id is None):
        raise CommandError(
            "It is not clear whose money this is.", next="Use --region or --person.", code=ExitCode.USAGE
        )
    account = Account(AccountKind.POOLED_FUND, region) if region else Account(AccountKind.PERSON, person_id or "")
    _bring_in(context, account, person_id, amount_fen=amount_fen, reference=reference, as_json=as_json)


def _bring_in(
    context: typer.Context,
    account: Account,
    person_id: str | None,
    *,
    amount_fen: int,
    reference: str | None,
    as_json: bool,
) -> None:
    named = reference or f"manual:{secrets.token_hex(8)}"
    session = session_of(context)
    with transaction(session) as (domain, connection):
        if person_id and domain.people.get(connection, person_id) is None:
            raise CommandError("No person has this id.", next="Ids are printed by `shualian person add`.")
        contribute(domain, connection, account, amount_fen=amount_fen, reference=named, actor=session.actor)
        balance = domain.ledger.balance(connection, account)
    if as_json:
        print_json(
            {"account": account.account_id, "reference": named, "amount_fen": amount_fen, "balance_fen": balance}
        )
        return
    console().print(f"{yuan(amount_fen)} into {account.account_id}; it holds {yuan(balance)}.")
