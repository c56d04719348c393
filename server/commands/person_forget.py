"""`shualian person forget-face` and `verify-forgotten`: delete a face for good, and check that it is gone."""

from typing import Annotated

import typer

from server.commands.domain import open_domain
from server.commands.mistakes import CommandError, ExitCode
from server.commands.options import Json
from server.commands.output import console, plain, print_json
from server.commands.session import session_of
from server.store import open_reader

PersonId = Annotated[str, typer.Argument(metavar="PERSON", help="Id of the person.")]

_SIGNS = {True: "[green]yes[/]", False: "[bold red]NO[/]", None: "[dim]cannot be looked at from here[/]"}
_QUESTIONS = {
    "audit_entry": "the deletion is on record",
    "not_remembered_since": "no face was remembered since",
    "audit_chain": "the audit log is whole",
    "database_row": "the database has no template of this person",
    "database_files": "the database's files hold no remnant of one",
}


def add_to(app: typer.Typer) -> None:
    """Add the verbs to `shualian person`."""
    app.command("forget-face")(forget_face)
    app.command("verify-forgotten")(verify_forgotten)


def forget_face(
    context: typer.Context,
    *,
    person_id: PersonId,
    reason: Annotated[str, typer.Option(help="Why; stands in the audit trail.")],
    as_json: Json = False,
) -> None:
    """Delete a person's face template for good, and print the receipt; card and PIN go on working."""
    session = session_of(context)
    with open_domain(session) as domain:
        with domain.engine.begin() as connection:
            receipt = domain.people.forget_face(connection, person_id=person_id, actor=session.actor, reason=reason)
        if receipt is None:
            raise CommandError(
                "There is no face template of this person.", next="`shualian person show` says what there is."
            )
        from server.store.scrubbing import scrub  # noqa: PLC0415 - needs the pipeline, and `--help` does not

        scrubbed = scrub(domain.engine)
    if as_json:
        print_json({**plain(receipt), "face": False, "scrubbed": scrubbed.is_complete})
        return
    out = console()
    out.print("[bold]Face template deleted.[/] Running servers drop it from memory now.")
    out.print(f"Receipt: audit entry {receipt.audit_entry}, hash {receipt.audit_hash}")
    out.print(f"Deleted were bytes with the SHA-256 {receipt.sealed_sha256}.")
    if not scrubbed.is_complete:
        out.print("[yellow]The database's log still holds older pages, for somebody is reading them.[/]")
    out.print(f"`shualian person verify-forgotten {person_id}` checks it, now and later.")


def verify_forgotten(context: typer.Context, *, person_id: PersonId, as_json: Json = False) -> None:
    """Check that a person's face is gone: row, files, and the record of the deletion. Leaves with 1 if it is not."""
    from server.credentials.forgotten import prove_forgotten  # noqa: PLC0415 - as above
    from server.store.scrubbing import scrub, template_remnants  # noqa: PLC0415 - as above

    with open_domain(session_of(context)) as domain:
        scrub(domain.engine)
        remnants = template_remnants(domain.engine, person_id)
        reader = open_reader(domain.engine)
        try:
            with reader.connect() as connection:
                proof = prove_forgotten(connection, domain.audit, person_id, remnants=remnants)
        finally:
            reader.dispose()
    if as_json:
        print_json({"forgotten": proof.holds, **plain(proof)})
    else:
        out = console()
        if proof.receipt is not None:
            receipt = proof.receipt
            out.print(f"Deleted {receipt.at:%Y-%m-%d %H:%M:%S} UTC, audit entry {receipt.audit_entry},")
            out.print(f"SHA-256 of the deleted bytes {receipt.sealed_sha256 or 'not noted'}")
        for finding in proof.findings:
            detail = f" ({finding.detail})" if finding.detail else ""
            out.print(f"{_QUESTIONS[finding.name]}: {_SIGNS[finding.is_passed]}{detail}")
    if not proof.holds:
        raise typer.Exit(int(ExitCode.REFUSED))
