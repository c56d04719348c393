"""How is the self-paid part of a settlement paid? All channels together, in the settlement's own transaction."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from server.settlement.model import SelfPay, SelfPayKind, SelfPayOffer
from server.settlement.pin_free import give_back_payment
from server.settlement.self_pay.channel import SelfPayChannel, Taking
from server.settlement.self_pay.errors import ChannelNotForThisError, SelfPayInvalidError
from server.settlement.store import SettlementRow


class SelfPays:
    """Offers, takes and gives back; with nothing but cash it asks the database nothing."""

    def __init__(self, *channels: SelfPayChannel) -> None:
        """Take the channels, in the order in which they are offered."""
        self._channels: Final[Mapping[SelfPayKind, SelfPayChannel]] = {channel.kind: channel for channel in channels}

    def offers(
        self, connection: Connection, payer_id: str, *, business_type: int, due_fen: int, now: datetime
    ) -> tuple[SelfPayOffer, ...]:
        """Return what each channel could pay of the self-paid part, and nothing of those that could not."""
        if due_fen <= 0:
            return ()
        offers = []
        for channel in self._channels.values():
            if not channel.pays_for(business_type):
                continue
            available_fen = channel.available_fen(connection, payer_id, now=now)
            up_to_fen = due_fen if available_fen is None else min(due_fen, available_fen)
            if up_to_fen > 0:
                offers.append(SelfPayOffer(kind=channel.kind, up_to_fen=up_to_fen, pin_required=channel.needs_pin))
        return tuple(offers)

    def need_pin(self, self_pay: Sequence[SelfPay]) -> bool:
        """Return whether one of these channels asks for the PIN, whatever the amount."""
        return any(pay.kind in self._channels and self._channels[pay.kind].needs_pin for pay in self_pay)

    def take(self, connection: Connection, row: SettlementRow, self_pay: Sequence[SelfPay], *, now: datetime) -> None:
        """Take what a settlement's self-paid part is paid with; an empty list is cash.

        Raises:
            SelfPayInvalidError: a channel is named twice, unknown here, or the parts are not what is to be paid.
            SettlementError: a channel does not pay; the transaction must be rolled back.
        """
        if not self_pay:
            return
        due_fen = sum(pay.amount_fen for pay in row.self_pay)
        kinds = {pay.kind for pay in self_pay}
        is_whole = sum(pay.amount_fen for pay in self_pay) == due_fen and all(pay.amount_fen > 0 for pay in self_pay)
        if len(kinds) != len(self_pay) or not kinds <= self._channels.keys() or not is_whole:
            raise SelfPayInvalidError(due_fen=due_fen)
        for pay in self_pay:
            if not self._channels[pay.kind].pays_for(row.business_type or 0):
                raise ChannelNotForThisError
            self._channels[pay.kind].take(connection, _taking(row, pay), now=now)

    def ended(self, connection: Connection, row: SettlementRow, *, now: datetime) -> None:
        """Give back all that a settlement took, because it was refused or undone; once for each settlement.

        To be called in the transaction that moves it to FAILED, CANCELLED or REVERSED from a state that had taken it;
        one that is FAILED has given it back already.
        """
        if row.total_fen is None:  # a tombstone took nothing
            return
        for pay in row.self_pay:
            if pay.kind in self._channels:
                self._channels[pay.kind].give_back(connection, _taking(row, pay), now=now)
        if row.pin_free_on is not None:
            give_back_payment(connection, _payer(row), day=row.pin_free_on, amount_fen=row.total_fen)


def _taking(row: SettlementRow, pay: SelfPay) -> Taking:
    return Taking(
        transaction_id=row.transaction_id,
        payer_id=_payer(row),
        site_id=row.site_id or "",
        amount_fen=pay.amount_fen,
    )


def _payer(row: SettlementRow) -> str:
    return row.payer_id or row.person_id or ""
