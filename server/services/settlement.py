"""Money, as gRPC asks for it."""

from collections.abc import Awaitable
from time import perf_counter
from typing import TypeVar

from monitoring.metrics import Metrics
from server import convert
from server.caller import current_caller
from server.credentials.errors import CredentialError, PinLockedError, PinWrongError
from server.interceptors.chain import Context
from server.settlement.desk import SettlementDesk
from server.settlement.errors import (
    AuthorizationMissingError,
    CardUnknownError,
    OutcomeUnknownError,
    SettlementError,
)
from server.settlement.model import Receipt
from shualian.terminal.v1 import settlement_pb2, settlement_pb2_grpc

T = TypeVar("T")

_WAYS = {"face": "FACE", "card": "CARD", "bare_id_number": "BARE_ID_NUMBER"}


class SettlementService(settlement_pb2_grpc.SettlementServiceServicer):
    """SettlementService: who pays what, and the paying of it."""

    def __init__(self, *, desk: SettlementDesk, metrics: Metrics) -> None:
        self._desk = desk
        self._metrics = metrics

    async def PreSettle(
        self, request: settlement_pb2.PreSettleRequest, _context: Context
    ) -> settlement_pb2.PreSettleResponse:
        """Say who would pay what."""
        quote = await self._authorized(
            request.authorization,
            self._desk.pre_settle(
                current_caller(), convert.bill(request.bill), convert.authorization(request.authorization)
            ),
        )
        return settlement_pb2.PreSettleResponse(
            quote_id=quote.quote_id,
            shares=convert.shares(quote.shares),
            expires_at=convert.timestamp(quote.expires_at),
            pin_required=quote.pin_required,
        )

    async def Settle(self, request: settlement_pb2.SettleRequest, _context: Context) -> settlement_pb2.SettleResponse:
        """Pay a bill as quoted."""
        receipt = await self._timed(
            request.bill.business_type,
            self._authorized(
                request.authorization,
                self._desk.settle(
                    current_caller(),
                    transaction_id=request.transaction_id,
                    quote_id=request.quote_id,
                    bill=convert.bill(request.bill),
                    authorization=convert.authorization(request.authorization),
                ),
            ),
        )
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

    async def _authorized(self, authorization: settlement_pb2.Authorization, work: Awaitable[T]) -> T:
        """Count which way was offered, and whether it opened anything."""
        way = _WAYS[authorization.WhichOneof("method") or "bare_id_number"]
        try:
            result = await work
        except (AuthorizationMissingError, CredentialError, CardUnknownError) as error:
            if isinstance(error, PinWrongError | PinLockedError):
                self._metrics.pin_attempts.labels("WRONG" if isinstance(error, PinWrongError) else "LOCKED").inc()
            self._metrics.authorizations.labels(way, "REFUSED").inc()
            raise
        self._metrics.authorizations.labels(way, "ACCEPTED").inc()
        if way == "CARD":
            self._metrics.pin_attempts.labels("RIGHT").inc()
        return result

    async def _timed(self, business_type: int, work: Awaitable[Receipt]) -> Receipt:
        began = perf_counter()
        try:
            receipt = await work
        except OutcomeUnknownError:
            self._note(business_type, "UNKNOWN", began)
            raise
        except SettlementError:
            self._note(business_type, "FAILED", began)
            raise
        self._note(business_type, "SETTLED", began)
        for share, amount_fen in (
            ("POOLED_FUND", receipt.shares.pooled_fund_fen),
            ("PERSONAL_ACCOUNT", receipt.shares.personal_account_fen),
            ("SELF_PAY", receipt.shares.self_pay_fen),
        ):
            self._metrics.settled_fen.labels(share).inc(amount_fen)
        return receipt

    def _note(self, business_type: int, outcome: str, began: float) -> None:
        self._metrics.settlements.labels(f"{business_type:05d}", outcome).inc()
        self._metrics.settlement_seconds.labels(outcome).observe(perf_counter() - began)
