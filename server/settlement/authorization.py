"""Whose money may be spent? From what the terminal shows to a person, before the writer is bothered.

Nothing here uses anything up. An ID number alone names a person but proves nothing, and so pays nothing (I12).
"""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection

from server.caller import Caller
from server.credentials.assertion import AssertionClaims, Assertions
from server.credentials.codes import DynamicCodes
from server.credentials.errors import AssertionForeignError
from server.credentials.people import People
from server.credentials.pin import Pins
from server.credentials.staff import StaffAssertions, StaffClaims
from server.settlement.errors import AuthorizationMissingError
from server.settlement.limits import (
    SettlementLimits,
    Shown,
    check_assertion_limit,
    check_confirmed,
    is_confirmed,
    pin_required,
)
from server.settlement.model import (
    WAYS_TO_PAY,
    Authorization,
    Bill,
    CardAuthorization,
    CodeAuthorization,
    FaceAuthorization,
)
from server.store.unit_of_work import UnitOfWork

_CHECKED_MAX = 4_096
_PAYING_PURPOSES = frozenset({"PURPOSE_VERIFY", "PURPOSE_IDENTIFY"})
"""What a face may have been shown for and still pay (I4); a later purpose pays only when it is named here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A person, and what speaks for them where it was a face or a code."""

    person_id: str
    claims: Shown | None
    """What is to be used up; None when it was a card with its PIN."""
    staff: StaffClaims | None = None
    """The practitioner's assertion that stands in the place of the PIN; to be used up with the first one."""
    is_confirmed: bool = False
    """Whether a PIN, or a practitioner in its place, stands behind it; what is not counts among the day's PIN-free."""


