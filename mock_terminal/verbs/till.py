"""Verbs of a till: take orders for as long as they come, and say what the journal holds."""

import time
from datetime import timedelta
from typing import Annotated

import typer

from mock_terminal.folder import Folder
from mock_terminal.journal import Journal
from mock_terminal.leaving import Exit, leave
from mock_terminal.lock import Lock
from mock_terminal.options import DEFAULT_STATE, Json, Platform, State
from mock_terminal.orders import orders_from_stdin
from mock_terminal.report import Reporter
from mock_terminal.till import Till, ids_by_a_clock_off_by
from mock_terminal.verbs.money import RENEWAL_TAKES


def till(
    *,
    platform: Platform,
    at_once: Annotated[int, typer.Option(min=1, max=16, help="Orders worked on side by side.")] = 3,
    clock_offset: Annotated[
        float, typer.Option(metavar="SECONDS", help="Test aid: the clock that dates its transactions is wrong.")
    ] = 0.0,
    state: State = DEFAULT_STATE,
    as_json: Json = False,
) -> None:
    """Find out about unfinished payments, then pay each order of standard input, a JSON object a line."""
    report = Reporter(as_json=as_json)
    new_id = ids_by_a_clock_off_by(timedelta(seconds=clock_offset), now_ns=time.time_ns)

    async def work() -> Exit:
        folder = Folder(path=state)
        Lock(state=state).refuse()
        with folder.paying(patience=RENEWAL_TAKES):
            async with folder.channel(platform) as channel:
                report.event("open", at_once=at_once)
                counter = Till(channel, Journal(state), report, at_once=at_once, new_id=new_id)
                left = await counter.serve(orders_from_stdin(report))
        report.event("closed", unfinished=left)
        return Exit.OUTCOME_UNKNOWN if left else Exit.OK

    leave(work, report)


def journal(*, state: State = DEFAULT_STATE, as_json: Json = False) -> None:
    """Say what the journal holds: every transaction and what this terminal knows of it."""
    report = Reporter(as_json=as_json)

    async def work() -> Exit:
        rows = [
            {
                "transaction_id": entry.transaction_id,
                "bill_number": entry.bill_number,
                "total_fen": entry.total_fen,
                "state": entry.state.value,
            }
            for entry in Journal(state).entries()
        ]
        report.table("journal", rows)
        return Exit.OK

    leave(work, report)
