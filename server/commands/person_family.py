"""`shualian person relatives`, `unbind-relative`, `guardian`, `end-guardian`: who pays for whom, and who may say so?"""

from typing import Annotated

import typer
from sqlalchemy import Connection

from server.commands.domain import reading, transaction
from server.commands.mistakes import CommandError
from server.commands.options import Json
from server.commands.output import console, print_json, show_list
from server.commands.session import session_of
from server.credentials.errors import BindingUnknownError, PersonUnknownError
from server.wiring import Domain

_IDS_ARE = "Ids are printed by `shualian person add`."
_SHOWS = "`shualian person show CHILD` names them."

Person = Annotated[str, typer.Argument(metavar="PERSON", help="Id of the person.")]
Child = Annotated[str, typer.Argument(metavar="CHILD", help="Id of the child.")]
Guardian = Annotated[str, typer.Argument(metavar="GUARDIAN", help="Id of the guardian.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it stands in the audit log.")]


def add_to(app: typer.Typer) -> None:
    """Add the verbs to `shualian person`."""
    app.command("relatives")(relatives)
    app.command("unbind-relative")(unbind_relative)
    app.command("guardian")(guardian)
    app.command("end-guardian")(end_guardian)


def relatives(context: typer.Context, *, person_id: Person, as_json: Json = False) -> None:
    """Show the family accounts in which somebody pays or is paid for, oldest first."""
    with reading(session_of(context)) as (domain, connection):
        bindings = domain.family.around(connection, person_id)
        rows = [
            {
                "binding_id": binding.binding_id,
                "pays": _shown(domain, connection, binding.holder_id),
                "holder_id": binding.holder_id,
                "for": _shown(domain, connection, binding.relative_id),
                "relative_id": binding.relative_id,
                "bound_at": binding.bound_at.isoformat(),
                "good_until": binding.good_until.isoformat() if binding.good_until else "",
            }
            for binding in bindings
        ]
    columns = ("binding_id", "pays", "holder_id", "for", "relative_id", "bound_at", "good_until")
    show_list("relatives", rows, columns=columns, as_json=as_json, empty="No family account.")


def unbind_relative(
    context: typer.Context,
    *,
    binding_id: Annotated[str, typer.Argument(metavar="BINDING", help="Id, as `shualian person relatives` prints it.")],
    reason: Reason,
    as_json: Json = False,
) -> None:
    """End one binding of a family account: for a guardian whose child somebody else has bound, and who cannot come."""
    session = session_of(context)
    with transaction(session) as (domain, connection):
        try:
            ended_at = domain.family.end(connection, binding_id.lower(), actor=session.actor, reason=reason)
        except BindingUnknownError as error:
            raise CommandError(
                "There is no such binding.", next="Ids are printed by `shualian person relatives PERSON`."
            ) from error
    if as_json:
        print_json({"binding_id": binding_id.lower(), "ended_at": ended_at.isoformat()})
        return
    console().print(f"[bold]Binding ended[/]: {ended_at.isoformat()}")


def guardian(
    context: typer.Context, *, child_id: Child, guardian_id: Guardian, reason: Reason, as_json: Json = False
) -> None:
    """Write down who may bind a child under sixteen, for the platform's own register; a register elsewhere is asked."""
    session = session_of(context)
    with transaction(session) as (domain, connection):
        is_new = record_guardian(domain, connection, child_id, guardian_id, actor=session.actor, reason=reason)
    if as_json:
        print_json({"child_id": child_id, "guardian_id": guardian_id, "new": is_new})
        return
    console().print("[bold]Guardian written down.[/]" if is_new else "They were written down already.")


def end_guardian(
    context: typer.Context, *, child_id: Child, guardian_id: Guardian, reason: Reason, as_json: Json = False
) -> None:
    """Strike somebody out as a child's guardian, and end the binding that rests on their word."""
    session = session_of(context)
    with transaction(session) as (domain, connection):
        guardians, family, actor = domain.guardians, domain.family, session.actor
        if not guardians.end(connection, child_id=child_id, guardian_id=guardian_id, actor=actor, reason=reason):
            raise CommandError("They are not written down as a guardian of this child.", next=_SHOWS)
        resting = [
            binding.binding_id
            for binding in family.around(connection, child_id)
            if (binding.holder_id, binding.relative_id) == (guardian_id, child_id) and binding.good_until is not None
        ]
        for binding_id in resting:
            family.end(connection, binding_id, actor=actor, reason=reason)
    if as_json:
        print_json({"child_id": child_id, "guardian_id": guardian_id, "bindings_ended": resting})
        return
    console().print(f"[bold]Guardian struck out[/]; bindings ended: {len(resting)}")


def record_guardian(
    domain: Domain, connection: Connection, child_id: str, guardian_id: str, *, actor: str, reason: str
) -> bool:
    """Write a guardian down; return whether that is new.

    Raises:
        CommandError: one of them is nobody, the child is sixteen, or the guardian is not.
    """
    child_speaks, guardian_speaks = (_speaks(domain, connection, each) for each in (child_id, guardian_id))
    if child_speaks:
        raise CommandError("Sixteen or older: they speak for themselves.", next="Let them show their own face.")
    if not guardian_speaks:
        raise CommandError("A child under sixteen is nobody's guardian.", next=_IDS_ARE)
    return domain.guardians.record(connection, child_id=child_id, guardian_id=guardian_id, actor=actor, reason=reason)


def _speaks(domain: Domain, connection: Connection, person_id: str) -> bool:
    try:
        identity = domain.people.identity(connection, person_id)
    except PersonUnknownError as error:
        raise CommandError("No person has this id.", next=_IDS_ARE) from error
    return domain.family.needs_own_face(identity.id_number)


def _shown(domain: Domain, connection: Connection, person_id: str) -> str:
    person = domain.people.get(connection, person_id)
    return person.masked_name if person else ""
