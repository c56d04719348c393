"""What must something be able to do that pays of the self-paid part? The port."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sqlalchemy import Connection

from server.settlement.model import SelfPayKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Taking:
    """A part of a settlement's self-paid part."""

    transaction_id: str
    payer_id: str
    """Whose money: in a family account the holder's, not that of who was treated."""
    site_id: str
    amount_fen: int
    """Above zero."""


class SelfPayChannel(Protocol):
    """Pays of the self-paid part. Every call is a part of the transaction that it is handed."""

    @property
    def kind(self) -> SelfPayKind:
        """Which one it is."""
        ...

    @property
    def needs_pin(self) -> bool:
        """Whether it asks for the PIN, or for a practitioner who may stand in for it, whatever the amount."""
        ...

    def pays_for(self, business_type: int) -> bool:
        """Return whether it pays for what was bought."""
        ...

    def available_fen(self, connection: Connection, payer_id: str, *, now: datetime) -> int | None:
        """Return how much somebody could pay with it; None where we do not know and need not."""
        ...

    def take(self, connection: Connection, taking: Taking, *, now: datetime) -> None:
        """Move the money to the site.

        Raises:
            SettlementError: there is not enough, or none is given; the transaction must be rolled back.
        """
        ...

    def give_back(self, connection: Connection, taking: Taking, *, now: datetime) -> None:
        """Move back what was taken, all of it; once for each taking."""
        ...
