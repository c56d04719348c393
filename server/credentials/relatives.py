"""The door of family accounts: a relative bound, listed, unbound, each on the word of somebody who is here."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from server.caller import Caller
from server.credentials.activation import Credentials
from server.credentials.desk import Relative, relative_from
from server.credentials.errors import (
    AssertionUsedError,
    BindingUnknownError,
    PersonNotInRegisterError,
    RegisterTriesSpentError,
    RegisterUnavailableError,
    RelativeFaceMissingError,
)
from server.credentials.family import FamilyAccounts
from server.credentials.guesses import WrongPins
from server.credentials.holder import ByFace, HolderProof, HolderProofs, Proven
from server.credentials.identity import id_number_from_text
from server.credentials.people import People
from server.credentials.register import Register, Registered
from server.credentials.requests import Request, remember, request_from, seen_before
from server.store.unit_of_work import UnitOfWork

WRONG_PER_TERMINAL_MAX: Final = 20
WRONG_WITHIN: Final = timedelta(minutes=10)
"""Questions to the register about relatives that ended in no binding, from one terminal: nobody finds names by trying.
Whatever it failed for in the end: that it did not fail for the name tells as much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Who wants whom bound."""

    request_id: str
    holder: HolderProof
    id_number: str = field(repr=False)
    name: str = field(repr=False)
    relative_assertion: str = field(default="", repr=False)


class FamilyDesk:
    """Binds, lists and unbinds relatives for terminals."""

    def __init__(
        self,
        *,
        unit_of_work: UnitOfWork,
        now: Callable[[], datetime],
        people: People,
        credentials: Credentials,
        family: FamilyAccounts,
        holders: HolderProofs,
        register: Register,
    ) -> None:
        self._unit_of_work: Final = unit_of_work
        self._now: Final = now
        self._people: Final = people
        self._credentials: Final = credentials
        self._family: Final = family
        self._holders: Final = holders
        self._register: Final = register
        self._wrong: Final = WrongPins(now=now, wrong_max=WRONG_PER_TERMINAL_MAX, within=WRONG_WITHIN)

    async def bind(self, caller: Caller, wish: Wish) -> Relative:
        """Let the holder's credential pay for a relative, once.

        Raises:
            CredentialError: nobody is bound, and no assertion is used up; the class says why.
        """
        request = self._request(caller, wish)
        try:
            return await self._bind(caller, request, wish)
        except AssertionUsedError:
            seen = await self._unit_of_work.write(lambda connection: self._told_again(connection, request))
            if seen is None:
                raise
            return seen

    async def list(self, caller: Caller, proof: HolderProof) -> tuple[Relative, ...]:
        """Return whom the holder's credential pays for, oldest binding first.

        Raises:
            CredentialError: the holder is not here; the class says why.
        """
        proven = await self._holders.read(caller, proof, action="list_relatives")

        def work(connection: Connection) -> tuple[Relative, ...]:
            self._holders.use_up(connection, proven)
            bindings = self._family.of(connection, proven.person_id)
            return tuple(relative_from(connection, self._people, binding) for binding in bindings)

        return await self._unit_of_work.write(work)

    async def unbind(self, caller: Caller, proof: HolderProof, *, binding_id: str) -> datetime:
        """End a binding on the word of the holder or of the relative; return since when it is ended.

        Raises:
            CredentialError: it is not ended; the class says why.
        """
        proven = await self._holders.read(caller, proof, action=f"unbind:{binding_id}")

        def work(connection: Connection) -> datetime:
            self._holders.use_up(connection, proven)
            return self._family.unbind(
                connection,
                binding_id,
                person_id=proven.person_id,
                actor=f"terminal:{caller.terminal_id}",
                request_id=caller.request_id,
            )

        return await self._unit_of_work.write(work)

    async def _bind(self, caller: Caller, request: Request, wish: Wish) -> Relative:
        seen = await self._unit_of_work.read(lambda connection: self._told_again(connection, request))
        if seen is not None:
            return seen
        action = f"bind:{request.request_id}"
        is_child = not self._family.needs_own_face(id_number_from_text(wish.id_number))
        holder = await self._holders.read(caller, wish.holder, action=action)
        relative = await self._relative_here(caller, wish, action=action, is_child=is_child)
        guardian_id = holder.person_id if is_child else None
        registered = await self._registered(caller, wish, relative, guardian_id=guardian_id)

        def work(connection: Connection) -> Relative:
            known = self._told_again(connection, request)
            if known is not None:
                return known
            self._holders.use_up(connection, holder)
            if not registered.still(connection):  # struck out as the guardian since the register was asked
                raise PersonNotInRegisterError
            relative_id = self._known_here(connection, caller, registered)
            if relative is not None:
                self._holders.use_up(connection, relative)
                if relative.person_id != relative_id:  # became somebody else's number since it was compared
                    raise PersonNotInRegisterError
            binding = self._family.bind(
                connection,
                credential=self._credentials.active(connection, holder.person_id),
                relative_id=relative_id,
                good_until=self._family.grown_up_at(registered.id_number) if is_child else None,
                actor=f"terminal:{caller.terminal_id}",
                request_id=caller.request_id,
            )
            remember(connection, request, subject=binding.binding_id, asked_at=self._now())
            return relative_from(connection, self._people, binding)

        bound = await self._unit_of_work.write(work)
        self._wrong.take_back(caller.terminal_id)
        return bound

    async def _registered(
        self, caller: Caller, wish: Wish, relative: Proven | None, *, guardian_id: str | None
    ) -> Registered:
        """Return the relative as the register has them; counted as a wrong question until they are bound.

        Raises:
            PersonNotInRegisterError: it has nobody like that, names the holder as no guardian of theirs, or means
                somebody else than whose face it is: said as if it did not know them, because it must not tell.
            RegisterTriesSpentError: too many such claims came from this terminal.
        """
        if wait := self._wrong.wait(caller.terminal_id):
            raise RegisterTriesSpentError(retry_after=wait)
        self._wrong.note(caller.terminal_id)  # before it is asked, or many questions at once pass the bound together
        try:
            found = await self._asked(wish, guardian_id)
        except RegisterUnavailableError:
            self._wrong.take_back(caller.terminal_id)
            raise
        is_them = relative is None or await self._unit_of_work.read(
            lambda connection: self._is_face_of(connection, relative, wish, found)
        )
        if found is None or not is_them:
            raise PersonNotInRegisterError
        return found

    def _is_face_of(self, connection: Connection, relative: Proven, wish: Wish, found: Registered | None) -> bool:
        """Compare, also with nobody, and before the writer is waited for: how long it takes must not tell which."""
        if found is None:
            self._people.id_by_number(connection, wish.id_number)
            return False
        return known_person(connection, self._people, found) == relative.person_id

    async def _asked(self, wish: Wish, guardian_id: str | None) -> Registered | None:
        """Ask the register once, about a child together with who says to be the guardian."""
        if guardian_id is None:
            return await self._register.find(id_number=wish.id_number, name=wish.name, with_face=False)
        guardian = await self._unit_of_work.read(lambda connection: self._people.identity(connection, guardian_id))
        return await self._register.find_ward(id_number=wish.id_number, name=wish.name, guardian=guardian)

    async def _relative_here(self, caller: Caller, wish: Wish, *, action: str, is_child: bool) -> Proven | None:
        """Return the relative's own proof; None for a child who shows none: the guardian's is enough, and needed.

        The register is not asked yet: whoever did not come is not looked up.

        Raises:
            RelativeFaceMissingError: they are old enough to be asked, and did not show their face.
        """
        if wish.relative_assertion:
            return await self._holders.read(caller, ByFace(assertion=wish.relative_assertion), action=action)
        if not is_child:
            raise RelativeFaceMissingError
        return None

    def _known_here(self, connection: Connection, caller: Caller, registered: Registered) -> str:
        """Return the id of somebody in the register; they become one of our people when they are not yet."""
        known = known_person(connection, self._people, registered)
        if known is not None:
            return known
        return self._people.add(
            connection,
            name=registered.name,
            id_number=registered.id_number,
            region=registered.region,
            card_number=None,
            pin=None,
            template=None,
            actor=f"terminal:{caller.terminal_id}",
        ).person_id

    def _told_again(self, connection: Connection, request: Request) -> Relative | None:
        seen = seen_before(connection, request)
        if seen is None:
            return None
        binding = self._family.get(connection, seen.subject)
        if binding is None:  # rows of bindings are never deleted
            raise BindingUnknownError
        return relative_from(connection, self._people, binding)

    def _request(self, caller: Caller, wish: Wish) -> Request:
        shown = wish.holder.assertion if isinstance(wish.holder, ByFace) else wish.holder.card_number
        identity = self._people.digest_of(name=wish.name, id_number=wish.id_number)
        return request_from(
            wish.request_id,
            terminal_id=caller.terminal_id,
            action="bind",
            body=(self._people.keyed(shown), identity.hex(), self._people.keyed(wish.relative_assertion)),
        )


def known_person(connection: Connection, people: People, registered: Registered) -> str | None:
    """Return the id of somebody in the register, if we know them: under their number, or under one they had before."""
    for number in (registered.id_number, *registered.former_id_numbers):
        person_id = people.id_by_number(connection, number)
        if person_id is not None:
            return person_id
    return None
