"""Who is insured: added by an operator, found by a claim or a card, never told in clear."""

import hmac
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, Row, Select, func, insert, select, update
from uuid_utils import uuid7

from device_registry import store
from device_registry.audit.log import AuditLog
from device_registry.errors import SiteUnknownError
from server.credentials.activating import forget_pending
from server.credentials.errors import (
    CardTakenError,
    PersonExistsError,
    PersonUnknownError,
    SiteGalleryFullError,
)
from server.credentials.forgotten import FORGOTTEN, REMEMBERED, ForgottenFace
from server.credentials.identity import (
    Identity,
    card_number_from_text,
    id_number_from_text,
    masked_id_number,
    masked_name,
    name_from_text,
    phone_number_from_text,
)
from server.credentials.pin import PinHasher
from server.credentials.sealing import BlindIndex, FieldSeal
from server.credentials.second_factor import SecondFactor, last_four
from server.store.announcements import announce
from server.store.tables.gallery import face_templates, person_sites
from server.store.tables.people import insurance_cards, insured_people, person_pins

if TYPE_CHECKING:
    from face_pipeline.frames import Template
    from face_pipeline.gallery import TemplateStore
    from face_pipeline.template_keys import TemplateKeys

TOPIC_FACE: Final = "face"
"""Somebody's face, or where it may be looked for, has changed; the subject is the person."""
SITE_PEOPLE_MAX: Final = 1_000  # DESIGN 9: beyond, the wrong person is found too often
_NAME: Final = "name"
_ID_NUMBER: Final = "id_number"
_CARD_NUMBER: Final = "card_number"
_PHONE: Final = "phone"
_IDENTITY: Final = "identity"
_SHOWN: Final = "shown"


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
        template_keys: "TemplateKeys",
        audit: AuditLog,
        site_people_max: int = SITE_PEOPLE_MAX,
    ) -> None:
        """Take the keys.

        Args:
            now: the clock.
            index_key: finds people by their numbers, 32 bytes.
            data_key: opens names and numbers, 32 bytes.
            template_keys: open faces.
            audit: where changes are written down.
            site_people_max: people who may be looked for at one site.
        """
        self._now: Final = now
        self._index: Final = BlindIndex(index_key)
        self._seal: Final = FieldSeal(data_key)
        self._pin_hasher: Final = PinHasher(data_key)
        self._template_keys: Final = template_keys
        self._audit: Final = audit
        self._site_people_max: Final = site_people_max

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
        phone: str | None = None,
        site_id: str | None = None,
        person_id: str | None = None,
    ) -> InsuredPerson:
        """Add a person, with card, PIN and face where there are any; takes the time of a slow hash when there is a PIN.

        Without a `person_id` they get a new one.

        Raises:
            IdNumberInvalidError, NameInvalidError, CardNumberInvalidError, PhoneNumberInvalidError,
            PinFormatError: wrong form.
            SiteUnknownError, SiteGalleryFullError: they cannot be looked for at this site.
            PinGuessableError: a PIN that a thief would try first.
            PersonExistsError: this ID number is known already.
            CardTakenError: this card is somebody else's.
        """
        number, name = id_number_from_text(id_number), name_from_text(name)
        card = None if card_number is None else card_number_from_text(card_number)
        phone = None if phone is None else phone_number_from_text(phone)
        person_id = person_id or str(uuid7())
        pin_hash = None if pin is None else self._pin_hasher.hash(pin, person_id=person_id, id_number=number)
        self._add_person(connection, person_id=person_id, name=name, number=number, region=region, phone=phone)
        if card is not None:
            self._add_card(connection, person_id=person_id, card=card)
        if pin_hash is not None:
            connection.execute(insert(person_pins).values(person_id=person_id, pin_hash=pin_hash))
        self._audit.append(connection, actor=actor, action="person_added", subject=person_id)
        if site_id is not None:
            self.look_for_at(connection, person_id=person_id, site_id=site_id, actor=actor)
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

    def identity(self, connection: Connection, person_id: str) -> Identity:
        """Return the person's name and number in clear.

        Raises:
            PersonUnknownError: nobody has this id.
        """
        mine = select(insured_people).where(insured_people.c.person_id == person_id)
        row = connection.execute(mine).one_or_none()
        if row is None:
            raise PersonUnknownError(person_id=person_id)
        return Identity(
            name=self._seal.open(row.name_sealed, field=_NAME, person_id=person_id),
            id_number=self._seal.open(row.id_number_sealed, field=_ID_NUMBER, person_id=person_id),
        )

    def digest_of(self, *, name: str, id_number: str) -> bytes:
        """Return what tells, without saying either, whether name or number have changed: 32 bytes, a keyed hash."""
        return self._index.of(f"{id_number_from_text(id_number)}\0{name_from_text(name)}", field=_IDENTITY)

    def keyed(self, text: str) -> str:
        """Return a keyed hash, in hex, of something that must not be guessed from it."""
        return self._index.of(text, field=_SHOWN).hex()

    def correct(self, connection: Connection, *, person_id: str, name: str, id_number: str, actor: str) -> bool:
        """Write down the name and number that a person has now; return whether they had others.

        Raises:
            PersonUnknownError: nobody has this id.
            PersonExistsError: the number is somebody else's here.
            IdNumberInvalidError, NameInvalidError: wrong form.
        """
        number, name = id_number_from_text(id_number), name_from_text(name)
        known = self.identity(connection, person_id)
        if (known.name, known.id_number) == (name, number):
            return False
        if self.id_by_number(connection, number) not in {None, person_id}:
            raise PersonExistsError
        connection.execute(
            update(insured_people)
            .where(insured_people.c.person_id == person_id)
            .values(
                id_number_index=self._index.of(number, field=_ID_NUMBER),
                id_number_sealed=self._seal.seal(number, field=_ID_NUMBER, person_id=person_id),
                name_sealed=self._seal.seal(name, field=_NAME, person_id=person_id),
            )
        )
        self._audit.append(connection, actor=actor, action="person_corrected", subject=person_id)
        return True

    def id_by_number(self, connection: Connection, id_number: str) -> str | None:
        """Return the id of whoever has this ID number, None when nobody is known under it.

        Raises:
            IdNumberInvalidError: wrong form.
        """
        index = self._index.of(id_number_from_text(id_number), field=_ID_NUMBER)
        known = select(insured_people.c.person_id).where(insured_people.c.id_number_index == index)
        person_id: str | None = connection.scalar(known)
        return person_id

    def has_face(self, connection: Connection, person_id: str) -> bool:
        """Return whether a face template of this person is kept; it is not opened."""
        mine = select(face_templates.c.person_id).where(face_templates.c.person_id == person_id)
        return connection.scalar(mine) is not None

    def is_looked_for_at(self, connection: Connection, *, person_id: str, site_id: str) -> bool:
        """Return whether the person may be found by face alone at a site."""
        theirs = select(person_sites.c.site_id).where(person_sites.c.person_id == person_id)
        return connection.scalar(theirs.where(person_sites.c.site_id == site_id)) is not None

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
        self._audit.append(connection, actor=actor, action=REMEMBERED, subject=person_id)
        announce(connection, TOPIC_FACE, person_id)

    def forget_face(
        self, connection: Connection, *, person_id: str, actor: str, reason: str = ""
    ) -> ForgottenFace | None:
        """Delete the person's face template and return the receipt, None when there was no template.

        The receipt names the audit entry, which holds the digest of what was deleted. Every running server drops the
        face from its memory as soon as this commits.
        """
        from server.store.gallery import delete_sealed  # noqa: PLC0415 - loads the pipeline, and few commands need it

        forget_pending(connection, person_id)
        digest = delete_sealed(connection, person_id)
        if digest is None:
            return None
        details = {"sealed_sha256": digest}
        self._audit.append(connection, actor=actor, action=FORGOTTEN, subject=person_id, reason=reason, details=details)
        announce(connection, TOPIC_FACE, person_id)
        number, head = self._audit.head(connection)
        return ForgottenFace(
            person_id=person_id, sealed_sha256=digest, at=self._now(), audit_entry=number, audit_hash=head
        )

    def look_for_at(self, connection: Connection, *, person_id: str, site_id: str, actor: str) -> bool:
        """Let the person be found by face alone at a site; return whether that is new.

        Raises:
            PersonUnknownError, SiteUnknownError: there is no such person or site.
            SiteGalleryFullError: as many people as are safe are looked for there.
        """
        if self.get(connection, person_id) is None:
            raise PersonUnknownError(person_id=person_id)
        if store.find_site(connection, site_id) is None:
            raise SiteUnknownError(site_id=site_id)
        of_site = select(func.count()).select_from(person_sites).where(person_sites.c.site_id == site_id)
        if connection.scalar(of_site.where(person_sites.c.person_id == person_id)):
            return False
        if (connection.scalar(of_site) or 0) >= self._site_people_max:
            raise SiteGalleryFullError(people_max=self._site_people_max)
        connection.execute(insert(person_sites).values(person_id=person_id, site_id=site_id, added_at=self._now()))
        details = {"site_id": site_id}
        self._audit.append(connection, actor=actor, action="person_looked_for", subject=person_id, details=details)
        announce(connection, TOPIC_FACE, person_id)
        return True

    def with_last_four(
        self, connection: Connection, person_ids: Collection[str], *, factor: SecondFactor, value: str
    ) -> InsuredPerson | None:
        """Return the one of these people whose number ends in `value`; None when it is nobody, or more than one.

        Only who still has a face template counts: what was forgotten a moment ago settles on nobody. Every one of them
        is opened and compared in constant time, whoever fits; how long it takes tells how many they were, no more.
        """
        told = value.encode()
        rows = connection.execute(
            select(insured_people)
            .join(face_templates, face_templates.c.person_id == insured_people.c.person_id)
            .where(insured_people.c.person_id.in_(sorted(set(person_ids))))
        ).all()
        fitting = [row for row in rows if hmac.compare_digest(last_four(self._number_of(row, factor)), told)]
        return self._opened(fitting[0]) if len(fitting) == 1 else None

    def _number_of(self, row: Row[*tuple[object, ...]], factor: SecondFactor) -> str:
        """Return the number a second factor is taken from, empty when the person gave none."""
        if factor is SecondFactor.ID_NUMBER_LAST_FOUR:
            return self._seal.open(row.id_number_sealed, field=_ID_NUMBER, person_id=row.person_id)
        if row.phone_sealed is None:
            return ""
        return self._seal.open(row.phone_sealed, field=_PHONE, person_id=row.person_id)

    def _gallery(self, connection: Connection) -> "TemplateStore":
        from server.store.gallery import SqlTemplateStore  # noqa: PLC0415 - as above

        return SqlTemplateStore(connection, keys=self._template_keys, now=self._now)

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

    def _add_person(
        self, connection: Connection, *, person_id: str, name: str, number: str, region: str, phone: str | None
    ) -> None:
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
                phone_sealed=None if phone is None else self._seal.seal(phone, field=_PHONE, person_id=person_id),
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
