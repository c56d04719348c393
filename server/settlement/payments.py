"""How is one settle request paid once? In one transaction, or in steps that all who ask the same join."""

import asyncio
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from sqlalchemy import Connection

from server.caller import Caller
from server.credentials.activation import Credentials
from server.credentials.errors import CredentialError
from server.settlement.authorization import Authorizations
from server.settlement.entitlement import entitlement_of
from server.settlement.errors import PinRequiredError, TransactionIdReusedError
from server.settlement.model import (
    Authorization,
    Bill,
    CodeAuthorization,
    FaceAuthorization,
    SelfPay,
    SettlementState,
)
from server.settlement.remote import Upstream
from server.settlement.settle import Means, Order, Paid, seen_before, settle
from server.settlement.store import SettlementRow
from server.store.unit_of_work import UnitOfWork

_InFlight = tuple[str, asyncio.Task[Paid]]


@dataclass(frozen=True, slots=True)
class Payment:
    """One settle request and its digest."""

    caller: Caller
    transaction_id: str
    digest: str
    quote_id: str
    bill: Bill
    authorization: Authorization
    self_pay: tuple[SelfPay, ...]
    binding_id: str

    def seen_before(self, connection: Connection) -> SettlementRow | None:
        """Return the settlement that the same request made earlier."""
        return seen_before(
            connection, self.transaction_id, terminal_id=self.caller.terminal_id, body_sha256=self.digest
        )


class Payments:
    """Pays settle requests."""

    def __init__(
        self,
        *,
        unit_of_work: UnitOfWork,
        authorizations: Authorizations,
        credentials: Credentials,
        means: Means,
        upstream: Upstream | None,
    ) -> None:
        """Take what it works with; `upstream` is None where the insurer keeps its books in our database."""
        self._unit_of_work: Final = unit_of_work
        self._authorizations: Final = authorizations
        self._credentials: Final = credentials
        self._means: Final = means
        self._upstream: Final = upstream
        self._in_flight: Final[dict[str, _InFlight]] = {}

    async def pay(self, payment: Payment) -> Paid:
        """Pay, or return what became of the same request before; errors as `SettlementDesk.settle` has them."""
        if _is_one_step(payment.authorization) and self._upstream is None:
            return await self._pay_in_one_step(payment)
        return await self._join(payment)

    async def land(self) -> None:
        """Wait until none is half way."""
        while self._in_flight:
            await asyncio.wait([task for _, task in self._in_flight.values()])

    async def _pay_in_one_step(self, payment: Payment) -> Paid:
        """Pay with nothing but the writer's one transaction; only when the proof fails is a repetition looked for."""
        try:
            return await self._pay(payment)
        except (CredentialError, PinRequiredError):
            # Asked of the writer, behind whatever the first request has put there: what it is about to commit is seen.
            seen = await self._unit_of_work.write(payment.seen_before)
            if seen is None:
                raise
            return Paid(seen, is_new=False)

    async def _join(self, payment: Payment) -> Paid:
        """Pay in several steps, once: a repetition meanwhile waits for the outcome of the first.

        The run is a task of its own: a terminal that hangs up does not stop it half way.
        """
        running = self._in_flight.get(payment.transaction_id)
        is_first = running is None
        if running is None:
            task = asyncio.create_task(self._pay_in_steps(payment))
            running = self._in_flight[payment.transaction_id] = (payment.digest, task)
            task.add_done_callback(partial(self._landed, payment.transaction_id))
        digest, task = running
        if digest != payment.digest:
            raise TransactionIdReusedError
        paid = await asyncio.shield(task)
        return Paid(paid.row, is_new=paid.is_new and is_first)

    def _landed(self, transaction_id: str, task: asyncio.Task[Paid]) -> None:
        del self._in_flight[transaction_id]
        if not task.cancelled():
            task.exception()  # heard by whoever still waits; nobody may

    async def _pay_in_steps(self, payment: Payment) -> Paid:
        seen = await self._unit_of_work.read(payment.seen_before)
        if seen is not None:
            return Paid(seen, is_new=False)
        paid = await self._pay(payment)
        if self._upstream is not None and paid.is_new and paid.row.state is SettlementState.PENDING:
            paid = Paid(await self._upstream.settle(paid.row, entitlement=paid.entitlement), is_new=True)
        return paid

    async def _pay(self, payment: Payment) -> Paid:
        proof = await self._authorizations.prove_for_payment(
            payment.caller,
            payment.bill,
            payment.authorization,
            needs_pin=self._means.self_pays.need_pin(payment.self_pay),
        )
        order = Order(
            caller=payment.caller,
            transaction_id=payment.transaction_id,
            body_sha256=payment.digest,
            quote_id=payment.quote_id,
            bill=payment.bill,
            person_id=proof.person_id,
            claims=proof.claims,
            staff=proof.staff,
            is_confirmed=proof.is_confirmed,
            self_pay=payment.self_pay,
            binding_id=payment.binding_id,
        )

        def work(connection: Connection) -> Paid:
            paid = settle(connection, order, self._means)
            if self._upstream is None or not paid.is_new:
                return paid
            entitlement = entitlement_of(connection, self._credentials, payment.authorization, payer_id=proof.person_id)
            return replace(paid, entitlement=entitlement)

        return await self._unit_of_work.write(work)


def _is_one_step(authorization: Authorization) -> bool:
    """Return whether one transaction is all there is to do: a face or code, with nothing beside it to be checked."""
    match authorization:
        case FaceAuthorization(pin=pin, staff_assertion=staff):
            return not pin and not staff
        case CodeAuthorization(pin=pin):
            return not pin
        case _:
            return False
