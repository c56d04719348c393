"""`shualian person look-for` and `galleries`: where may somebody be found by face alone, and how many are where?"""

from typing import Annotated

import typer
from sqlalchemy import func, select

from server.commands.domain import reading, transaction
from server.commands.options import Json
from server.commands.output import console, print_json, show_list
from server.commands.session import session_of
from server.store.tables.gallery import face_templates, person_sites


def add_to(app: typer.Typer) -> None:
    """Add the verbs to `shualian person`."""
    app.command("look-for")(look_for)
    app.command("galleries")(galleries)


def look_for(
    context: typer.Context,
    *,
    person_id: Annotated[str, typer.Argument(metavar="PERSON", help="Id of the person.")],
    site_id: Annotated[str, typer.Option("--site", help="Id of the site.")],
    as_json: Json = False,
) -> None:
    """Let a person be found by face alone at one more site."""
    session = session_of(context)
    with transaction(session) as (domain, connection):
        is_new = domain.people.look_for_at(connection, person_id=person_id, site_id=site_id, actor=session.actor)
    if as_json:
        print_json({"person_id": person_id, "site_id": site_id, "new": is_new})
        return
    console().print("[bold]Looked for at this site.[/]" if is_new else "They were looked for at this site already.")


def galleries(context: typer.Context, *, as_json: Json = False) -> None:
    """Show how many people with a face are looked for at each site, beside the most that are safe."""
    session = session_of(context)
    with reading(session) as (domain, connection):
        counted = connection.execute(
            select(person_sites.c.site_id, func.count())
            .join(face_templates, face_templates.c.person_id == person_sites.c.person_id)
            .group_by(person_sites.c.site_id)
            .order_by(person_sites.c.site_id)
        ).all()
        people_max = domain.config.face.gallery_people_max
    rows = [{"site_id": site_id, "people": people, "people_max": people_max} for site_id, people in counted]
    columns = ("site_id", "people", "people_max")
    show_list("galleries", rows, columns=columns, as_json=as_json, empty="Nobody is looked for anywhere.")
