"""How does an amount cross the border? Fen are whole numbers here; the core counts yuan with two decimals."""

import re
from decimal import Decimal

from server.settlement.insurers.fsi.errors import AmountUnreadableError

_FEN_MAX = 10**15
"""Nobody's bill: sixteen digits with two decimals is what the national fields hold."""
_YUAN = re.compile(r"(-?)([0-9]{1,14})(?:\.([0-9]{1,2}))?")


def yuan_from_fen(fen: int) -> str:
    """Return an amount in yuan with exactly two decimals, e.g. 8320 as 83.20."""
    sign = "-" if fen < 0 else ""
    yuan, rest = divmod(abs(fen), 100)
    return f"{sign}{yuan}.{rest:02}"


def fen_from_yuan(value: object) -> int:
    """Return the fen of an amount as the core wrote it: a text or a JSON number, parsed without floats.

    Raises:
        AmountUnreadableError: no amount, written with an exponent, with more than two decimals, or absurdly large.
    """
    found = _YUAN.fullmatch(_written(value))
    if found is None:
        raise AmountUnreadableError
    sign, yuan, decimals = found.groups()
    fen = int(yuan) * 100 + int((decimals or "").ljust(2, "0"))
    if fen > _FEN_MAX:
        raise AmountUnreadableError
    return -fen if sign else fen


def _written(value: object) -> str:
    """Return the digits as they stood in the message; `str` keeps a Decimal's exactly, also a third decimal."""
    if isinstance(value, str):
        return value
    if isinstance(value, Decimal) or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value)
    raise AmountUnreadableError
