"""How does a command get at the room of doubt? On a unit of work of its own, with the insurer's line open meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from monitoring.metrics import Metrics
from server.commands.domain import open_domain
from server.commands.session import Session
from server.doubt_room import DoubtRoom, doubt_room
from server.insurers import open_insurer
from server.store import UnitOfWork

T = TypeVar("T")


def in_the_room(session: Session, ask: Callable[[DoubtRoom], Awaitable[T]]) -> T:
    """Open the room of doubt on the platform's database, ask, and close it.

    Raises:
        CommandError: a server was named; this works on the database of this machine.
        SettlementError: what was asked is refused.
    """

    async def work() -> T:
        with open_domain(session) as domain:
            store = session.config.store
            unit_of_work = UnitOfWork(domain.engine, queue_length_max=64, batch_max=store.batch_max, readers=1)
            unit_of_work.start()
            try:
                async with open_insurer(domain, unit_of_work) as insurer:
                    return await ask(doubt_room(replace(domain, insurer=insurer), unit_of_work, Metrics()))
            finally:
                await asyncio.to_thread(unit_of_work.close)

    return asyncio.run(work())
