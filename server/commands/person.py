"""`shualian person`: the insured people this platform knows. ID numbers and PINs are never printed."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from server.commands import (
    person_benefits,
    person_credentials,
    person_family,
    person_forget,
    person_import,
    person_keys,
    person_sites,
)
from server.commands.domain import contribute, open_domain, reading
from server.commands.mistakes import CommandError, ExitCode
from server.commands.options import Json
from server.commands.output import console, plain, print_json, yuan
from server.commands.session import session_of
from server.settlement.ledger import CONTRIBUTION_FEN_MAX, Account, AccountKind

app = typer.Typer(name="person", help="Insured people.", no_args_is_help=True, add_completion=False)
person_credentials.add_to(app)
person_family.add_to(app)
person_forget.add_to(app)
person_keys.add_to(app)
person_import.add_to(app)
person_sites.add_to(app)
person_benefits.add_to(app)


@app.command("add")
def add(
    context: typer.Context,
    *,
    name: Annotated[str, typer.Option("--name", prompt=True, help="Full name as registered; asked for when left out.")],
    id_number: Annotated[
        str, typer.Option("--id-number", prompt="ID number", help="National ID number; asked for when left out.")
    ],
    region: Annotated[str, typer.Option("--region", help="Region (统筹区) of the insurance, e.g. 110000.")],
    card_number: Annotated[str | None, typer.Option("--card-number", help="Number of the insurance card.")] = None,
    pin_file: Annotated[
        Path | None,
        typer.Option("--pin-file", help="File with the six digits, `-` for standard input.", allow_dash=True),
    ] = None,
    no_pin: Annotated[bool, typer.Option("--no-pin", help="Do not ask for a PIN: only small amounts by face.")] = False,
    portrait: Annotated[
        Path | None,
        typer.Option("--portrait", help="JPEG of the face; a template is kept, the picture is not.", dir_okay=False),
    ] = None,
    phone: Annotated[
        str | None, typer.Option("--phone", help="Phone number; its last four digits may be asked for.")
    ] = None,
    site_id: Annotated[
        str | None, typer.Option("--site", help="Id of a site where they may be found by face alone.")
    ] = None,
    guardians: Annotated[
        list[str] | None, typer.Option("--guardian", help="Id of a child's guardian; once for each of them.")
    ] = None,
    balance_fen: Annotated[
        int,
        typer.Option("--balance-fen", min=0, max=CONTRIBUTION_FEN_MAX, help="Opening balance of the personal account."),
    ] = 0,
    as_json: Json = False,
) -> None:
    """Add an insured person: real-name record, face template, card with PIN, and an account."""
    session = session_of(context)
    pin = None if no_pin else _pin(pin_file)
    with open_domain(session) as domain:
        template = domain.faces().enroll(portrait.read_bytes()) if portrait else None
        with domain.engine.begin() as connection:
            person = domain.people.add(
                connection, name=name, id_number=id_number, region=region, card_number=card_number, pin=pin,
                template=template, actor=session.actor, phone=phone, site_id=site_id,
            )  # fmt: skip
            for guardian_id in guardians or ():
                person_family.record_guardian(
                    domain,
                    connection,
                    person.person_id,
                    guardian_id,
                    actor=session.actor,
                    reason="added with the child",
                )
            account = Account(AccountKind.PERSON, person.person_id)
            domain.ledger.open_accounts(connection, [account])
            if balance_fen:
                reference = f"opening:{person.person_id}"
                contribute(
                    domain, connection, account, amount_fen=balance_fen, reference=reference, actor=session.actor
                )
    if as_json:
        print_json({**plain(person), "balance_fen": balance_fen, "face": template is not None, "pin": pin is not None})
        return
    out = console()
    out.print(f"[bold]Person added[/]: {person.masked_name} ({person.masked_id_number}), id {person.person_id}")
    out.print(
        f"Face template: {'yes' if template else 'no'}; PIN: {'yes' if pin else 'no'}; account: {yuan(balance_fen)}"
    )


@app.command("show")
def show(
    context: typer.Context,
    *,
    person_id: Annotated[str, typer.Argument(metavar="PERSON", help="Id of the person.")],
    as_json: Json = False,
) -> None:
    """Show a person, masked, with the balance of the personal account."""
    with reading(session_of(context)) as (domain, connection):
        person = domain.people.get(connection, person_id)
        has_face = person is not None and domain.people.template(connection, person_id) is not None
        balance = domain.ledger.balance(connection, Account(AccountKind.PERSON, person_id))
        guardians = domain.guardians.of(connection, person_id)
    if person is None:
        raise CommandError("No person has this id.", next="Ids are printed by `shualian person add`.")
    if as_json:
        print_json({**plain(person), "balance_fen": balance, "face": has_face, "guardians": guardians})
        return
    out = console()
    out.print(
        f"[bold]{person.masked_name}[/] ({person.masked_id_number}), region {person.region}, id {person.person_id}"
    )
    out.print(f"Face template: {'yes' if has_face else 'no'}; account: {yuan(balance)}")
    if guardians:
        out.print(f"Guardians: {', '.join(guardians)}")


def _pin(pin_file: Path | None) -> str | None:
    """Return the PIN from the file, from standard input, or from whoever sits there; never from the arguments."""
    if pin_file is not None:
        text = sys.stdin.readline() if str(pin_file) == "-" else pin_file.read_text(encoding="utf-8")
        if not text.strip():
            raise CommandError("The PIN file is empty.", next="Write six digits into it.", code=ExitCode.USAGE)
        return text.strip()
    if not sys.stdin.isatty():
        raise CommandError(
            "No PIN was given.", next="Use --pin-file FILE, --pin-file - with the PIN on standard input, or --no-pin.",
            code=ExitCode.USAGE,
        )  # fmt: skip
    return str(typer.prompt("PIN (six digits)", hide_input=True, confirmation_prompt=True))
