"""The settlement room's door: each thing a terminal can ask about money is one method of the SettlementDesk.

The desk is the asynchronous edge. It proves the authorization, hands one plain function to the unit of work, and turns
what came of it into an answer. Nothing is answered that is not committed.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from functools import partial
from typing import Final

from sqlalchemy import Connection

from device_registry.audit.log import AuditLog
from server.caller import Caller
from server.credentials.assertion import Assertions
from server.credentials.errors import CredentialError, PersonUnknownError
from server.credentials.people import People
from server.credentials.pin import Pins
from server.credentials.staff import StaffAssertions
from server.settlement.authorization import Authorizations
from server.settlement.errors import (
    InsurerRefusedError,
    OutcomeUnknownError,
    PinRequiredError,
    QuoteUnknownError,
    SettlementNotFoundError,
    TransactionIdReusedError,
)
from server.settlement.insurers import Claim, Insurer
from server.settlement.limits import SettlementLimits, check_bill
from server.settlement.model import (
    Authorization,
    Bill,
    FaceAuthorization,
    Quotation,
    Quote,
    Receipt,
    Reversal,
    Settlement,
    SettlementState,
)
from server.settlement.once import body_digest, check_form
from server.settlement.quote import CHINA, claim_for, keep_quote, quote_of
from server.settlement.remote import Upstream
from server.settlement.reverse import Undoing, cancel, reverse
from server.settlement.settle import Means, Order, Paid, receipt_of, seen_before, settle
from server.settlement.store import QuoteRow, SettlementRow, doubt_pending, find_settlement
from server.store.unit_of_work import UnitOfWork

_RETRY_AFTER = timedelta(seconds=2)
_InFlight = tuple[str, asyncio.Task[Paid]]


class SettlementDesk:
    """Quotes, settles, cancels, reverses and looks up bills for terminals."""

    def __init__(
        self,
        *,
        unit_of_work: UnitOfWork,
        now: Callable[[], datetime],
        people: People,
        assertions: Assertions,
        staff_assertions: StaffAssertions,
        pins: Pins,
        insurer: Insurer,
        audit: AuditLog,
        limits: SettlementLimits,
        quote_lifetime: timedelta,
        site_kind: Callable[[Connection, str], str],
        zone: tzinfo = CHINA,
        insurer_timeout: timedelta = timedelta(seconds=15),
    ) -> None:
        """Take what it works with.

        Args:
            unit_of_work: the database.
            now: the clock.
            people: finds a card's holder and a person's region.
            assertions: reads and uses up face assertions.
            staff_assertions: the same for those of practitioners, who confirm in the place of a PIN.
            pins: checks PINs.
            insurer: decides who pays what, and books it.
            audit: where each change is noted.
            limits: bounds on amounts and ids.
            quote_lifetime: how long a quote holds.
            site_kind: what kind of site an id names, as the benefit rules call it.
            zone: whose midnight ends the day of a cancellation and the year of benefits.
            insurer_timeout: how long a remote insurer is waited for.
        """
        self._unit_of_work: Final = unit_of_work
        self._people: Final = people
        self._pins: Final = pins
        self._limits: Final = limits
        self._quote_lifetime: Final = quote_lifetime
        self._site_kind: Final = site_kind
        self._zone: Final = zone
        self._means: Final = Means(
            now=now,
            insurer=insurer,
            assertions=assertions,
            staff_assertions=staff_assertions,
            audit=audit,
            limits=limits,
            retry_after=_RETRY_AFTER,
        )
        self._authorizations: Final = Authorizations(
            unit_of_work=unit_of_work,
            people=people,
            assertions=assertions,
            staff_assertions=staff_assertions,
            pins=pins,
            limits=limits,
        )
        self._upstream: Final = (
            None
            if insurer.is_in_house
            else Upstream(
                unit_of_work=unit_of_work,
                now=now,
                insurer=insurer,
                audit=audit,
                timeout=insurer_timeout,
                retry_after=_RETRY_AFTER,
            )
        )
        self._in_flight: Final[dict[str, _InFlight]] = {}

    async def pre_settle(self, caller: Caller, bill: Bill, authorization: Authorization) -> Quote:
        """Say who would pay what. Moves nothing and uses nothing up.

        Raises:
            SettlementError, CredentialError: the bill cannot be, or the authorization is not good for it.
        """
        check_bill(bill, self._limits)
        proof = await self._authorizations.prove_for_quote(caller, bill, authorization)
        claim = await self._unit_of_work.read(partial(self._claim, caller=caller, bill=bill, person_id=proof.person_id))
        quoted = await self._upstream.quote(claim) if self._upstream is not None else None
        row, quotation = await self._unit_of_work.write(
            partial(self._quoted, caller=caller, claim=claim, quoted=quoted)
        )
        return quote_of(row, proof.claims, self._limits, reckoning=quotation.reckoning)

    async def settle(
        self, caller: Caller, *, transaction_id: str, quote_id: str, bill: Bill, authorization: Authorization
    ) -> Receipt:
        """Pay a bill as quoted, once: the same request again gets the same receipt, whatever has expired since.

        Raises:
            OutcomeUnknownError: the insurer's answer is missing; the same request later tells.
            InsurerRefusedError: a remote insurer said no after it was asked. It is not paid, but the assertion is used
                up: it stands for the one question that was put, and is not worth a second one.
            SettlementError, CredentialError: it is not paid, and what authorizes it is unused.
        """
        check_form(transaction_id)
        check_bill(bill, self._limits)
        digest = body_digest(
            terminal_id=caller.terminal_id,
            quote_id=quote_id,
            bill=bill,
            authorized_by=await self._authorizations.name(authorization),
        )
        pay = _Payment(caller, transaction_id, digest, quote_id, bill, authorization)
        if _is_one_step(authorization) and self._upstream is None:
            paid = await self._pay_in_one_step(pay)
        else:
            paid = await self._join(pay)
        return replace(receipt_of(paid.row, retry_after=_RETRY_AFTER), is_repeated=not paid.is_new)

    async def cancel(self, caller: Caller, *, transaction_id: str, settlement_transaction_id: str) -> datetime:
        """Undo a settled bill on the same day; return when it was undone.

        Raises:
            SettlementError: it is not undone; the class says why.
        """
        undoing = Undoing(caller, transaction_id, settlement_transaction_id)
        row = await self._unit_of_work.write(lambda connection: cancel(connection, undoing, self._means, self._zone))
        return (await self._undone(row)).reversed_at

    async def reverse(self, caller: Caller, *, transaction_id: str, settlement_transaction_id: str) -> Reversal:
        """Make sure that a transaction is not paid and will not be, whether or not it has arrived yet.

        Raises:
            OutcomeUnknownError: the insurer does not answer; it goes on without the terminal, which may ask again.
            SettlementError: it cannot be reversed; the class says why.
        """
        undoing = Undoing(caller, transaction_id, settlement_transaction_id)
        row = await self._unit_of_work.write(lambda connection: reverse(connection, undoing, self._means))
        return await self._undone(row)

    async def get(self, caller: Caller, transaction_id: str) -> Settlement:
        """Return one of the caller's own settlements.

        Raises:
            SettlementNotFoundError: there is none; another terminal's is answered alike (I1).
        """
        row, _ = await self._unit_of_work.read(lambda connection: find_settlement(connection, transaction_id))
        if row is None or row.terminal_id != caller.terminal_id:
            raise SettlementNotFoundError
        return row.seen_by_terminal

    async def recover(self) -> None:
        """Put what a former life of this process left PENDING in doubt; call it before the first request is taken."""
        now = self._means.now()
        # No call of ours is under way yet, so every PENDING one is abandoned, even one with a time ahead of our clock.
        await self._unit_of_work.write(lambda connection: doubt_pending(connection, began_before=None, next_try_at=now))

    async def drain(self) -> None:
        """Wait until no settlement is half way; call it after the last request, before the unit of work is closed."""
        while self._in_flight:
            await asyncio.wait([task for _, task in self._in_flight.values()])
        await self._pins.drain()

    def _claim(self, connection: Connection, *, caller: Caller, bill: Bill, person_id: str) -> Claim:
        person = self._people.get(connection, person_id)
        if person is None:
            raise PersonUnknownError(person_id=person_id)
        return claim_for(
            caller,
            bill,
            person_id=person_id,
            payer_id=person_id,
            person_region=person.region,
            site_kind=self._site_kind(connection, caller.site_id),
            benefit_year=self._means.now().astimezone(self._zone).year,
        )

    def _quoted(
        self, connection: Connection, *, caller: Caller, claim: Claim, quoted: Quotation | None
    ) -> tuple[QuoteRow, Quotation]:
        insurer = self._means.insurer
        quotation = insurer.quote(connection, claim) if insurer.is_in_house else quoted
        if quotation is None:  # a remote insurer was asked before; without its answer there is no quote
            raise QuoteUnknownError
        row = keep_quote(
            connection, caller, claim, shares=quotation.shares, now=self._means.now(), lifetime=self._quote_lifetime
        )
        return row, quotation

    async def _pay_in_one_step(self, payment: "_Payment") -> Paid:
        """Pay with nothing but the writer's one transaction; only when the proof fails is a repetition looked for."""
        try:
            return await self._pay(payment)
        except (CredentialError, PinRequiredError):
            # Asked of the writer, behind whatever the first request has put there: what it is about to commit is seen.
            seen = await self._unit_of_work.write(payment.seen_before)
            if seen is None:
                raise
            return Paid(seen, is_new=False)

    async def _join(self, payment: "_Payment") -> Paid:
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

    async def _pay_in_steps(self, payment: "_Payment") -> Paid:
        seen = await self._unit_of_work.read(payment.seen_before)
        if seen is not None:
            return Paid(seen, is_new=False)
        paid = await self._pay(payment)
        if self._upstream is not None and paid.is_new and paid.row.state is SettlementState.PENDING:
            paid = Paid(await self._upstream.settle(paid.row), is_new=True)
        return paid

    async def _pay(self, payment: "_Payment") -> Paid:
        proof = await self._authorizations.prove_for_payment(payment.caller, payment.bill, payment.authorization)
        order = Order(
            caller=payment.caller,
            transaction_id=payment.transaction_id,
            body_sha256=payment.digest,
            quote_id=payment.quote_id,
            bill=payment.bill,
            person_id=proof.person_id,
            claims=proof.claims,
            staff=proof.staff,
        )
        return await self._unit_of_work.write(lambda connection: settle(connection, order, self._means))

    async def _undone(self, row: SettlementRow) -> Reversal:
        """Return how it ended, after telling a remote insurer where that is still to be done."""
        if self._upstream is not None and row.state is SettlementState.UNKNOWN:
            try:
                row = await self._upstream.work_off(row.transaction_id)
            except InsurerRefusedError:
                raise
            except Exception as error:
                raise OutcomeUnknownError(retry_after=_RETRY_AFTER) from error
        if row.ended_at is None:
            raise OutcomeUnknownError(retry_after=_RETRY_AFTER)
        return Reversal(reversed_at=row.ended_at, money_moved_back=bool(row.money_moved_back))


def _is_one_step(authorization: Authorization) -> bool:
    """Return whether one transaction is all there is to do: a face, with nothing beside it to be checked before."""
    return isinstance(authorization, FaceAuthorization) and not authorization.pin and not authorization.staff_assertion


@dataclass(frozen=True, slots=True)
class _Payment:
    """One settle request and its digest."""

    caller: Caller
    transaction_id: str
    digest: str
    quote_id: str
    bill: Bill
    authorization: Authorization

    def seen_before(self, connection: Connection) -> SettlementRow | None:
        """Return the settlement that the same request made earlier."""
        return seen_before(
            connection, self.transaction_id, terminal_id=self.caller.terminal_id, body_sha256=self.digest
        )
