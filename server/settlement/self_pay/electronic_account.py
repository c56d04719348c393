"""The electronic account: a person's own money that lies with the scheme, topped up beforehand."""

from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from server.settlement.ledger import Account, AccountKind, Ledger
from server.settlement.model import SelfPayKind
from server.settlement.self_pay.channel import Taking

TAKEN: Final = "electronic:"
GIVEN_BACK: Final = "electronic-undo:"


class ElectronicAccount:
    """Pays what the account holds; the ledger's guard keeps it from going below zero."""

    def __init__(self, *, ledger: Ledger, needs_pin: bool = False) -> None:
        self._ledger: Final = ledger
        self._needs_pin: Final = needs_pin

    @property
    def kind(self) -> SelfPayKind:
        """The electronic account."""
        return SelfPayKind.ELECTRONIC_ACCOUNT

    @property
    def needs_pin(self) -> bool:
        """As the policy says."""
        return self._needs_pin

    def pays_for(self, business_type: int) -> bool:  # noqa: ARG002 - the port's signature
        """Everything."""
        return True

    def available_fen(self, connection: Connection, payer_id: str, *, now: datetime) -> int | None:  # noqa: ARG002 - the port's signature
        """Return what the account holds."""
        return self._ledger.balance(connection, electronic_account(payer_id))

    def take(self, connection: Connection, taking: Taking, *, now: datetime) -> None:  # noqa: ARG002 - the port's signature
        """Move it to the site.

        Raises:
            InsufficientFundError: the account does not hold so much.
        """
        payer, site = electronic_account(taking.payer_id), Account(AccountKind.SITE, taking.site_id)
        self._ledger.open_accounts(connection, (payer, site))
        self._ledger.post(
            connection,
            f"{TAKEN}{taking.transaction_id}",
            {payer.account_id: -taking.amount_fen, site.account_id: taking.amount_fen},
        )

    def give_back(self, connection: Connection, taking: Taking, *, now: datetime) -> None:  # noqa: ARG002 - the port's signature
        """Move it back from the site."""
        transaction_id = taking.transaction_id
        self._ledger.undo(connection, f"{TAKEN}{transaction_id}", undone_by=f"{GIVEN_BACK}{transaction_id}")


def electronic_account(person_id: str) -> Account:
    """Return the name of a person's electronic account."""
    return Account(AccountKind.ELECTRONIC, person_id)
