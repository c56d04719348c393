"""Who of a site's staff may confirm with their face: added by an operator, found by code, never told in clear."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, Row, Select, delete, insert, select, update
from uuid_utils import uuid7

from device_registry import store
from device_registry.audit.log import AuditLog
from device_registry.errors import SiteUnknownError
from device_registry.wording import refuse_actor
from server.credentials.identity import masked_name, name_from_text, practitioner_code_from_text
from server.credentials.sealing import BlindIndex, FieldSeal
from server.faces.errors import PractitionerExistsError, PractitionerUnknownError
from server.store.tables.practitioners import practitioner_templates, practitioners

if TYPE_CHECKING:
    from face_pipeline.frames import Template
    from face_pipeline.template_keys import TemplateKeys

_NAME: Final = "practitioner_name"
_CODE: Final = "practitioner_code"


@dataclass(frozen=True, slots=True, kw_only=True)
class Practitioner:
    """A practitioner, as far as anybody outside this room needs to know."""

    practitioner_id: str
    site_id: str
    masked_name: str
    added_at: datetime
    removed_at: datetime | None


class Practitioners:
    """The practitioners of this platform's sites."""

    def __init__(
        self,
        *,
        now: Callable[[], datetime],
        index_key: bytes,
        data_key: bytes,
        template_keys: "TemplateKeys",
        audit: AuditLog,
    ) -> None:
        """Take the keys: one of 32 bytes finds, one opens names and codes; those of the templates open faces."""
        self._now: Final = now
        self._index: Final = BlindIndex(index_key)
        self._seal: Final = FieldSeal(data_key)
        self._template_keys: Final = template_keys
        self._audit: Final = audit

    def add(
        self,
        connection: Connection,
        *,
        code: str,
        name: str,
        site_id: str,
        template: "Template",
        actor: str,
    ) -> Practitioner:
        """Add a practitioner of a site, with the face that proves it is them.

        Raises:
            PractitionerCodeInvalidError, NameInvalidError: wrong form.
            PractitionerExistsError: somebody with this code is in service already.
            SiteUnknownError: there is no such site.
        """
        refuse_actor(actor)
        code, name = practitioner_code_from_text(code), name_from_text(name)
        if store.find_site(connection, site_id) is None:
            raise SiteUnknownError(site_id=site_id)
        index = self._index.of(code, field=_CODE)
        if connection.scalar(select(practitioners.c.practitioner_id).where(practitioners.c.code_index == index)):
            raise PractitionerExistsError
        practitioner_id = str(uuid7())
        connection.execute(
            insert(practitioners).values(
                practitioner_id=practitioner_id,
                site_id=site_id,
                code_index=index,
                code_sealed=self._seal.seal(code, field=_CODE, person_id=practitioner_id),
                name_sealed=self._seal.seal(name, field=_NAME, person_id=practitioner_id),
                added_at=self._now(),
            )
        )
        self._keep_face(connection, practitioner_id, template)
        self._note(connection, "practitioner.added", practitioner_id, actor, site_id=site_id)
        return self.get(connection, practitioner_id)

    def remove(self, connection: Connection, practitioner_id: str, *, actor: str, reason: str) -> Practitioner:
        """Put a practitioner out of service and forget the face; what was confirmed stays written down.

        The code is free again: whoever comes back is added anew.

        Raises:
            PractitionerUnknownError: nobody in service has this id.
        """
        refuse_actor(actor)
        gone = connection.execute(
            update(practitioners)
            .where(practitioners.c.practitioner_id == practitioner_id, practitioners.c.removed_at.is_(None))
            .values(
                removed_at=self._now(),
                # No longer the hash of a code: it finds nobody, and stays unlike all others.
                code_index=self._index.of(practitioner_id, field="practitioner_removed"),
            )
        )
        if gone.rowcount != 1:
            raise PractitionerUnknownError(practitioner_id=practitioner_id)
        connection.execute(
            delete(practitioner_templates).where(practitioner_templates.c.practitioner_id == practitioner_id)
        )
        self._note(connection, "practitioner.removed", practitioner_id, actor, reason=reason)
        return self.get(connection, practitioner_id)

    def get(self, connection: Connection, practitioner_id: str) -> Practitioner:
        """Return the practitioner with this id.

        Raises:
            PractitionerUnknownError: nobody has it.
        """
        found = self._found(connection, select(practitioners).where(practitioners.c.practitioner_id == practitioner_id))
        if not found:
            raise PractitionerUnknownError(practitioner_id=practitioner_id)
        return found[0]

    def of_site(self, connection: Connection, site_id: str | None, *, limit: int = 1000) -> list[Practitioner]:
        """Return who is in service at a site, or at all of them, in the order they were added."""
        query = select(practitioners).where(practitioners.c.removed_at.is_(None))
        if site_id is not None:
            query = query.where(practitioners.c.site_id == site_id)
        return self._found(connection, query.order_by(practitioners.c.practitioner_id).limit(limit))

    def by_code(self, connection: Connection, code: str, *, site_id: str) -> Practitioner | None:
        """Return who is in service at this site under this code; None does not tell whether another site knows it.

        Raises:
            PractitionerCodeInvalidError: wrong form.
        """
        index = self._index.of(practitioner_code_from_text(code), field=_CODE)
        found = self._found(
            connection,
            select(practitioners).where(
                practitioners.c.code_index == index,
                practitioners.c.site_id == site_id,
                practitioners.c.removed_at.is_(None),
            ),
        )
        return found[0] if found else None

    def template(self, connection: Connection, practitioner_id: str) -> "Template | None":
        """Return the practitioner's face template, None when there is none.

        Raises:
            TemplateSealError: what is stored does not open.
        """
        from face_pipeline.templates import open_sealed  # noqa: PLC0415 - loads the pipeline; few commands need it

        sealed = connection.scalar(
            select(practitioner_templates.c.sealed).where(practitioner_templates.c.practitioner_id == practitioner_id)
        )
        return None if sealed is None else open_sealed(sealed, keys=self._template_keys, person_id=practitioner_id)

    def _keep_face(self, connection: Connection, practitioner_id: str, template: "Template") -> None:
        from face_pipeline.templates import seal  # noqa: PLC0415 - as above

        connection.execute(
            insert(practitioner_templates).values(
                practitioner_id=practitioner_id,
                sealed=seal(template, keys=self._template_keys, person_id=practitioner_id),
                enrolled_at=self._now(),
            )
        )

    def _found(self, connection: Connection, query: Select[*tuple[object, ...]]) -> list[Practitioner]:
        return [self._opened(row) for row in connection.execute(query)]

    def _opened(self, row: Row[*tuple[object, ...]]) -> Practitioner:
        name = self._seal.open(row.name_sealed, field=_NAME, person_id=row.practitioner_id)
        return Practitioner(
            practitioner_id=row.practitioner_id,
            site_id=row.site_id,
            masked_name=masked_name(name),
            added_at=row.added_at,
            removed_at=row.removed_at,
        )

    def _note(
        self, connection: Connection, action: str, practitioner_id: str, actor: str, *, reason: str = "", **details: str
    ) -> None:
        self._audit.append(
            connection, actor=actor, action=action, subject=practitioner_id, reason=reason, details=details
        )
