"""How does somebody prove that they are here, when nothing is to be paid? With card and PIN, or with their face."""

from dataclasses import dataclass

from grpc import aio

from mock_terminal.errors import NoAssertionError
from mock_terminal.face import authenticate
from mock_terminal.report import Reporter
from mock_terminal.sitting import Sitting
from shualian.terminal.v1 import credential_pb2, settlement_pb2

Shows = settlement_pb2.CardAuthorization | Sitting
"""What somebody shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """The channel over which somebody proves that they are here."""

    channel: aio.Channel
    report: Reporter

    async def proof(self, shows: Shows) -> credential_pb2.HolderProof:
        """Return what the platform takes as proof.

        Raises:
            NoAssertionError: the face was not let through.
        """
        if isinstance(shows, Sitting):
            return credential_pb2.HolderProof(face_assertion=await self.assertion(shows))
        return credential_pb2.HolderProof(card=credential_pb2.CardProof(card_number=shows.card_number, pin=shows.pin))

    async def assertion(self, sitting: Sitting) -> str:
        """Return the assertion that a face session ends with.

        Raises:
            NoAssertionError: it ends with none.
        """
        decision = await authenticate(self.channel, sitting, self.report)
        if not decision.assertion:
            raise NoAssertionError(decision)
        return decision.assertion
