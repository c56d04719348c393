"""The register for a pilot or a closed scheme: our own table of people, as an operator has filled it."""

from dataclasses import replace
from functools import partial
from typing import Final

from sqlalchemy import Connection

from server.credentials.guardians import Guardians
from server.credentials.identity import Identity, birth_date_of
from server.credentials.people import InsuredPerson, People
from server.credentials.register import Registered
from server.store.unit_of_work import UnitOfWork


class LocalRegister:
    """Knows whom the platform knows."""

    def __init__(self, *, unit_of_work: UnitOfWork, people: People, guardians: Guardians) -> None:
        self._unit_of_work: Final = unit_of_work
        self._people: Final = people
        self._guardians: Final = guardians

    async def find(self, *, id_number: str, name: str, with_face: bool) -> Registered | None:
        """Return who has both; see the port."""

        def work(connection: Connection) -> Registered | None:
            person = self._people.by_claim(connection, id_number=id_number, name=name)
            return None if person is None else self._registered(connection, person, with_face=with_face)

        return await self._unit_of_work.read(work)

    async def find_ward(self, *, id_number: str, name: str, guardian: Identity) -> Registered | None:
        """Return the child who has both, if an operator has written this guardian down; see the port."""

        def work(connection: Connection) -> Registered | None:
            child = self._people.by_claim(connection, id_number=id_number, name=name)
            theirs = self._people.by_claim(connection, id_number=guardian.id_number, name=guardian.name)
            if child is None or theirs is None:
                return None
            still = partial(self._guardians.is_guardian, child_id=child.person_id, guardian_id=theirs.person_id)
            if not still(connection):
                return None
            return replace(self._registered(connection, child, with_face=False), still=still)

        return await self._unit_of_work.read(work)

    def _registered(self, connection: Connection, person: InsuredPerson, *, with_face: bool) -> Registered:
        identity = self._people.identity(connection, person.person_id)
        return Registered(
            name=identity.name,
            id_number=identity.id_number,
            born=birth_date_of(identity.id_number),
            region=person.region,
            template=self._people.template(connection, person.person_id) if with_face else None,
            is_ours=True,
        )
