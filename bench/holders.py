"""The terminals' side of the fleet bench: a process that holds thousands of control streams, each on a connection.

It behaves as the mock terminal does: mutual TLS with a certificate of its own, a full handshake each time, the same
pauses before it comes back, a heartbeat as often as the platform asks for. One that is refused for good stays away
until it is called back.
"""

import selectors
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from multiprocessing.connection import Connection as Pipe
from time import monotonic

from bench.held import HeldTerminal
from bench.terminals import Identity

AT_ONCE = 48
"""Terminals of one process that connect for the first time at once; when they come back nobody holds them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """What one process is told to hold."""

    target: str
    root_pem: bytes
    identities: Sequence[Identity]


@dataclass(slots=True, kw_only=True)
class Count:
    """How one process stands."""

    connected: int = 0
    welcomed_at: float = 0.0
    """When the last of them was welcomed, on the machine's monotonic clock, which all processes share."""
    attempts: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    """What connections ended with that were not ended by the platform's word, and how often."""
    refused: dict[str, float] = field(default_factory=dict)
    """When the streams of those that were refused for good ended, by terminal."""


class Holder:
    """The loop: sockets that can be read, moments that have come, and the parent's orders."""

    def __init__(self, party: Party, orders: Pipe) -> None:
        self.party = party
        self.count = Count()
        self.selector = selectors.DefaultSelector()
        self._orders = orders
        self._moments: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._terminals = [HeldTerminal(self, identity) for identity in party.identities]
        self._not_yet = iter(self._terminals)
        self._is_stopped = False

    def run(self) -> None:
        """Hold every stream until told to stop."""
        self.selector.register(self._orders, selectors.EVENT_READ, self._obey)
        while not self._is_stopped:
            wait = max(0.0, min(self._moments[0][0] - monotonic(), 1.0)) if self._moments else 1.0
            for key, _ in self.selector.select(wait):
                key.data()
            now = monotonic()
            while self._moments and self._moments[0][0] <= now:
                heappop(self._moments)[2]()
        for terminal in self._terminals:
            terminal.hang_up()

    def at(self, moment: float, act: Callable[[], None]) -> None:
        """Have something done at a moment."""
        heappush(self._moments, (moment, next(self._numbers), act))

    def let_next_in(self) -> None:
        """Let one more terminal connect for the first time."""
        if (terminal := next(self._not_yet, None)) is not None:
            terminal.connect()

    def _obey(self) -> None:
        try:
            order = self._orders.recv()
        except EOFError:
            order = "stop"
        if order == "stop":
            self._is_stopped = True
            return
        if order == "come":
            for _ in range(AT_ONCE):
                self.let_next_in()
        if order == "come back":
            self.count.refused.clear()
            for terminal in self._terminals:
                terminal.call_back()
        self._orders.send(self.count)


def hold(orders: Pipe) -> None:
    """Hold the streams of the party that comes first down the pipe; every order is answered with a `Count`.

    Orders: `come` for the first time, `come back` after a refusal, `count`, `stop`.
    """
    Holder(orders.recv(), orders).run()
