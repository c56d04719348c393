"""The desks of credentials and family accounts over a test's money: real proofs, codes and database."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from itertools import count
from typing import Any

import uuid_utils
from sqlalchemy import Connection, func, select

from face_pipeline.frames import Template
from server.caller import Caller
from server.credentials import InsuredPerson
from server.credentials.activating import ActivationAssertions
from server.credentials.assertion import AssertionClaims
from server.credentials.desk import Activation, CodeLimits, CredentialDesk, Relative, limits_of
from server.credentials.errors import RegisterUnavailableError
from server.credentials.guardians import Guardians
from server.credentials.holder import ByCard, ByFace, HolderProofs
from server.credentials.identity import Identity, birth_date_of, checksum
from server.credentials.register import Register, Registered
from server.credentials.register.local import LocalRegister
from server.credentials.relatives import FamilyDesk, Wish
from server.settlement import CodeAuthorization
from server.store.tables.credentials import credential_codes
from tests.support.money import CARD_NUMBER, PIN, REGION, Money

_SERIALS = count(1)
BY_CARD = ByCard(card_number=CARD_NUMBER, pin=PIN)


def an_id_number_of(born: date) -> str:
    """Return an ID number of nobody who was born on this day; region 990000 does not exist."""
    digits = f"990000{born:%Y%m%d}{next(_SERIALS) % 1000:03}"
    return digits + checksum(digits)


def registered(
    *, name: str = "沈知秋", id_number: str = "", former: tuple[str, ...] = (), template: Template | None = None
) -> Registered:
    """Return what a register elsewhere says of somebody made up."""
    number = id_number or an_id_number_of(date(1962, 5, 4))
    return Registered(
        name=name,
        id_number=number,
        born=birth_date_of(number),
        region=REGION,
        former_id_numbers=former,
        template=template,
    )


class RegisterInMemory:
    """A register elsewhere that knows whom a test has put in; everybody is everybody's guardian until one is named."""

    def __init__(self, *people: Registered) -> None:
        self.people = list(people)
        self.guardians: dict[str, set[str]] = {}
        """ID numbers of the guardians of a child, by its own."""
        self.is_down = False

    async def find(self, *, id_number: str, name: str, with_face: bool) -> Registered | None:
        """Return who has both; see the port."""
        if self.is_down:
            raise RegisterUnavailableError
        del with_face
        return next((who for who in self.people if (who.id_number, who.name) == (id_number, name)), None)

    async def find_ward(self, *, id_number: str, name: str, guardian: Identity) -> Registered | None:
        """Return the child who has both, if this is their guardian; see the port."""
        child = await self.find(id_number=id_number, name=name, with_face=False)
        is_theirs = guardian.id_number in self.guardians.get(id_number, {guardian.id_number})
        return child if is_theirs else None


@dataclass(slots=True, kw_only=True)
class CredentialWindow:
    """The desks, at one terminal."""

    money: Money
    desk: CredentialDesk
    relatives: FamilyDesk
    activations: ActivationAssertions

    @property
    def caller(self) -> Caller:
        """The terminal."""
        return self.money.caller

    async def a_proof(self, person: InsuredPerson | None = None, **changes: Any) -> ByFace:  # noqa: ANN401 - as `a_face` has them
        """Return a face that proves who is here."""
        face = await self.money.a_face(person=person, **changes)
        return ByFace(assertion=face.assertion)

    async def a_code(self, pin: str | None = None, **changes: Any) -> CodeAuthorization:  # noqa: ANN401 - as above
        """Return a code, as a scanner reads it."""
        issued = await self.desk.issue_code(self.caller, await self.a_proof(**changes))
        return CodeAuthorization(code=issued.code, pin=pin)

    async def unused_codes(self) -> int:
        """Return how many codes were not used."""
        unused = select(func.count()).select_from(credential_codes).where(credential_codes.c.used_at.is_(None))
        return await self.money.unit_of_work.read(lambda connection: connection.scalar(unused) or 0)

    async def a_face_in_the_register(self, who: Registered, *, terminal_id: str | None = None) -> str:
        """Return the assertion that a session with PURPOSE_ACTIVATE ends with."""

        def write(connection: Connection) -> str:
            known = self.money.people.id_by_number(connection, who.id_number)
            for number in who.former_id_numbers:
                known = known or self.money.people.id_by_number(connection, number)
            return self.activations.issue(
                connection,
                terminal_id=terminal_id or self.caller.terminal_id,
                session_id=self.money.an_id(),
                person_id=known,
                business_type=1301,
                registered=who,
            ).token

        return await self.money.unit_of_work.write(write)

    async def activated(self, who: Registered, *, request_id: str = "", pin: str | None = None) -> Activation:
        """Activate the credential of somebody in the register."""
        return await self.desk.activate(
            self.caller,
            request_id=request_id or an_action(),
            assertion=await self.a_face_in_the_register(who),
            pin=pin,
        )

    async def bound(self, who: Registered, *, holder: InsuredPerson | None = None, face: str = "") -> Relative:
        """Bind somebody in the register to the holder's credential."""
        return await self.relatives.bind(self.caller, a_wish(who, holder=await self.a_proof(holder), face=face))


def an_action() -> str:
    """Return the id of a new request."""
    return str(uuid_utils.uuid7())


def a_wish(who: Registered, *, holder: ByFace | ByCard, face: str = "", request_id: str = "") -> Wish:
    """Return the wish to bind somebody."""
    return Wish(
        request_id=request_id or an_action(),
        holder=holder,
        id_number=who.id_number,
        name=who.name,
        relative_assertion=face,
    )


def a_credential_window(
    money: Money,
    *,
    register: Register | None = None,
    anywhere: Callable[[AssertionClaims], CodeLimits] = limits_of,
) -> CredentialWindow:
    """Return the desks over a running settlement desk."""
    activations = ActivationAssertions(
        now=money.clock.now,
        signing_key=money.signing_key,
        key_id="test",
        lifetime=money.lifetime,
        data_key=money.data_key,
        template_keys=money.template_keys,
    )
    holders = HolderProofs(
        unit_of_work=money.unit_of_work, people=money.people, assertions=money.assertions, pins=money.pins
    )
    return CredentialWindow(
        money=money,
        activations=activations,
        desk=CredentialDesk(
            unit_of_work=money.unit_of_work,
            now=money.clock.now,
            people=money.people,
            credentials=money.credentials,
            activations=activations,
            codes=money.codes,
            family=money.family,
            holders=holders,
            pins=money.pins,
            code_limits=CodeLimits(amount_limit_fen=5_000_000, pin_free_limit_fen=money.limits.code_pin_free_fen),
            anywhere=anywhere,
        ),
        relatives=FamilyDesk(
            unit_of_work=money.unit_of_work,
            now=money.clock.now,
            people=money.people,
            credentials=money.credentials,
            family=money.family,
            holders=holders,
            register=register
            or LocalRegister(
                unit_of_work=money.unit_of_work,
                people=money.people,
                guardians=Guardians(now=money.clock.now, audit=money.audit),
            ),
        ),
    )
