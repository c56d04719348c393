"""The door of credentials: activated, shown as a code, looked at, ended. Each call is one method, one transaction.

Nothing is answered that is not committed, and each call that changes something may be sent again.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from server.caller import Caller
from server.credentials.activating import ActivationAssertions, PendingActivation
from server.credentials.activation import Credentials
from server.credentials.assertion import AssertionClaims
from server.credentials.codes import CodeClaims, DynamicCodes, IssuedCode
from server.credentials.consent import name_person
from server.credentials.errors import ActivationOvertakenError, AssertionUsedError, PersonUnknownError
from server.credentials.family import Binding, FamilyAccounts
from server.credentials.holder import ISSUE_CODE, HolderProof, HolderProofs
from server.credentials.people import People
from server.credentials.pin import Pins, set_first_pin
from server.credentials.requests import Remembered, Request, remember, request_from, seen_before
from server.store.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """A credential as its holder may see it."""

    credential_id: str
    masked_name: str
    activated_at: datetime
    is_reissued: bool
    is_repeated: bool
    """True when an earlier request, or an earlier activation, had made it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relative:
    """Somebody whom a credential pays for, as a screen may show them."""

    binding_id: str
    masked_name: str
    bound_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedCode:
    """Whose a code is."""

    masked_name: str
    pin_free_limit_fen: int
    expires_at: datetime
    relatives: tuple[Relative, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeLimits:
    """What a code is good for at most; a weaker proof makes it good for less."""

    amount_limit_fen: int
    pin_free_limit_fen: int


def limits_of(claims: AssertionClaims) -> CodeLimits:
    """Return what a face is good for where it was shown."""
    return CodeLimits(amount_limit_fen=claims.amount_limit_fen, pin_free_limit_fen=claims.pin_free_limit_fen)


class CredentialDesk:
    """Activates, shows and ends credentials for terminals."""

    def __init__(
        self,
        *,
        unit_of_work: UnitOfWork,
        now: Callable[[], datetime],
        people: People,
        credentials: Credentials,
        activations: ActivationAssertions,
        codes: DynamicCodes,
        family: FamilyAccounts,
        holders: HolderProofs,
        pins: Pins,
        code_limits: CodeLimits,
        anywhere: Callable[[AssertionClaims], CodeLimits] = limits_of,
    ) -> None:
        """Take what it works with.

        Args:
            unit_of_work: the database.
            now: the clock.
            people: who is known here.
            credentials: who has a credential.
            activations: what a face session with PURPOSE_ACTIVATE ends with.
            codes: makes and reads dynamic codes.
            family: whom a credential pays for.
            holders: reads what shows that the holder is here.
            pins: makes the hash of a first PIN.
            code_limits: the most that a code is good for.
            anywhere: what a face is good for whatever it pays for: a code may be scanned for any business.
        """
        self._unit_of_work: Final = unit_of_work
        self._now: Final = now
        self._people: Final = people
        self._credentials: Final = credentials
        self._activations: Final = activations
        self._codes: Final = codes
        self._family: Final = family
        self._holders: Final = holders
        self._pins: Final = pins
        self._code_limits: Final = code_limits
        self._anywhere: Final = anywhere

    async def activate(self, caller: Caller, *, request_id: str, assertion: str, pin: str | None) -> Activation:
        """Activate the credential of whoever the assertion names, once; somebody new becomes one of our people with it.

        Raises:
            CredentialError: nothing is activated, and the assertion is unused; the class says why.
        """
        named = hashlib.sha256(assertion.encode()).hexdigest()
        request = request_from(request_id, terminal_id=caller.terminal_id, action="activate", body=(named,))
        try:
            return await self._activate(caller, request, assertion, pin)
        except AssertionUsedError:
            # By the same request, perhaps, whose answer got lost: asked of the writer, which has seen it through.
            seen = await self._unit_of_work.write(lambda connection: self._told_again(connection, request))
            if seen is None:
                raise
            return seen

    async def issue_code(self, caller: Caller, proof: HolderProof) -> IssuedCode:
        """Make a code for the holder; the same face assertion again gets the same code.

        Raises:
            CredentialError: no code; the class says why.
        """
        proven = await self._holders.read(caller, proof, action=ISSUE_CODE)
        limits = self._code_limits
        amount, pin_free = limits.amount_limit_fen, limits.pin_free_limit_fen
        if proven.claims is not None:
            good_for = self._anywhere(proven.claims)
            amount = min(amount, good_for.amount_limit_fen)
            pin_free = min(pin_free, good_for.pin_free_limit_fen)

        def work(connection: Connection) -> IssuedCode:
            credential = self._credentials.active(connection, proven.person_id)
            self._holders.use_up(connection, proven)
            return self._codes.issue(
                connection,
                credential_id=credential.credential_id,
                terminal_id=caller.terminal_id,
                proof_id=proven.proof_id,
                amount_limit_fen=amount,
                pin_free_limit_fen=pin_free,
            )

        return await self._unit_of_work.write(work)

    async def resolve_code(self, code: str) -> ResolvedCode:
        """Say whose a code is and what it is good for; uses nothing up.

        Raises:
            CodeError, CredentialNotActiveError: it is good for nothing.
        """

        def work(connection: Connection) -> tuple[CodeClaims, str, tuple[Relative, ...]]:
            claims = self._codes.check(connection, code)
            return claims, self._name(connection, claims.person_id), self._relatives(connection, claims.person_id)

        claims, name, relatives = await self._unit_of_work.read(work)
        return ResolvedCode(
            masked_name=name,
            pin_free_limit_fen=claims.pin_free_limit_fen,
            expires_at=claims.expires_at,
            relatives=relatives,
        )

    async def end(self, caller: Caller, proof: HolderProof) -> datetime:
        """End the holder's credential, with its codes and bindings; return since when it is dead.

        Raises:
            CredentialError: it is not ended; the class says why.
        """
        proven = await self._holders.read(caller, proof, action="end")

        def work(connection: Connection) -> datetime:
            if not self._holders.use_up(connection, proven):  # late, perhaps: it must not end what came after
                return self._credentials.ended_at(connection, proven.person_id)
            return self._credentials.end(
                connection,
                proven.person_id,
                actor=f"terminal:{caller.terminal_id}",
                request_id=caller.request_id,
            )

        return await self._unit_of_work.write(work)

    async def forget_expired(self) -> None:
        """Empty activations that were never used: what the register said of somebody is kept for seconds."""
        await self._unit_of_work.write(self._activations.forget_expired)

    async def _activate(self, caller: Caller, request: Request, assertion: str, pin: str | None) -> Activation:
        seen = await self._unit_of_work.read(lambda connection: self._told_again(connection, request))
        if seen is not None:
            return seen
        pending = await self._unit_of_work.read(
            lambda connection: self._activations.check(connection, assertion, terminal_id=caller.terminal_id)
        )
        pin_hash = None
        if pin:
            theirs = pending.claims.person_id
            pin_hash = await self._pins.hashed(pin, person_id=theirs, id_number=pending.id_number)
        return await self._unit_of_work.write(
            lambda connection: self._activated(connection, caller, request, pending, pin_hash)
        )

    def _activated(
        self,
        connection: Connection,
        caller: Caller,
        request: Request,
        pending: PendingActivation,
        pin_hash: str | None,
    ) -> Activation:
        actor, person_id = f"terminal:{caller.terminal_id}", pending.claims.person_id
        self._activations.redeem(connection, pending.claims, request_id=request.request_id)
        self._take_in(connection, pending, actor)
        name_person(connection, session_id=pending.claims.session_id, person_id=person_id)
        if pin_hash is not None:
            set_first_pin(connection, person_id=person_id, pin_hash=pin_hash)
        done = self._credentials.activate(
            connection,
            person_id=person_id,
            identity_digest=self._people.digest_of(name=pending.name, id_number=pending.id_number),
            actor=actor,
            request_id=caller.request_id,
        )
        remembered = remember(
            connection,
            request,
            subject=done.credential.credential_id,
            asked_at=self._now(),
            is_reissued=done.is_reissued,
        )
        return self._told(connection, remembered, is_repeated=not done.is_new)

    def _take_in(self, connection: Connection, pending: PendingActivation, actor: str) -> None:
        """Make our people say what the register says.

        Raises:
            ActivationOvertakenError: somebody else has taken them in, or their face was forgotten, meanwhile.
        """
        person_id = pending.claims.person_id
        holder_of_number = self._people.id_by_number(connection, pending.id_number)
        if holder_of_number not in {None, person_id}:
            raise ActivationOvertakenError
        if self._people.get(connection, person_id) is None:
            self._people.add(
                connection,
                name=pending.name,
                id_number=pending.id_number,
                region=pending.region,
                card_number=None,
                pin=None,
                template=pending.template,
                actor=actor,
                person_id=person_id,
            )
            return
        self._people.correct(
            connection, person_id=person_id, name=pending.name, id_number=pending.id_number, actor=actor
        )
        if pending.template is not None:
            self._people.remember_face(connection, person_id=person_id, template=pending.template, actor=actor)
        elif not self._people.has_face(connection, person_id):
            raise ActivationOvertakenError

    def _told_again(self, connection: Connection, request: Request) -> Activation | None:
        seen = seen_before(connection, request)
        return None if seen is None else self._told(connection, seen, is_repeated=True)

    def _told(self, connection: Connection, remembered: Remembered, *, is_repeated: bool) -> Activation:
        credential = self._credentials.get(connection, remembered.subject)
        if credential is None:  # rows of credentials are never deleted
            raise ActivationOvertakenError
        return Activation(
            credential_id=credential.credential_id,
            masked_name=self._name(connection, credential.person_id),
            activated_at=credential.activated_at,
            is_reissued=remembered.is_reissued,
            is_repeated=is_repeated,
        )

    def _relatives(self, connection: Connection, holder_id: str) -> tuple[Relative, ...]:
        return tuple(
            relative_from(connection, self._people, binding) for binding in self._family.of(connection, holder_id)
        )

    def _name(self, connection: Connection, person_id: str) -> str:
        return masked_name_of(connection, self._people, person_id)


def masked_name_of(connection: Connection, people: People, person_id: str) -> str:
    """Return the name of one of our people as a screen may show it.

    Raises:
        PersonUnknownError: nobody has this id.
    """
    person = people.get(connection, person_id)
    if person is None:
        raise PersonUnknownError(person_id=person_id)
    return person.masked_name


def relative_from(connection: Connection, people: People, binding: Binding) -> Relative:
    """Return the relative of a binding as a screen may show them."""
    return Relative(
        binding_id=binding.binding_id,
        masked_name=masked_name_of(connection, people, binding.relative_id),
        bound_at=binding.bound_at,
    )
