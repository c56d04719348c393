"""What stands for a remote insurer where nobody has a line to it: every question is answered with "nobody knows"."""

from typing import Literal, NoReturn

from server.settlement.errors import InsurerUnavailableError
from server.settlement.insurers import Booking, Claim
from server.settlement.model import Quotation, Shares
from server.settlement.reconciliation.statements import Statements


class AbsentInsurer:
    """A RemoteInsurer that is not connected: a command that only reads our books has no need of one (I10)."""

    @property
    def is_in_house(self) -> Literal[False]:
        """Books elsewhere."""
        return False

    @property
    def statements(self) -> Statements:
        """None to be had.

        Raises:
            InsurerUnavailableError: always, like all of the below.
        """
        _refuse()

    async def quote(self, claim: Claim) -> Quotation:  # noqa: ARG002 - the port's signature
        """Never quotes."""
        _refuse()

    async def settle(self, *, transaction_id: str, claim: Claim, quoted: Shares) -> Booking:  # noqa: ARG002 - as above
        """Never books."""
        _refuse()

    async def query(self, transaction_id: str) -> Booking | None:  # noqa: ARG002 - as above
        """Never knows."""
        _refuse()

    async def cancel(self, transaction_id: str) -> None:  # noqa: ARG002 - as above
        """Never undoes."""
        _refuse()

    async def reverse(self, transaction_id: str) -> bool:  # noqa: ARG002 - as above
        """Never reverses."""
        _refuse()


def _refuse() -> NoReturn:
    raise InsurerUnavailableError
