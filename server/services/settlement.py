"""Money, as gRPC asks for it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from time import perf_counter

from device_registry.model import TerminalClass
from monitoring.metrics import Metrics
from server import convert
from server.caller import current_caller
from server.credentials.errors import CredentialError
from server.gates import AUTHORIZATIONS, refuse_class
from server.interceptors.chain import Context
from server.refusals import TerminalClassError
from server.settlement.desk import SettlementDesk
from server.settlement.errors import (
    AuthorizationMissingError,
    OutcomeUnknownError,
    SettlementError,
)
from server.settlement.model import Receipt
from server.settlement.reconciliation.terminals import TerminalDays
from server.store.errors import StoreError
from server.ways_seen import WaysSeen
from shualian.terminal.v1 import settlement_pb2, settlement_pb2_grpc

_WAYS = {"face": "FACE", "card": "CARD", "code": "CODE", "bare_id_number": "BARE_ID_NUMBER"}


class SettlementService(settlement_pb2_grpc.SettlementServiceServicer):
    """SettlementService: who pays what, and the paying of it."""

    def __init__(self, *, desk: SettlementDesk, days: TerminalDays, ways: WaysSeen, metrics: Metrics) -> None:
        self._desk = desk
        self._days = days
        self._ways = ways
        self._metrics = metrics

    async def PreSettle(
        self, request: settlement_pb2.PreSettleRequest, _context: Context
    ) -> settlement_pb2.PreSettleResponse:
        """Say who would pay what."""
        await self._note_way(request.authorization)
        with self._offered(request.authorization):
            quote = await self._desk.pre_settle(
                current_caller(),
                convert.bill(request.bill),
                convert.authorization(request.authorization),
                binding_id=request.binding_id,
            )
        return settlement_pb2.PreSettleResponse(
            quote_id=quote.quote_id,
            shares=convert.shares(quote.shares),
            expires_at=convert.timestamp(quote.expires_at),
            pin_required=quote.pin_required,
            staff_may_confirm=quote.staff_may_confirm,
            reckoning=[convert.reckoning(step) for step in quote.reckoning],
            self_pay_offers=[convert.self_pay_offer(offer) for offer in quote.self_pay_offers],
        )

    async def Settle(self, request: settlement_pb2.SettleRequest, _context: Context) -> settlement_pb2.SettleResponse:
        """Pay a bill as quoted."""
        business_type, began = request.bill.business_type, perf_counter()
        try:
            with self._offered(request.authorization):
                receipt = await self._desk.settle(
                    current_caller(),
                    transaction_id=request.transaction_id,
                    quote_id=request.quote_id,
                    bill=convert.bill(request.bill),
                    authorization=convert.authorization(request.authorization),
                    self_pay=convert.self_pays(request.self_pay),
                    binding_id=request.binding_id,
                )
        except OutcomeUnknownError:
            self._note(business_type, "UNKNOWN", began)
            raise
        except (SettlementError, CredentialError, StoreError):
            self._note(business_type, "FAILED", began)
            raise
        self._note(business_type, "REPEATED" if receipt.is_repeated else "SETTLED", began)
        if not receipt.is_repeated:
            self._count_money(receipt)
        return settlement_pb2.SettleResponse(receipt=convert.receipt(receipt))

    async def Cancel(self, request: settlement_pb2.CancelRequest, _context: Context) -> settlement_pb2.CancelResponse:
        """Undo a settled bill on the same day."""
        cancelled_at = await self._desk.cancel(
            current_caller(),
            transaction_id=request.transaction_id,
            settlement_transaction_id=request.settlement_transaction_id,
        )
        return settlement_pb2.CancelResponse(cancelled_at=convert.timestamp(cancelled_at))

    async def Reverse(
        self, request: settlement_pb2.ReverseRequest, _context: Context
    ) -> settlement_pb2.ReverseResponse:
        """Make sure that a transaction is not, and will not be, paid."""
        reversal = await self._desk.reverse(
            current_caller(),
            transaction_id=request.transaction_id,
            settlement_transaction_id=request.settlement_transaction_id,
        )
        return settlement_pb2.ReverseResponse(
            reversed_at=convert.timestamp(reversal.reversed_at), money_moved_back=reversal.money_moved_back
        )

    async def GetSettlement(
        self, request: settlement_pb2.GetSettlementRequest, _context: Context
    ) -> settlement_pb2.GetSettlementResponse:
        """Look up one of the terminal's own settlements."""
        found = await self._desk.get(current_caller(), request.transaction_id)
        return settlement_pb2.GetSettlementResponse(
            state=convert.settlement_state(found.state),
            receipt=convert.receipt(found.receipt) if found.receipt is not None else None,
        )

    async def Reconcile(
        self, request: settlement_pb2.ReconcileRequest, _context: Context
    ) -> AsyncIterator[settlement_pb2.ReconcileResponse]:
        """Compare the terminal's day with ours."""
        terminal_id, day = current_caller().terminal_id, convert.day(request.day, "day")
        ours = convert.day_totals(await self._days.totals(terminal_id, day))
        agrees = ours == request.totals
        self._metrics.terminal_days.labels("AGREES" if agrees else "DIFFERS").inc()
        yield settlement_pb2.ReconcileResponse(compared=settlement_pb2.DayCompared(agrees=agrees, platform=ours))
        if not agrees:
            async for item in self._days.items(terminal_id, day):
                yield settlement_pb2.ReconcileResponse(item=convert.day_item(item))

    @contextmanager
    def _offered(self, authorization: settlement_pb2.Authorization) -> Iterator[None]:
        """Count which way was offered, and whether it opened anything."""
        method = authorization.WhichOneof("method") or "bare_id_number"
        way = _WAYS[method]
        try:
            refuse_class(TerminalClass(current_caller().terminal_class), AUTHORIZATIONS[method])
            yield
        except (AuthorizationMissingError, CredentialError, TerminalClassError):
            self._metrics.authorizations.labels(way, "REFUSED").inc()
            raise
        self._metrics.authorizations.labels(way, "ACCEPTED").inc()

    async def _note_way(self, authorization: settlement_pb2.Authorization) -> None:
        """Note that this site takes something beside faces, whether or not it pays."""
        method = authorization.WhichOneof("method")
        if method in {"card", "code"}:
            await self._ways.note(current_caller().site_id, _WAYS[method])

    def _count_money(self, receipt: Receipt) -> None:
        shares = receipt.shares
        for pay in receipt.self_pay:
            self._metrics.self_paid_fen.labels(pay.kind.value).inc(pay.amount_fen)
        for share, amount_fen in (
            ("POOLED_FUND", shares.pooled_fund_fen),
            ("PERSONAL_ACCOUNT", shares.personal_account_fen),
            ("SELF_PAY", shares.self_pay_fen),
        ):
            self._metrics.settled_fen.labels(share).inc(amount_fen)

    def _note(self, business_type: int, outcome: str, began: float) -> None:
        self._metrics.settlements.labels(f"{business_type:05d}", outcome).inc()
        self._metrics.settlement_seconds.labels(outcome).observe(perf_counter() - began)
