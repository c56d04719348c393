"""Who pays what, by the simulated core? A simple rule, so that a reader can check any answer in their head."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """One bill in its three parts, in fen; they add up to the bill."""

    fund_fen: int
    account_fen: int
    cash_fen: int


def parts_of(*, medfee_fen: int, covered_fen: int, account_balance_fen: int, account_is_used: bool) -> Parts:
    """Return half of what is covered from the fund, rounded down; then the account as far as it goes; then cash."""
    fund = covered_fen // 2
    rest = medfee_fen - fund
    account = min(rest, account_balance_fen) if account_is_used else 0
    return Parts(fund_fen=fund, account_fen=account, cash_fen=rest - account)
