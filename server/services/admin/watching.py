"""How is a fleet watched? By asking again and sending what differs: presence, derived from times, has no events."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from time import monotonic

from device_registry.roster import Roster, RosterFilter, TerminalView
from server.refusals import WatchesOpenError
from server.services.admin import registry_records
from server.store import UnitOfWork
from shualian.admin.v1 import registry_pb2 as pb

ASKED_EVERY = timedelta(seconds=1)
SHARE_OF_TIME_MAX = 0.1
"""Of a reader's time, what all watches may take: 10,000 terminals are read in 250 ms, so one reads them every 2.5 s."""
WATCHED_MAX = 20_000
"""Terminals one watch follows; of more, the oldest."""
WATCHES_MAX = 8
"""Watches open at once in one process (I11)."""
WATCHES_EACH_MAX = 3
"""Of these, what one operator may have; the others want to see something too."""
TRY_AGAIN_AFTER = timedelta(seconds=30)
ROWS_AT_ONCE = 2_000


class Watches:
    """The watches that are open, each with what its caller was told last."""

    def __init__(self, *, unit_of_work: UnitOfWork, roster: Roster) -> None:
        self._unit_of_work = unit_of_work
        self._roster = roster
        self._open = Counter[str]()

    async def watch(self, where: RosterFilter, *, watcher: str) -> AsyncIterator[pb.WatchTerminalsResponse]:
        """Yield everybody the filter asks for, a mark, and from then on each change.

        Raises:
            WatchesOpenError: too many watches are open, or too many of this watcher's.
        """
        if self._open.total() >= WATCHES_MAX or self._open[watcher] >= WATCHES_EACH_MAX:
            raise WatchesOpenError(retry_after=TRY_AGAIN_AFTER)
        self._open[watcher] += 1
        try:
            known: dict[str, TerminalView] = {}
            is_first = True
            while True:
                began = monotonic()
                found = await self._found(where)
                for change in _changes(known, found):
                    yield change
                if is_first:
                    yield pb.WatchTerminalsResponse(caught_up=len(found))
                known, is_first = found, False
                spent = monotonic() - began
                await asyncio.sleep(max(ASKED_EVERY.total_seconds(), spent * self._open.total() / SHARE_OF_TIME_MAX))
        finally:
            self._open[watcher] -= 1
            if not self._open[watcher]:
                del self._open[watcher]

    async def _found(self, where: RosterFilter) -> dict[str, TerminalView]:
        """Return everybody the filter asks for now, read some at a time so that other reads get between."""
        found: dict[str, TerminalView] = {}
        after: str | None = None
        while len(found) < WATCHED_MAX:
            asked = replace(where, after=after, limit=ROWS_AT_ONCE)
            page = await self._unit_of_work.read(partial(self._roster.page, where=asked))
            found.update((view.terminal.terminal_id, view) for view in page)
            if len(page) < ROWS_AT_ONCE:
                break
            after = page[-1].terminal.terminal_id
        return found


def _changes(known: dict[str, TerminalView], found: dict[str, TerminalView]) -> list[pb.WatchTerminalsResponse]:
    """Return what to tell; when somebody was last heard of changes all the time and is no news by itself."""
    news = [
        pb.WatchTerminalsResponse(terminal=registry_records.view(view))
        for terminal_id, view in found.items()
        if terminal_id not in known or _news(known[terminal_id]) != _news(view)
    ]
    return news + [pb.WatchTerminalsResponse(gone=terminal_id) for terminal_id in known if terminal_id not in found]


def _news(view: TerminalView) -> TerminalView:
    return replace(view, last_seen_at=None)
