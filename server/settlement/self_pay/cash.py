"""Cash: the cashier has it in hand, and we only write down how much."""

from datetime import datetime

from sqlalchemy import Connection

from server.settlement.model import SelfPayKind
from server.settlement.self_pay.channel import Taking


class Cash:
    """What lies in a drawer moves in no ledger of ours; the settlement's own row says how much it was."""

    @property
    def kind(self) -> SelfPayKind:
        """Cash."""
        return SelfPayKind.CASH

    @property
    def needs_pin(self) -> bool:
        """Whoever has the cash may pay with it."""
        return False

    def pays_for(self, business_type: int) -> bool:  # noqa: ARG002 - the port's signature
        """Everything."""
        return True

    def available_fen(self, connection: Connection, payer_id: str, *, now: datetime) -> int | None:  # noqa: ARG002 - the port's signature
        """Nobody knows what is in a purse."""
        return None

    def take(self, connection: Connection, taking: Taking, *, now: datetime) -> None:
        """Nothing to move: the cashier has it."""

    def give_back(self, connection: Connection, taking: Taking, *, now: datetime) -> None:
        """Nothing to move: the cashier gives it back."""
