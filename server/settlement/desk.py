"""The settlement room's door: each thing a terminal can ask about money is one method of the SettlementDesk.

The desk is the asynchronous edge. It proves the authorization, hands one plain function to the unit of work, and turns
what came of it into an answer. Nothing is answered that is not committed.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo
from functools import partial
from typing import Final

from sqlalchemy import Connection

from device_registry.audit.log import AuditLog
from server.caller import Caller
from server.credentials.activation import Credentials
from server.credentials.assertion import Assertions
from server.credentials.codes import DynamicCodes
from server.credentials.errors import PersonUnknownError
from server.credentials.family import FamilyAccounts
from server.credentials.people import People
from server.credentials.pin import Pins
from server.credentials.staff import StaffAssertions
from server.settlement.authorization import Authorizations, Proof
from server.settlement.entitlement import entitlement_of
from server.settlement.errors import (
    InsurerRefusedError,
    OutcomeUnknownError,
    QuoteUnknownError,
    SettlementNotFoundError,
)
from server.settlement.insurers import Claim, Insurer
from server.settlement.limits import SettlementLimits, check_bill
from server.settlement.model import (
    Authorization,
    Bill,
    Quotation,
    Quote,
    Receipt,
    Reversal,
    SelfPay,
    Settlement,
    SettlementState,
)
from server.settlement.names import ReceiptNames
from server.settlement.once import body_digest, check_form
from server.settlement.payments import Payment, Payments
from server.settlement.pin_free import open_day
from server.settlement.quote import CHINA, claim_for, keep_quote, quote_of
from server.settlement.remote import upstream_of
from server.settlement.reverse import Undoing, cancel, reverse
from server.settlement.self_pay.channels import SelfPays
from server.settlement.settle import Means, receipt_of
from server.settlement.store import SettlementRow, doubt_pending, find_settlement
from server.store.unit_of_work import UnitOfWork

_RETRY_AFTER = timedelta(seconds=2)


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
        credentials: Credentials,
        codes: DynamicCodes,
        family: FamilyAccounts,
        pins: Pins,
        insurer: Insurer,
        audit: AuditLog,
        limits: SettlementLimits,
        quote_lifetime: timedelta,
        site_kind: Callable[[Connection, str], str],
        self_pays: SelfPays,
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
            credentials: names the payer to a remote insurer.
            codes: reads and uses up dynamic codes.
            family: whom a payer may pay for.
            pins: checks PINs.
            insurer: decides who pays what, and books it.
            audit: where each change is noted.
            limits: bounds on amounts and ids.
            quote_lifetime: how long a quote holds.
            site_kind: what kind of site an id names, as the benefit rules call it.
            self_pays: what the self-paid part may be paid with.
            zone: whose midnight ends the day of a cancellation and the year of benefits.
            insurer_timeout: how long a remote insurer is waited for.
        """
        self._unit_of_work: Final = unit_of_work
        self._people: Final = people
        self._credentials: Final = credentials
        self._family: Final = family
        self._names: Final = ReceiptNames(unit_of_work=unit_of_work, people=people)
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
            codes=codes,
            family=family,
            audit=audit,
            limits=limits,
            retry_after=_RETRY_AFTER,
            self_pays=self_pays,
            zone=zone,
        )
        self._authorizations: Final = Authorizations(
            unit_of_work=unit_of_work,
            people=people,
            assertions=assertions,
            staff_assertions=staff_assertions,
            codes=codes,
            pins=pins,
            limits=limits,
        )
        self._upstream: Final = upstream_of(
            insurer,
            unit_of_work=unit_of_work,
            now=now,
            audit=audit,
            self_pays=self_pays,
            timeout=insurer_timeout,
            retry_after=_RETRY_AFTER,
        )
        self._payments: Final = Payments(
            unit_of_work=unit_of_work,
            authorizations=self._authorizations,
            credentials=credentials,
            means=self._means,
            upstream=self._upstream,
        )

    async def pre_settle(
        self, caller: Caller, bill: Bill, authorization: Authorization, *, binding_id: str = ""
    ) -> Quote:
        """Say who would pay what. Moves nothing and uses nothing up; `binding_id` names a relative who was treated.

        Raises:
            SettlementError, CredentialError: the bill cannot be, or the authorization is not good for it.
        """
        check_bill(bill, self._limits)
        proof = await self._authorizations.prove_for_quote(caller, bill, authorization)
        claim = await self._unit_of_work.read(
            partial(
                self._claim,
                caller=caller,
                bill=bill,
                authorization=authorization,
                payer_id=proof.person_id,
                binding_id=binding_id,
            )
        )
        quoted = await self._upstream.quote(claim) if self._upstream is not None else None
        return await self._unit_of_work.write(
            partial(self._quoted, caller=caller, claim=claim, proof=proof, quoted=quoted)
        )

    async def settle(
        self,
        caller: Caller,
        *,
        transaction_id: str,
        quote_id: str,
        bill: Bill,
        authorization: Authorization,
        self_pay: tuple[SelfPay, ...] = (),
        binding_id: str = "",
    ) -> Receipt:
        """Pay a bill as quoted, once: the same request again gets the same receipt, whatever has expired since.

        `self_pay` says how the self-paid part is paid; empty is cash. `binding_id` names a relative who was treated.

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
            self_pay=self_pay,
            binding_id=binding_id,
        )
        payment = Payment(caller, transaction_id, digest, quote_id, bill, authorization, self_pay, binding_id)
        paid = await self._payments.pay(payment)
        receipt = replace(receipt_of(paid.row, retry_after=_RETRY_AFTER), is_repeated=not paid.is_new)
        return await self._names.on(receipt, paid.row)

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
        seen = row.seen_by_terminal
        return seen if seen.receipt is None else replace(seen, receipt=await self._names.on(seen.receipt, row))

    async def recover(self) -> None:
        """Put what a former life of this process left PENDING in doubt; call it before the first request is taken.

        Where other replicas may share the database, a PENDING one may be theirs and well: the resolver doubts it when
        nobody can be waiting for it any more.
        """
        now, upstream = self._means.now(), self._upstream
        await self._unit_of_work.write(
            lambda connection: doubt_pending(
                connection,
                now=now,
                patience=None if upstream is None or connection.dialect.name == "sqlite" else upstream.lease,
            )
        )

    async def drain(self) -> None:
        """Wait until no settlement is half way; call it after the last request, before the unit of work is closed."""
        await self._payments.land()
        await self._pins.drain()

    def _claim(
        self,
        connection: Connection,
        *,
        caller: Caller,
        bill: Bill,
        authorization: Authorization,
        payer_id: str,
        binding_id: str,
    ) -> Claim:
        person_id = payer_id
        if binding_id:
            person_id = self._family.relative_of(connection, binding_id, holder_id=payer_id)
        person = self._people.get(connection, person_id)
        if person is None:
            raise PersonUnknownError(person_id=person_id)
        self._names.keep(person)
        claim = claim_for(
            caller,
            bill,
            person_id=person_id,
            payer_id=payer_id,
            person_region=person.region,
            site_kind=self._site_kind(connection, caller.site_id),
            benefit_year=self._means.now().astimezone(self._zone).year,
        )
        if self._upstream is None:
            return claim
        entitlement = entitlement_of(connection, self._credentials, authorization, payer_id=payer_id)
        return replace(claim, entitlement=entitlement)

    def _quoted(
        self, connection: Connection, *, caller: Caller, claim: Claim, proof: Proof, quoted: Quotation | None
    ) -> Quote:
        insurer, now = self._means.insurer, self._means.now()
        quotation = insurer.quote(connection, claim) if insurer.is_in_house else quoted
        if quotation is None:  # a remote insurer was asked before; without its answer there is no quote
            raise QuoteUnknownError
        shares = quotation.shares
        row = keep_quote(connection, caller, claim, quotation=quotation, now=now, lifetime=self._quote_lifetime)
        is_day_full = False
        if not proof.is_confirmed:
            day = open_day(connection, claim.payer_id, day=now.astimezone(self._zone).date())
            is_day_full = not day.has_room(claim.bill.total_fen, self._limits)
        due_fen = shares.self_pay_fen - shares.prepaid_fen
        return quote_of(
            row,
            proof.claims,
            self._limits,
            reckoning=quotation.reckoning,
            is_day_full=is_day_full,
            offers=self._means.self_pays.offers(
                connection, claim.payer_id, business_type=claim.bill.business_type, due_fen=due_fen, now=now
            ),
        )

    async def _undone(self, row: SettlementRow) -> Reversal:
        """Return how it ended, after telling a remote insurer where that is still to be done."""
        if self._upstream is not None and row.state is SettlementState.UNKNOWN:
            try:
                row = await self._upstream.end_doubt(row.transaction_id)
            except (InsurerRefusedError, OutcomeUnknownError):
                raise
            except Exception as error:
                raise OutcomeUnknownError(retry_after=_RETRY_AFTER) from error
        if row.ended_at is None:
            raise OutcomeUnknownError(retry_after=_RETRY_AFTER)
        return Reversal(reversed_at=row.ended_at, money_moved_back=bool(row.money_moved_back))
