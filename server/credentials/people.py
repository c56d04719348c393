"""Who is insured: added by an operator, found by a claim or a card, never told in clear."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, Row, Select, insert, select
from uuid_utils import uuid7

from device_registry.audit.log import AuditLog
from server.credentials.errors import CardTakenError, PersonExistsError, PersonUnknownError
from server.credentials.identity import (
    card_number_from_text,
    id_number_from_text,
    masked_id_number,
    masked_name,
    name_from_text,
)
from server.credentials.pin import PinHasher
from server.credentials.sealing import BlindIndex, FieldSeal
from server.store.tables.people import insurance_cards, insured_people, person_pins

if TYPE_CHECKING:
    from face_pipeline.frames import Template
    from face_pipeline.gallery import TemplateStore

_NAME: Final = "name"
_ID_NUMBER: Final = "id_number"
_CARD_NUMBER: Final = "card_number"


@dataclass(frozen=True, slots=True, kw_only=True)
class InsuredPerson:
    """An insured person, as far as anybody outside this room needs to know."""

    person_id: str
    region: str
    masked_name: str
    masked_id_number: str


class People:
    """The insured people of this platform."""

    def __init__(
        self,
        *,
        now: Callable[[], datetime],
        index_key: bytes,
        data_key: bytes,
        template_key: bytes,
        audit: AuditLog,
    ) -> None:
        """Take the three keys, 32 bytes each: one finds, one opens names and numbers, one opens faces."""
        self._now: Final = now
        self._index: Final = BlindIndex(index_key)
        self._seal: Final = FieldSeal(data_key)
        self._pin_hasher: Final = PinHasher(data_key)
        self._template_key: Final = template_key
        self._audit: Final = audit

    def add(
        self,
        connection: Connection,
        *,
        name: str,
        id_number: str,
        region: str,
        card_number: str | None,
        pin: str | None,
        template: "Template | None",
        actor: str,
    ) -> InsuredPerson:
        """Add a person, with card, PIN and face where there are any; takes the time of a slow hash when there is a PIN.

        Raises:
            IdNumberInvalidError, NameInvalidError, CardNumberInvalidError, PinFormatError: wrong form.
            PinGuessableError: a PIN that a thief would try first.
            PersonExistsError: this ID number is known already.
            CardTakenError: this card is somebody else's.
        """
        number, name = id_number_from_text(id_number), name_from_text(name)
        card = None if card_number is None else card_number_from_text(card_number)
        person_id = str(uuid7())
        pin_hash = None if pin is None else self._pin_hasher.hash(pin, person_id=person_id, id_number=number)
        self._add_person(connection, person_id=person_id, name=name, number=number, region=region)
        if card is not None:
            self._add_card(connection, person_id=person_id, card=card)
        if pin_hash is not None:
            connection.execute(insert(person_pins).values(person_id=person_id, pin_hash=pin_hash))
        self._audit.append(connection, actor=actor, action="person_added", subject=person_id)
        if template is not None:
            self.remember_face(connection, person_id=person_id, template=template, actor=actor)
        return _person_from(person_id=person_id, region=region, name=name, number=number)

    def get(self, connection: Connection, person_id: str) -> InsuredPerson | None:
        """Return the person with this id, None when there is none."""
        return self._found(connection, select(insured_people).where(insured_people.c.person_id == person_id))

    def by_claim(self, connection: Connection, *, id_number: str, name: str) -> InsuredPerson | None:
        """Return the person who has both this ID number and this name; None does not tell which of them is wrong.

        Raises:
            IdNumberInvalidError, NameInvalidError: wrong form.
        """
        number, name = id_number_from_text(id_number), name_from_text(name)
        index = self._index.of(number, field=_ID_NUMBER)
        row = connection.execute(select(insured_people).where(insured_people.c.id_number_index == index)).one_or_none()
        if row is None:
            return None
        registered = self._seal.open(row.name_sealed, field=_NAME, person_id=row.person_id)
        if not hmac.compare_digest(registered.encode(), name.encode()):
            return None
        return _person_from(person_id=row.person_id, region=row.region, name=registered, number=number)

    def id_by_card(self, connection: Connection, card_number: str) -> str | None:
        """Return the id of the holder of this card, None when nobody has it.

        Raises:
            CardNumberInvalidError: wrong form.
        """
        index = self._index.of(card_number_from_text(card_number), field=_CARD_NUMBER)
        person_id: str | None = connection.scalar(
            select(insurance_cards.c.person_id).where(insurance_cards.c.card_number_index == index)
        )
        return person_id

    def template(self, connection: Connection, person_id: str) -> "Template | None":
        """Return the person's face template, None when no face is known.

        Raises:
            TemplateSealError: what is stored does not open.
        """
        return self._gallery(connection).get(person_id)

    def remember_face(self, connection: Connection, *, person_id: str, template: "Template", actor: str) -> None:
        """Keep this face in the place of any earlier one.

        Raises:
            PersonUnknownError: nobody has this id.
        """
        if self.get(connection, person_id) is None:
            raise PersonUnknownError(person_id=person_id)
        self._gallery(connection).put(person_id, template)
        self._audit.append(connection, actor=actor, action="face_remembered", subject=person_id)

    def forget_face(self, connection: Connection, *, person_id: str, actor: str, reason: str = "") -> bool:
        """Delete the person's face template; return whether there was one. Deleting is audited, so it can be proven."""
        forgotten = self._gallery(connection).delete(person_id)
        if forgotten:
            self._audit.append(connection, actor=actor, action="face_forgotten", subject=person_id, reason=reason)
        return forgotten

    def _gallery(self, connection: Connection) -> "TemplateStore":
        from server.store.gallery import SqlTemplateStore  # noqa: PLC0415 - loads the pipeline, and few commands need it

        return SqlTemplateStore(connection, key=self._template_key, now=self._now)

    def _found(self, connection: Connection, statement: Select[*tuple[object, ...]]) -> InsuredPerson | None:
        row: Row[*tuple[object, ...]] | None = connection.execute(statement).one_or_none()
        return None if row is None else self._opened(row)

    def _opened(self, row: Row[*tuple[object, ...]]) -> InsuredPerson:
        return _person_from(
            person_id=row.person_id,
            region=row.region,
            name=self._seal.open(row.name_sealed, field=_NAME, person_id=row.person_id),
            number=self._seal.open(row.id_number_sealed, field=_ID_NUMBER, person_id=row.person_id),
        )

    def _add_person(self, connection: Connection, *, person_id: str, name: str, number: str, region: str) -> None:
        index = self._index.of(number, field=_ID_NUMBER)
        known = select(insured_people.c.person_id).where(insured_people.c.id_number_index == index)
        if connection.scalar(known) is not None:
            raise PersonExistsError
        connection.execute(
            insert(insured_people).values(
                person_id=person_id,
                region=region,
                id_number_index=index,
                id_number_sealed=self._seal.seal(number, field=_ID_NUMBER, person_id=person_id),
                name_sealed=self._seal.seal(name, field=_NAME, person_id=person_id),
                added_at=self._now(),
            )
        )

    def _add_card(self, connection: Connection, *, person_id: str, card: str) -> None:
        index = self._index.of(card, field=_CARD_NUMBER)
        taken = select(insurance_cards.c.person_id).where(insurance_cards.c.card_number_index == index)
        if connection.scalar(taken) is not None:
            raise CardTakenError
        connection.execute(
            insert(insurance_cards).values(card_number_index=index, person_id=person_id, added_at=self._now())
        )


def _person_from(*, person_id: str, region: str, name: str, number: str) -> InsuredPerson:
    return InsuredPerson(
        person_id=person_id,
        region=region,
        masked_name=masked_name(name),
        masked_id_number=masked_id_number(number),
    )
