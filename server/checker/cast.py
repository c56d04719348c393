"""Who takes part in a run? The server, the core where there is one, the tills, and the stretches of network between."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from server.checker.actors import Actor, Process
from server.checker.history import OUTCOME, History
from server.checker.leg import Leg
from server.checker.orders import BillOrder
from server.checker.people import Payer

WAITING_MAX: Final = 4
"""Orders a till has at once: three are worked on, as many as the platform checks PINs of one terminal; one waits."""
AT_ONCE: Final = 3
LOOK_AGAIN_SECONDS: Final = 0.02
_NOT_SAID: Final = frozenset({"payer", "terminal", "is_for_relative"})
"""Of an order: how the checker counts."""


@dataclass(slots=True, kw_only=True, eq=False)
class TillDesk:
    """One terminal, and the bills that come to it."""

    actor: Actor
    leg: Leg
    state: Path
    bills: Iterator[BillOrder]
    payers: list[Payer]
    history: History
    clock_offset_seconds: int = 0
    die_at: str = ""
    """Where the terminal drops dead with its next order; empty: nowhere."""
    _waiting: set[str] = field(default_factory=set)
    _life: int = 0

    async def feed(self, over: asyncio.Event) -> None:
        """Hand it one bill after the other until the load is over; a bill is handed out once, whatever happens."""
        while not over.is_set():
            if self._life != self.actor.lives:
                self._life, self._waiting = self.actor.lives, set()
            if not self.actor.is_up or len(self._waiting) >= WAITING_MAX:
                await asyncio.sleep(LOOK_AGAIN_SECONDS)
                continue
            order = next(self.bills)
            self._waiting.add(order.bill_number)
            self.history.order(order, life=self._life)
            await self.actor.write(self._line(order))

    def heard(self, said: dict[str, Any]) -> None:
        """Note what it said."""
        self.history.note(self.actor.name, self.actor.lives, said)
        if said.get("event") == OUTCOME:
            self._waiting.discard(str(said.get("bill_number")))

    def _line(self, order: BillOrder) -> str:
        payer = self.payers[order.payer]
        said = {key: value for key, value in asdict(order).items() if key not in _NOT_SAID}
        said |= {"card_number": payer.card_number, "pin": payer.pin}
        if order.is_for_relative:
            said["binding_id"] = payer.binding_id
        if self.die_at:
            said["die_at"], self.die_at = self.die_at, ""
        return json.dumps(said)


@dataclass(slots=True, kw_only=True)
class Cast:
    """Everybody."""

    server: Actor
    core: Actor | None
    database: Process | None
    """None when it is a file."""
    tills: dict[str, TillDesk]
    legs: dict[str, Leg]
    """By the terminal's name; `core` is the one behind the server."""

    @property
    def actors(self) -> dict[str, Actor]:
        """The programs by name, in the order in which they are started."""
        first = [self.core] if self.core else []
        return {actor.name: actor for actor in (*first, self.server, *(desk.actor for desk in self.tills.values()))}

    @property
    def processes(self) -> dict[str, Process]:
        """All processes by name, in the order in which they are started: the database first."""
        first = {self.database.name: self.database} if self.database else {}
        return {**first, **self.actors}

    async def leave(self) -> None:
        """Stop every program and every leg, last started first; the database is for whoever has opened it."""
        for actor in reversed(self.actors.values()):
            await actor.stop()
        for leg in self.legs.values():
            await leg.close()
