"""How a terminal without a certificate proves which one it is: one class per kind of proof."""

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Protocol

from sqlalchemy import Connection

from device_registry import store
from device_registry.errors import TokenExpiredError, TokenRefusedError, TokenUsedError
from device_registry.model import Terminal


def token_sha256(token: str) -> str:
    """Return what is stored in a token's stead. The token has 256 random bits, so a fast hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


class Proof(Protocol):
    """What an enrollment asks of any kind of proof."""

    kind: ClassVar[str]
    """Names the kind in the audit log."""

    def terminal(self, connection: Connection, *, serial_number: str, now: datetime) -> Terminal:
        """Return the terminal that is proven, else raise an `EnrollmentRefusedError`."""

    def spend(self, connection: Connection, *, serial_number: str, now: datetime) -> None:
        """Use the proof up, where it is good only once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenProof:
    """A one-time token that an operator made for one serial number at one site."""

    kind: ClassVar[str] = "token"
    token: str = field(repr=False)

    def terminal(self, connection: Connection, *, serial_number: str, now: datetime) -> Terminal:
        """Return the terminal the token was made for.

        A wrong token gets the same answer whether or not the serial number exists. Only who holds the right token for
        the right serial number learns that it was used or has lapsed.
        """
        known = store.find_token(connection, token_sha256(self.token))
        expected = known["serial_number"] if known is not None else ""
        same_serial = hmac.compare_digest(expected.encode(), serial_number.encode())
        if known is None or not same_serial:
            raise TokenRefusedError(serial_number=serial_number)
        if known["used_at"] is not None:
            raise TokenUsedError(serial_number=serial_number)
        if now >= known["expires_at"]:
            raise TokenExpiredError(serial_number=serial_number)
        terminal = store.find_terminal(connection, known["terminal_id"])
        if terminal is None or terminal.site_id != known["site_id"]:
            raise TokenRefusedError(serial_number=serial_number)
        return terminal

    def spend(self, connection: Connection, *, serial_number: str, now: datetime) -> None:
        """Use the token up; of two enrollments in the same moment one gets through."""
        if not store.spend_token(connection, token_sha256=token_sha256(self.token), at=now):
            raise TokenUsedError(serial_number=serial_number)
