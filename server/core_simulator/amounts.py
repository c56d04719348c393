"""Yuan on the wire, fen inside: how does one become the other, exactly?"""

from decimal import Decimal, InvalidOperation
from typing import Final

from server.core_simulator.errors import Infcode, RefusedError

FEN_MAX: Final = 10**16 - 1
"""Sixteen digits, two of them behind the point."""


def fen(value: object, *, name: str) -> int:
    """Return an amount of the wire in fen.

    Args:
        value: a number or its text, at most two digits behind the point, not negative.
        name: the field, for the refusal.

    Raises:
        RefusedError: it is no such amount.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise RefusedError(Infcode.FIELD, detail=name)
    try:
        scaled = Decimal(value) * 100
    except InvalidOperation as error:
        raise RefusedError(Infcode.FIELD, detail=name) from error
    if not scaled.is_finite() or scaled != scaled.to_integral_value() or not 0 <= scaled <= FEN_MAX:
        raise RefusedError(Infcode.FIELD, detail=name)
    return int(scaled)


def yuan(amount_fen: int) -> str:
    """Return fen as yuan with two decimals: `1230` is `12.30`, `-5` is `-0.05`."""
    sign = "-" if amount_fen < 0 else ""
    whole, rest = divmod(abs(amount_fen), 100)
    return f"{sign}{whole}.{rest:02d}"
