"""`shualian person credentials` and `end-credential`: which credential has a person, and how is it ended for them?"""

from typing import Annotated

import typer

from server.commands.domain import reading, transaction
from server.commands.mistakes import CommandError
from server.commands.options import Json
from server.commands.output import console, print_json, show_list
from server.commands.session import session_of
from server.credentials.errors import CredentialNotActiveError


def add_to(app: typer.Typer) -> None:
    """Add the verbs to `shualian person`."""
    app.command("credentials")(credentials)
    app.command("end-credential")(end_credential)


def credentials(
    context: typer.Context,
    *,
    person_id: Annotated[str, typer.Argument(metavar="PERSON", help="Id of the person.")],
    as_json: Json = False,
) -> None:
    """Show every credential a person has had, newest first, and how many relatives it pays for."""
    with reading(session_of(context)) as (domain, connection):
        found = domain.credentials.of(connection, person_id)
        bound = len(domain.family.of(connection, person_id))
    rows = [
        {
            "credential_id": credential.credential_id,
            "state": credential.state.value,
            "activated_at": credential.activated_at.isoformat(),
            "ended_at": credential.ended_at.isoformat() if credential.ended_at else "",
            "relatives": bound if credential.ended_at is None else 0,
        }
        for credential in found
    ]
    columns = ("credential_id", "state", "activated_at", "ended_at", "relatives")
    show_list("credentials", rows, columns=columns, as_json=as_json, empty="They never had a credential.")


def end_credential(
    context: typer.Context,
    *,
    person_id: Annotated[str, typer.Argument(metavar="PERSON", help="Id of the person.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it stands in the audit log.")],
    as_json: Json = False,
) -> None:
    """End a person's credential, with its codes and its family bindings: for who has lost the phone that shows it."""
    session = session_of(context)
    with transaction(session) as (domain, connection):
        try:
            ended_at = domain.credentials.end(connection, person_id, actor=session.actor, reason=reason)
        except CredentialNotActiveError as error:
            raise CommandError(
                "This person never had a credential.", next="Ids are printed by `shualian person add`."
            ) from error
    if as_json:
        print_json({"person_id": person_id, "ended_at": ended_at.isoformat()})
        return
    console().print(f"[bold]Credential ended[/]: {ended_at.isoformat()}")
