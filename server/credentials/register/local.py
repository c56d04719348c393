"""The register for a pilot or a closed scheme: our own table of people, as an operator has filled it."""

from typing import Final

from sqlalchemy import Connection

from server.credentials.identity import birth_date_of
from server.credentials.people import People
from server.credentials.register import Registered
from server.store.unit_of_work import UnitOfWork


class LocalRegister:
    """Knows whom the platform knows."""

    def __init__(self, *, unit_of_work: UnitOfWork, people: People) -> None:
        self._unit_of_work: Final = unit_of_work
        self._people: Final = people

    async def find(self, *, id_number: str, name: str, with_face: bool) -> Registered | None:
        """Return who has both; see the port."""

        def work(connection: Connection) -> Registered | None:
            person = self._people.by_claim(connection, id_number=id_number, name=name)
            if person is None:
                return None
            identity = self._people.identity(connection, person.person_id)
            return Registered(
                name=identity.name,
                id_number=identity.id_number,
                born=birth_date_of(identity.id_number),
                region=person.region,
                template=self._people.template(connection, person.person_id) if with_face else None,
                is_ours=True,
            )

        return await self._unit_of_work.read(work)
