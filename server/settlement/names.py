"""Whose names stand on a receipt? Masked, looked up when it is written: no row of a settlement holds a name (I7)."""

from collections import OrderedDict
from dataclasses import replace
from typing import Final

from sqlalchemy import Connection

from server.credentials.people import InsuredPerson, People
from server.settlement.model import Receipt
from server.settlement.store import SettlementRow
from server.store.unit_of_work import UnitOfWork

_KEPT_MAX: Final = 4_096


class ReceiptNames:
    """Puts the names of payer and patient on receipts.

    A quote reads the person anyway, and its settlement follows within minutes: the names of those who were quoted last
    are kept, masked, so that a settlement costs no read more.
    """

    def __init__(self, *, unit_of_work: UnitOfWork, people: People) -> None:
        self._unit_of_work: Final = unit_of_work
        self._people: Final = people
        self._of_quotes: Final = OrderedDict[str, str]()

    def keep(self, person: InsuredPerson) -> None:
        """Keep the name of somebody whose bill was quoted."""
        self._of_quotes[person.person_id] = person.masked_name
        self._of_quotes.move_to_end(person.person_id)
        if len(self._of_quotes) > _KEPT_MAX:
            self._of_quotes.popitem(last=False)

    async def on(self, receipt: Receipt, row: SettlementRow) -> Receipt:
        """Return the receipt with its names; empty where nobody is known any more."""
        ids = (row.payer_id or row.person_id or "", row.person_id or "")
        kept = {person_id: self._of_quotes.get(person_id) for person_id in set(ids)}
        missing = [person_id for person_id, name in kept.items() if name is None]
        read = await self._unit_of_work.read(lambda connection: self._names(connection, missing)) if missing else {}
        names = {person_id: name or read.get(person_id, "") for person_id, name in kept.items()}
        payer, patient = (names[person_id] for person_id in ids)
        return replace(receipt, masked_payer_name=payer, masked_patient_name=patient)

    def _names(self, connection: Connection, person_ids: list[str]) -> dict[str, str]:
        found = {person_id: self._people.get(connection, person_id) for person_id in person_ids}
        return {person_id: person.masked_name for person_id, person in found.items() if person is not None}
