"""What do the platform's own books say of what was paid beside the insurance?

Electronic accounts, credit lines and their debts are the platform's whoever the insurer is; so are dynamic codes and
the day's payments without a PIN.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from sqlalchemy import Connection, func, select

from server.checker.books import Account, PinFreeDay, Pocket, Taking
from server.checker.people import Payer
from server.settlement.ledger import AccountKind
from server.settlement.self_pay import credit, electronic_account
from server.store.tables.credentials import credential_codes
from server.store.tables.self_pay import credit_debts, pin_free_days
from server.store.tables.settlement import accounts, ledger_entries

_KEPT: Final = (
    (Pocket.ELECTRONIC, AccountKind.ELECTRONIC, electronic_account.TAKEN, electronic_account.GIVEN_BACK),
    (Pocket.CREDIT, AccountKind.CREDIT, credit.TAKEN, credit.GIVEN_BACK),
)
"""Accounts of the ledger, and how postings are named that take of them and give back."""


def read_takings(connection: Connection) -> list[Taking]:
    """Return what was taken for self-paid parts: of each account by the ledger's entries, and each debt."""
    owed = [
        Taking(
            transaction_id=row.transaction_id,
            pocket=Pocket.DEBT,
            person_id=row.person_id,
            amount_fen=row.taken_fen,
            stands=row.given_back_at is None,
        )
        for row in connection.execute(select(credit_debts))
    ]
    return [*_taken(connection), *owed]


def read_pockets(connection: Connection, payers: Sequence[Payer]) -> list[Account]:
    """Return what the people's electronic accounts and credit lines hold, and what they owe."""
    held = Counter[tuple[str, Pocket]]()
    for pocket, kind, _, _ in _KEPT:
        held.update({(owner, pocket): fen for owner, fen in balances_of(connection, kind).items()})
    owed = select(credit_debts.c.person_id, func.sum(credit_debts.c.taken_fen - credit_debts.c.repaid_fen).label("fen"))
    debts = owed.where(credit_debts.c.given_back_at.is_(None)).group_by(credit_debts.c.person_id)
    for row in connection.execute(debts):
        held[row.person_id, Pocket.DEBT] = -int(row.fen)
    return [
        Account(
            person_id=payer.person_id, pocket=pocket, opened_with_fen=opened, holds_fen=held[payer.person_id, pocket]
        )
        for payer in payers
        for pocket, opened in (
            (Pocket.ELECTRONIC, payer.electronic_fen),
            (Pocket.CREDIT, payer.credit_fen),
            (Pocket.DEBT, 0),
        )
    ]


def read_used_codes(connection: Connection) -> list[str]:
    """Return for each code that was used up the transaction it paid for."""
    used = select(credential_codes.c.transaction_id).where(credential_codes.c.used_at.is_not(None))
    return [transaction_id or "" for transaction_id in connection.scalars(used)]


def read_pin_free_days(connection: Connection) -> list[PinFreeDay]:
    """Return how the platform has counted the payments without a PIN."""
    return [
        PinFreeDay(person_id=row.person_id, day=row.day.isoformat(), payments=row.payments, total_fen=row.total_fen)
        for row in connection.execute(select(pin_free_days))
    ]


def balances_of(connection: Connection, kind: AccountKind) -> Mapping[str, int]:
    """Return what the ledger's accounts of one kind hold, by their owners."""
    rows = connection.execute(select(accounts.c.owner, accounts.c.balance_fen).where(accounts.c.kind == kind.value))
    return {row.owner: row.balance_fen for row in rows}


def _taken(connection: Connection) -> Iterator[Taking]:
    """Yield a taking for each entry that lowered such an account for a settlement."""
    entries = ledger_entries.c
    for pocket, kind, taken, given_back in _KEPT:
        prefix = f"{kind.value}:"
        rows = connection.execute(
            select(entries.posting_id, entries.account_id, entries.amount_fen).where(
                entries.account_id.like(f"{prefix}%")
            )
        ).all()
        undone = {row.posting_id.removeprefix(given_back) for row in rows if row.posting_id.startswith(given_back)}
        for row in rows:
            if row.posting_id.startswith(taken):
                transaction_id = row.posting_id.removeprefix(taken)
                yield Taking(
                    transaction_id=transaction_id,
                    pocket=pocket,
                    person_id=row.account_id.removeprefix(prefix),
                    amount_fen=-row.amount_fen,
                    stands=transaction_id not in undone,
                )
