"""What is a till given to do? An order a line of JSON: a bill, what it is paid with, and what follows."""

import asyncio
import json
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from mock_terminal.errors import InputError
from mock_terminal.payment import DieAt
from mock_terminal.report import Reporter
from mock_terminal.self_paid import self_pay_from
from mock_terminal.verbs.persons import bill_from
from shualian.terminal.v1 import settlement_pb2


class Then(StrEnum):
    """What is done with a bill beside paying it."""

    KEEP = "keep"
    """Nothing: it stays paid."""
    REPEAT = "repeat"
    """The very same Settle is sent once more."""
    CANCEL = "cancel"
    """It is cancelled once it is paid."""
    REVERSE = "reverse"
    """It is reversed once it is paid, as if the answer had been lost."""
    OVERTAKE = "overtake"
    """Settle and its reversal are sent at once."""


class By(StrEnum):
    """What is shown for a bill."""

    CARD = "card"
    CODE = "code"
    """A dynamic code, which the till has made for the card's holder; with the PIN only where the quote asks for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TillOrder:
    """One line of standard input."""

    bill: settlement_pb2.Bill
    card: settlement_pb2.CardAuthorization = field(repr=False)
    by: By
    self_pay: tuple[settlement_pb2.SelfPay, ...]
    """What each channel is to pay of the self-paid part at most, in this order; what is left is cash."""
    binding_id: str
    """The relative who was treated, from the holder's bindings; empty when it is the holder."""
    then: Then
    die_at: DieAt | None


def order_from(line: str) -> TillOrder:
    """Return the order that a line of JSON says.

    Raises:
        InputError: it says none; what it holds, a PIN among it, is not repeated.
    """
    try:
        said: Any = json.loads(line)
        return TillOrder(
            bill=bill_from(
                said["bill_number"],
                said.get("business_type", 1301),
                total_fen=said["total_fen"],
                not_covered_fen=said.get("not_covered_fen", 0),
            ),
            card=settlement_pb2.CardAuthorization(card_number=said["card_number"], pin=said["pin"]),
            by=By(said.get("by", By.CARD)),
            self_pay=self_pay_from(said.get("self_pay", "")),
            binding_id=str(said.get("binding_id", "")),
            then=Then(said.get("then", Then.KEEP)),
            die_at=DieAt(said["die_at"]) if said.get("die_at") else None,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            "an order is a JSON object with bill_number, card_number, pin, total_fen; "
            "perhaps not_covered_fen, business_type, by, self_pay, binding_id, then, die_at"
        ) from error


async def orders_from_stdin(report: Reporter) -> AsyncIterator[TillOrder]:
    """Yield the orders of standard input as they come; a line that is none is told and passed over."""
    loop, lines = asyncio.get_running_loop(), asyncio.Queue[str | None](maxsize=1)

    def read() -> None:
        with suppress(RuntimeError):  # the loop is gone: nobody reads any more
            for line in sys.stdin:
                asyncio.run_coroutine_threadsafe(lines.put(line), loop).result()
            asyncio.run_coroutine_threadsafe(lines.put(None), loop).result()

    # A daemon: a read that waits for a line must not keep the program from ending.
    threading.Thread(target=read, name="orders", daemon=True).start()
    while (line := await lines.get()) is not None:
        try:
            order = order_from(line)
        except InputError as error:
            report.event("order_refused", reason=error.reason, message=str(error))
            continue
        yield order