class Authorizations:
    """Reads what a terminal shows."""

    def __init__(
        self,
        *,
        unit_of_work: UnitOfWork,
        people: People,
        assertions: Assertions,
        staff_assertions: StaffAssertions,
        codes: DynamicCodes,
        pins: Pins,
        limits: SettlementLimits,
    ) -> None:
        self._unit_of_work: Final = unit_of_work
        self._people: Final = people
        self._assertions: Final = assertions
        self._staff_assertions: Final = staff_assertions
        self._codes: Final = codes
        self._pins: Final = pins
        self._limits: Final = limits
        # Tokens whose signature a quote has checked, by hash, oldest first: a signature costs as much as all the SQL of
        # a settlement, and the same bytes cannot become wrong. Whether the token is still good is asked at its use.
        self._checked_at_quote: Final = OrderedDict[str, AssertionClaims]()

    async def name(self, authorization: Authorization) -> str:
        """Return what names an authorization without giving it away: the same one again has the same name.

        A token is named by its hash (its signature cannot be guessed from it), a card by its holder (a card number
        could be guessed from a hash). PIN and practitioner are no part of it: to mistype the one, or to ask for the
        other a second time, does not make another request.

        Raises:
            AuthorizationMissingError: an ID number alone; lists the ways that work.
        """
        if isinstance(authorization, FaceAuthorization):
            return _token_name("face", authorization.assertion)
        if isinstance(authorization, CodeAuthorization):
            return _token_name("code", authorization.code)
        if isinstance(authorization, CardAuthorization):
            return f"card:{await self._cardholder(authorization) or 'nobody'}"
        raise AuthorizationMissingError(ways=WAYS_TO_PAY)

    async def prove_for_quote(self, caller: Caller, bill: Bill, authorization: Authorization) -> Proof:
        """Return whose money a quote is about; a face needs no PIN yet.

        Raises:
            SettlementError, CredentialError: it is nobody's, or not good for this bill.
        """
        if isinstance(authorization, FaceAuthorization):
            proof = await self._checked(caller, bill, authorization)
            self._remember(authorization, proof)
            return proof
        if isinstance(authorization, CodeAuthorization):
            return await self._with_code(bill, authorization)
        return await self._with_card(caller, authorization)

    async def prove_for_payment(
        self, caller: Caller, bill: Bill, authorization: Authorization, *, needs_pin: bool = False
    ) -> Proof:
        """Return whose money would be spent; a face below its PIN-free limit is only read here, and checked at its use.

        Where something else asks for the PIN (`needs_pin`: a self-pay channel), the amount does not matter. A PIN that
        comes unasked is checked as well: what it confirms does not count among the PIN-free payments of the day.

        Raises:
            SettlementError, CredentialError: it is nobody's, or not good for this bill.
        """
        if isinstance(authorization, CodeAuthorization):
            return await self._with_code_for_payment(caller, bill, authorization, needs_pin=needs_pin)
        if not isinstance(authorization, FaceAuthorization):
            return await self._with_card(caller, authorization)
        claims = self._checked_at_quote.pop(_token_name("face", authorization.assertion), None)
        claims = claims or self._assertions.verify(authorization.assertion)
        proof = _proof(claims)
        if not self._is_to_be_confirmed(bill, authorization, claims, needs_pin=needs_pin):
            return proof
        # All else first: a PIN attempt is counted, and must not be spent on a face that pays nothing anyway.
        proof = await self._checked(caller, bill, authorization)
        if authorization.pin:
            await self._pins.verify(proof.person_id, authorization.pin, terminal_id=caller.terminal_id)
            return replace(proof, is_confirmed=True)
        staff = await self._confirmed(caller, bill, authorization.staff_assertion or "")
        return replace(proof, staff=staff, is_confirmed=True)

    async def _checked(self, caller: Caller, bill: Bill, authorization: FaceAuthorization) -> Proof:
        def work(connection: Connection) -> AssertionClaims:
            return self._assertions.check(
                connection,
                authorization.assertion,
                terminal_id=caller.terminal_id,
                business_type=bill.business_type,
            )

        claims = await self._unit_of_work.read(work)
        check_assertion_limit(bill, claims.amount_limit_fen)
        return _proof(claims)

    def _is_to_be_confirmed(
        self, bill: Bill, authorization: FaceAuthorization | CodeAuthorization, claims: Shown, *, needs_pin: bool
    ) -> bool:
        """Return whether something beside face or code is to be checked: because it must be, or because it came.

        Raises:
            PinRequiredError: it must be, and nothing came.
        """
        if needs_pin or pin_required(bill, claims, self._limits):
            check_confirmed(authorization, claims, self._limits)
            return True
        return is_confirmed(authorization, claims)

    async def _with_code(self, bill: Bill, authorization: CodeAuthorization) -> Proof:
        claims = await self._unit_of_work.read(lambda connection: self._codes.check(connection, authorization.code))
        check_assertion_limit(bill, claims.amount_limit_fen)
        return Proof(person_id=claims.person_id, claims=claims)

    async def _with_code_for_payment(
        self, caller: Caller, bill: Bill, authorization: CodeAuthorization, *, needs_pin: bool
    ) -> Proof:
        proof = await self._with_code(bill, authorization)
        claims = proof.claims
        if claims is None or not self._is_to_be_confirmed(bill, authorization, claims, needs_pin=needs_pin):
            return proof
        await self._pins.verify(proof.person_id, authorization.pin or "", terminal_id=caller.terminal_id)
        return replace(proof, is_confirmed=True)

    async def _confirmed(self, caller: Caller, bill: Bill, token: str) -> StaffClaims:
        return await self._unit_of_work.read(
            lambda connection: self._staff_assertions.check(
                connection, token, terminal_id=caller.terminal_id, business_type=bill.business_type
            )
        )

    def _remember(self, authorization: FaceAuthorization, proof: Proof) -> None:
        if isinstance(proof.claims, AssertionClaims):
            self._checked_at_quote[_token_name("face", authorization.assertion)] = proof.claims
        if len(self._checked_at_quote) > _CHECKED_MAX:
            self._checked_at_quote.popitem(last=False)

    async def _with_card(self, caller: Caller, authorization: Authorization) -> Proof:
        if not isinstance(authorization, CardAuthorization):
            raise AuthorizationMissingError(ways=WAYS_TO_PAY)
        holder = await self._cardholder(authorization)
        person_id = await self._pins.verify_cardholder(holder, authorization.pin, terminal_id=caller.terminal_id)
        return Proof(person_id=person_id, claims=None, is_confirmed=True)

    async def _cardholder(self, authorization: CardAuthorization) -> str | None:
        return await self._unit_of_work.read(
            lambda connection: self._people.id_by_card(connection, authorization.card_number)
        )


def _proof(claims: AssertionClaims) -> Proof:
    if claims.purpose not in _PAYING_PURPOSES:
        raise AssertionForeignError
    return Proof(person_id=claims.person_id, claims=claims)


def _token_name(kind: str, token: str) -> str:
    return f"{kind}:{hashlib.sha256(token.encode()).hexdigest()}"
