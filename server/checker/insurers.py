"""Whose books are the third ones? The ledger of the insurer in house, or those of a core in a process of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sqlalchemy import Engine

from server.checker.actors import Actor
from server.checker.audit import read_accounts, read_ledger
from server.checker.books import Account, InsurerBooking
from server.checker.history import History
from server.checker.leg import Leg
from server.checker.people import Payer
from server.checker.plan import Fault
from server.checker.world import World


class InsurerSide(Protocol):
    """What stands behind the server."""

    @property
    def core(self) -> Actor | None:
        """The core's process; None when the books are in the platform's own database."""
        ...

    @property
    def leg(self) -> Leg | None:
        """The network between server and core."""
        ...

    async def prepare(self, world: World, history: History) -> None:
        """Make it ready before the world is populated; start nothing yet."""
        ...

    async def insure(self, payers: Sequence[Payer]) -> None:
        """Let it know the people."""
        ...

    def file(self) -> Path:
        """The file that grows as it writes."""
        ...

    async def misbehave(self, fault: Fault | None) -> None:
        """Do as a fault says, or with None behave well."""
        ...

    async def books(self, engine: Engine, payers: Sequence[Payer]) -> "InsurerBooks":
        """Return all bookings and accounts."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class InsurerBooks:
    """What it booked."""

    bookings: list[InsurerBooking]
    accounts: list[Account]
    wrong: list[str]
    """What it says itself is not right."""


class LocalSide:
    """The insurer in house: nothing behind the server."""

    @property
    def core(self) -> Actor | None:
        """None."""
        return None

    @property
    def leg(self) -> Leg | None:
        """None."""
        return None

    async def prepare(self, world: World, history: History) -> None:
        """Do nothing."""

    async def insure(self, payers: Sequence[Payer]) -> None:
        """Do nothing: who is in our books is insured."""

    def file(self) -> Path:
        """Return a file that is not there."""
        return Path()

    async def misbehave(self, fault: Fault | None) -> None:
        """Do nothing."""

    async def books(self, engine: Engine, payers: Sequence[Payer]) -> InsurerBooks:
        """Return what the ledger has."""
        with engine.connect() as connection:
            return InsurerBooks(bookings=read_ledger(connection), accounts=read_accounts(connection, payers), wrong=[])
