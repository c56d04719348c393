"""`shualian person benefits`, `file-out-of-region`, `register-chronic`: to what is somebody entitled, since when?"""

from datetime import date, datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from sqlalchemy import Connection, select

from server.commands.domain import reading, transaction
from server.commands.mistakes import CommandError, ExitCode
from server.commands.options import Json
from server.commands.output import console, print_json, show_list, yuan
from server.commands.session import Session, session_of
from server.settlement.insurers.local.registrations import Registration, Registrations, diseases_of, filings_of
from server.settlement.insurers.local.rules_file import load_rules
from server.store.tables.benefits import benefit_pots
from server.store.tables.settlement import benefit_years
from server.wiring import Domain, utc_now

_Person = Annotated[str, typer.Argument(metavar="PERSON", help="Id of the person.")]
_From = Annotated[
    datetime | None, typer.Option("--from", metavar="DAY", formats=["%Y-%m-%d"], help="First day; today when left out.")
]
_Until = Annotated[
    datetime | None,
    typer.Option("--until", metavar="DAY", formats=["%Y-%m-%d"], help="Last day; no end when left out."),
]


def add_to(app: typer.Typer) -> None:
    """Add the verbs to `shualian person`."""
    app.command("file-out-of-region")(file_out_of_region)
    app.command("register-chronic")(register_chronic)
    app.command("benefits")(benefits)


def file_out_of_region(
    context: typer.Context,
    *,
    person_id: _Person,
    region: Annotated[str, typer.Option("--region", help="Region of the sites where they will be treated.")],
    from_day: _From = None,
    until_day: _Until = None,
    as_json: Json = False,
) -> None:
    """File a person for treatment in another region (异地就医备案); the same first day again changes the last one."""
    session = session_of(context)
    first, last = _first(session, from_day), until_day.date() if until_day else None
    with transaction(session) as (domain, connection):
        _check_known(domain, connection, person_id)
        Registrations(audit=domain.audit).file_out_of_region(
            connection, person_id=person_id, region=region, from_day=first, until_day=last, actor=session.actor
        )
    _tell("Filed", person_id, Registration(subject=region, from_day=first, until_day=last), as_json=as_json)


def register_chronic(
    context: typer.Context,
    *,
    person_id: _Person,
    disease: Annotated[str, typer.Option("--disease", metavar="KEY", help="As the rules name it.")],
    from_day: _From = None,
    until_day: _Until = None,
    as_json: Json = False,
) -> None:
    """Register a person for a chronic disease (慢特病); the same first day again changes the last one."""
    session = session_of(context)
    known = sorted({key for rules in load_rules(session.config.settlement.local_rules).sets for key in rules.chronic})
    if disease not in known:
        raise CommandError(
            "The rules know no such disease.",
            next=f"One of: {', '.join(known)}." if known else "Add it to the rules first.",
            code=ExitCode.USAGE,
        )
    first, last = _first(session, from_day), until_day.date() if until_day else None
    with transaction(session) as (domain, connection):
        _check_known(domain, connection, person_id)
        Registrations(audit=domain.audit).register_chronic(
            connection, person_id=person_id, disease=disease, from_day=first, until_day=last, actor=session.actor
        )
    _tell("Registered", person_id, Registration(subject=disease, from_day=first, until_day=last), as_json=as_json)


def benefits(context: typer.Context, *, person_id: _Person, as_json: Json = False) -> None:
    """Show what a person is filed and registered for, and what their years have used up."""
    with reading(session_of(context)) as (domain, connection):
        _check_known(domain, connection, person_id)
        filings, diseases = filings_of(connection, person_id), diseases_of(connection, person_id)
        years = _years(connection, person_id)
    rows = [
        {"what": what, "name": found.subject, "from": found.from_day.isoformat(), "until": _until(found)}
        for what, registered in (("out of region", filings), ("chronic disease", diseases))
        for found in registered
    ]
    if as_json:
        print_json({"person_id": person_id, "registrations": rows, "years": years})
        return
    show_list(
        "registrations",
        rows,
        columns=("what", "name", "from", "until"),
        as_json=False,
        empty="Filed and registered for nothing.",
    )
    shown = [
        {
            name.removesuffix("_fen"): yuan(int(value)) if name.endswith("_fen") else value
            for name, value in year.items()
        }
        for year in years
    ]
    columns = ("year", "counts", "deductible_used", "eligible_used", "fund_used", "catastrophic_used")
    show_list("years", shown, columns=columns, as_json=False, empty="No year has begun.")


def _years(connection: Connection, person_id: str) -> list[dict[str, int | str]]:
    """Return the rows of the years, and below each what counts apart."""
    counted = connection.execute(
        select(benefit_years).where(benefit_years.c.person_id == person_id).order_by(benefit_years.c.benefit_year)
    )
    rows: list[dict[str, int | str]] = [
        {
            "year": year.benefit_year,
            "counts": "OUTPATIENT",
            "deductible_used_fen": year.deductible_used_fen,
            "eligible_used_fen": year.eligible_used_fen,
            "fund_used_fen": year.fund_used_fen,
            "catastrophic_used_fen": year.catastrophic_used_fen,
        }
        for year in counted
    ]
    apart = connection.execute(
        select(benefit_pots).where(benefit_pots.c.person_id == person_id).order_by(benefit_pots.c.pot)
    )
    rows += [
        {
            "year": pot.benefit_year,
            "counts": pot.pot,
            "deductible_used_fen": pot.deductible_used_fen,
            "eligible_used_fen": pot.eligible_used_fen,
            "fund_used_fen": pot.fund_used_fen,
            "catastrophic_used_fen": 0,
        }
        for pot in apart
    ]
    return sorted(rows, key=lambda row: int(row["year"]))


def _check_known(domain: Domain, connection: Connection, person_id: str) -> None:
    if domain.people.get(connection, person_id) is None:
        raise CommandError("No person has this id.", next="Ids are printed by `shualian person add`.")


def _first(session: Session, told: datetime | None) -> date:
    zone = ZoneInfo(session.config.settlement.time_zone)
    return told.date() if told else utc_now().astimezone(zone).date()


def _tell(what: str, person_id: str, done: Registration, *, as_json: bool) -> None:
    if as_json:
        period = {"from": done.from_day.isoformat(), "until": _until(done)}
        print_json({"person_id": person_id, "subject": done.subject, **period})
        return
    end = f" to {done.until_day}" if done.until_day else ""
    console().print(f"[bold]{what}[/] for {done.subject}, from {done.from_day}{end}.")


def _until(found: Registration) -> str | None:
    return found.until_day.isoformat() if found.until_day else None
