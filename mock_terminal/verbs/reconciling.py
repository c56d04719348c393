"""The verb that compares a day with the platform."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Annotated

import typer

from mock_terminal.errors import InputError
from mock_terminal.folder import Folder
from mock_terminal.journal import Journal
from mock_terminal.leaving import Exit, leave
from mock_terminal.options import DEFAULT_STATE, Json, Platform, State
from mock_terminal.reconciling import Reconciler
from mock_terminal.report import Reporter
from mock_terminal.verbs.money import RENEWAL_TAKES


def reconcile(
    *,
    platform: Platform,
    day: Annotated[str, typer.Option(metavar="YYYY-MM-DD", help="Which day; today when empty.")] = "",
    utc_offset: Annotated[
        float, typer.Option(metavar="HOURS", min=-14, max=14, help="Of the platform's calendar.")
    ] = 8.0,
    state: State = DEFAULT_STATE,
    as_json: Json = False,
) -> None:
    """Compare a day of the journal with the platform's; end what is open here and ended there, tell what differs."""
    report = Reporter(as_json=as_json)

    async def work() -> Exit:
        zone = timezone(timedelta(hours=utc_offset))
        wanted = _day(day) if day else datetime.now(UTC).astimezone(zone).date()
        folder = Folder(path=state)
        with folder.paying(patience=RENEWAL_TAKES):
            async with folder.channel(platform) as channel:
                compared = await Reconciler(channel, Journal(state), report, zone=zone).compare(wanted)
        if compared.findings or (not compared.agrees and not compared.unfinished):
            return Exit.DIFFERS
        return Exit.OUTCOME_UNKNOWN if compared.unfinished else Exit.OK

    leave(work, report)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"{text!r} is no day, as in 2026-03-02") from error
