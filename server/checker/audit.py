"""What do the books say when everybody has gone home? The terminals' journals, ours, and the insurer's."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, select

from server.checker.beside import DOUBTFUL
from server.checker.books import Account, InsurerBooking, JournalEntry, OurSettlement
from server.checker.people import Payer
from server.checker.pockets import balances_of
from server.programs import StepFailedError, environment, program
from server.settlement.ledger import AccountKind
from server.store.tables.settlement import ledger_entries, settlements

SECONDS_MAX: Final = 120.0
_SETTLE, _UNDO = "settle:", "undo:"


def read_journal(name: str, state: Path) -> dict[str, JournalEntry]:
    """Return a terminal's journal, as its own program tells it.

    Raises:
        StepFailedError: it cannot be read.
    """
    done = subprocess.run(  # noqa: S603 - our own program
        [program("shualian-terminal"), "journal", "--state", str(state), "--json"],
        env=environment({}), capture_output=True, text=True, timeout=SECONDS_MAX, check=False,
    )  # fmt: skip
    for line in done.stdout.splitlines():
        said: Any = json.loads(line)
        if said.get("event") == "journal":
            return {
                row["transaction_id"]: JournalEntry(
                    terminal=name, bill_number=row["bill_number"], total_fen=row["total_fen"], state=row["state"]
                )
                for row in said["rows"]
            }
    raise StepFailedError(f"the journal of {name} cannot be read: {done.stdout[-200:]}{done.stderr[-200:]}")


def read_settlements(connection: Connection) -> dict[str, OurSettlement]:
    """Return the platform's settlements."""
    rows = connection.execute(select(settlements))
    return {
        row.transaction_id: OurSettlement(
            state=row.state,
            bill_number=row.bill_number or "",
            payer_id=row.payer_id or row.person_id or "",
            person_id=row.person_id or "",
            total_fen=row.total_fen or 0,
            pooled_fund_fen=row.pooled_fund_fen or 0,
            personal_account_fen=row.personal_account_fen or 0,
            electronic_account_fen=row.electronic_account_fen or 0,
            credit_fen=row.credit_fen or 0,
            pin_free_on=row.pin_free_on.isoformat() if row.pin_free_on else "",
        )
        for row in rows
    }


def read_ledger(connection: Connection) -> list[InsurerBooking]:
    """Return the bookings of the insurer in house: a posting for each, and another one where it was undone."""
    rows = connection.execute(
        select(ledger_entries.c.posting_id, ledger_entries.c.account_id, ledger_entries.c.amount_fen)
    ).all()
    undone = {row.posting_id.removeprefix(_UNDO) for row in rows if row.posting_id.startswith(_UNDO)}
    spent: dict[str, dict[str, int]] = {}
    for row in rows:
        if row.posting_id.startswith(_SETTLE):
            kind = row.account_id.partition(":")[0]
            moved = spent.setdefault(row.posting_id.removeprefix(_SETTLE), {})
            moved[kind] = moved.get(kind, 0) - row.amount_fen
    return [
        InsurerBooking(
            transaction_id=transaction_id,
            stands=transaction_id not in undone,
            pooled_fund_fen=moved.get(AccountKind.POOLED_FUND.value, 0),
            personal_account_fen=moved.get(AccountKind.PERSON.value, 0),
        )
        for transaction_id, moved in spent.items()
    ]


def read_accounts(connection: Connection, payers: Sequence[Payer]) -> list[Account]:
    """Return what the people's accounts hold at the insurer in house."""
    held = balances_of(connection, AccountKind.PERSON)
    return [
        Account(person_id=payer.person_id, opened_with_fen=payer.account_fen, holds_fen=held.get(payer.person_id, 0))
        for payer in payers
    ]


def walk(verb: str, env: Mapping[str, str]) -> list[str]:
    """Run `shualian ledger verify` or `shualian audit verify`; return what it found wrong."""
    done = subprocess.run(  # noqa: S603 - our own program
        [program("shualian"), verb, "verify", "--json"], env=dict(env), capture_output=True, text=True,
        timeout=SECONDS_MAX, check=False,
    )  # fmt: skip
    try:
        said: Any = json.loads(done.stdout)
    except json.JSONDecodeError:
        return [f"shualian {verb} verify: {done.stderr[-300:]}"]
    if done.returncode == 0 and said.get("ok"):
        return []
    wrong = {key: value for key, value in said.items() if value and key not in {"ok", "transactions", "entries"}}
    return [f"shualian {verb} verify: {json.dumps(wrong, ensure_ascii=False)}"]


def is_in_doubt(engine: Engine) -> bool:
    """Return whether the platform has a settlement of which it does not know what became of it."""
    doubtful = select(settlements.c.transaction_id).where(settlements.c.state.in_(DOUBTFUL)).limit(1)
    with engine.connect() as connection:
        return connection.scalar(doubtful) is not None
