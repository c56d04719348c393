"""Which of the people who look alike is it? The one whose ID number or phone ends as they say; nobody else."""

from functools import partial

from face_pipeline.gallery import Identification
from server.credentials.people import InsuredPerson, People
from server.credentials.second_factor import SecondFactor, as_typed, is_four
from server.store import UnitOfWork


class Identifier:
    """Settles on one of a few candidates, or on nobody."""

    def __init__(self, *, unit_of_work: UnitOfWork, people: People) -> None:
        self._unit_of_work = unit_of_work
        self._people = people

    async def settle(self, identification: Identification, kind: str, value: str) -> InsuredPerson | None:
        """Return the one candidate whose number ends in these four characters.

        None when nobody's does, and also when that of two does: then four characters do not tell who it is. The numbers
        of the candidates alone are opened, and compared in constant time.

        Args:
            identification: from `Galleries.identify`.
            kind: a word of `SecondFactor`.
            value: what the person typed or said.

        Raises:
            ValueError: there is no such second factor.
            StoreError: the database cannot be asked.
        """
        factor, typed = SecondFactor(kind), as_typed(value)
        if not is_four(typed):
            return None
        person_ids = [candidate.person_id for candidate in identification.candidates]
        return await self._unit_of_work.read(
            partial(self._people.with_last_four, person_ids=person_ids, factor=factor, value=typed)
        )
