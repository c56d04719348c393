"""Is the holder of a credential here? A face or a card with its PIN proves it, for one action of the CredentialService.

A face assertion is used up by the action, in its transaction. The same assertion with the same action again is a
repetition of a request whose answer got lost, and is let through; with another action it is used.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, select
from uuid_utils import uuid7

from server.caller import Caller
from server.credentials.assertion import AssertionClaims, Assertions
from server.credentials.errors import AssertionForeignError, AssertionUsedError
from server.credentials.people import People
from server.credentials.pin import Pins
from server.store.tables.people import face_assertions
from server.store.unit_of_work import UnitOfWork

ISSUE_CODE: Final = "issue_code"
"""The action for which also a face counts that never pays without a PIN."""
_PROVING_PURPOSES: Final = frozenset({"PURPOSE_VERIFY", "PURPOSE_IDENTIFY"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ByFace:
    """A face assertion of the calling terminal."""

    assertion: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ByCard:
    """A card and its PIN."""

    card_number: str = field(repr=False)
    pin: str = field(repr=False)


HolderProof = ByFace | ByCard


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """Who is here, and what shows it."""

    person_id: str
    proof_id: str
    """UUID of this proof for this action: the same for a face that is shown again, new for each card."""
    claims: AssertionClaims | None
    """The assertion to use up; None when it was a card with its PIN."""


class HolderProofs:
    """Reads proofs and uses them up."""

    def __init__(self, *, unit_of_work: UnitOfWork, people: People, assertions: Assertions, pins: Pins) -> None:
        self._unit_of_work: Final = unit_of_work
        self._people: Final = people
        self._assertions: Final = assertions
        self._pins: Final = pins

    async def read(self, caller: Caller, proof: HolderProof, *, action: str) -> Proven:
        """Return who is here; uses nothing up, but a PIN attempt counts.

        Raises:
            CredentialError: nobody, by this proof; the class says why.
        """
        if isinstance(proof, ByFace):
            claims = self._assertions.verify(proof.assertion)
            if claims.terminal_id != caller.terminal_id or claims.purpose not in _PROVING_PURPOSES:
                raise AssertionForeignError
            if not _proves_for(action, claims):
                raise AssertionForeignError
            return Proven(person_id=claims.person_id, proof_id=_proof_id(action, claims.assertion_id), claims=claims)
        holder = await self._unit_of_work.read(
            lambda connection: self._people.id_by_card(connection, proof.card_number)
        )
        person_id = await self._pins.verify_cardholder(holder, proof.pin, terminal_id=caller.terminal_id)
        return Proven(person_id=person_id, proof_id=str(uuid7()), claims=None)

    def use_up(self, connection: Connection, proven: Proven) -> bool:
        """Use the face assertion up, if it was one; takes hold when the transaction commits.

        Returns:
            Whether it was unused; False for the repetition of an action that is done.

        Raises:
            AssertionUsedError: it has paid, or proven something else.
            AssertionExpiredError, AssertionForeignError, AssertionInvalidError: as they say.
        """
        claims = proven.claims
        if claims is None:
            return True
        try:
            self._assertions.redeem(
                connection,
                claims,
                terminal_id=claims.terminal_id,
                business_type=claims.business_type,
                transaction_id=proven.proof_id,
            )
        except AssertionUsedError:
            used_for = select(face_assertions.c.transaction_id).where(
                face_assertions.c.assertion_id == claims.assertion_id
            )
            if connection.scalar(used_for) != proven.proof_id:
                raise
            return False
        return True


def _proves_for(action: str, claims: AssertionClaims) -> bool:
    """Return whether a face is enough for an action beside which nothing else is asked.

    A face that was compared for a small bill may be somebody's who looks a little like them, and one that was not asked
    to move may be a picture. Where it pays nothing without a PIN, a code of it asks for the PIN as well.
    """
    return claims.proves_holder or (action == ISSUE_CODE and claims.pin_free_limit_fen == 0)


def _proof_id(action: str, assertion_id: str) -> str:
    """Return a UUID that follows from what is done and with which assertion."""
    digest = hashlib.sha256(f"{action}\0{assertion_id}".encode()).digest()
    return str(UUID(bytes=digest[:16], version=5))
