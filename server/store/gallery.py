"""Face templates in the database: sealed before they get here, opened only for a match."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Select, bindparam, delete, insert, select, update

from face_pipeline.frames import Template
from face_pipeline.template_keys import TemplateKeys
from face_pipeline.templates import open_sealed, seal
from server.store.tables.gallery import face_templates, person_sites
from server.store.tables.people import insured_people

_ENROLLED = (
    select(face_templates.c.person_id, face_templates.c.sealed, insured_people.c.region)
    .join(insured_people, insured_people.c.person_id == face_templates.c.person_id)
    .order_by(face_templates.c.person_id)
)
_PAGE = _ENROLLED.where(face_templates.c.person_id > bindparam("after")).limit(bindparam("limit"))
_THESE = _ENROLLED.where(face_templates.c.person_id.in_(bindparam("person_ids", expanding=True)))
_SITES = select(person_sites.c.person_id, person_sites.c.site_id).where(
    person_sites.c.person_id.in_(bindparam("person_ids", expanding=True))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolledFace:
    """A template as it rests, and where its person may be looked for."""

    person_id: str
    sealed: bytes
    region: str
    site_ids: frozenset[str]


class SqlTemplateStore:
    """A `TemplateStore` on one connection; it lives as long as the transaction."""

    def __init__(self, connection: Connection, *, keys: TemplateKeys, now: Callable[[], datetime]) -> None:
        self._connection: Final = connection
        self._keys: Final = keys
        self._now: Final = now

    def put(self, person_id: str, template: Template) -> None:
        """Keep this template in the place of any earlier one."""
        values = {"sealed": seal(template, keys=self._keys, person_id=person_id), "enrolled_at": self._now()}
        replace = update(face_templates).where(face_templates.c.person_id == person_id).values(values)
        if self._connection.execute(replace).rowcount == 0:
            self._connection.execute(insert(face_templates).values(person_id=person_id, **values))

    def get(self, person_id: str) -> Template | None:
        """Return the person's template; None when there is none.

        Raises:
            TemplateSealError: what is stored does not open.
        """
        sealed = self._connection.scalar(select(face_templates.c.sealed).where(face_templates.c.person_id == person_id))
        return None if sealed is None else open_sealed(sealed, keys=self._keys, person_id=person_id)

    def delete(self, person_id: str) -> bool:
        """Forget the person's template; return whether there was one."""
        return delete_sealed(self._connection, person_id) is not None


def delete_sealed(connection: Connection, person_id: str) -> str | None:
    """Delete the person's template and return the SHA-256 of the sealed bytes, in hex; None when there was none."""
    mine = face_templates.c.person_id == person_id
    sealed = connection.scalar(select(face_templates.c.sealed).where(mine))
    if sealed is None:
        return None
    connection.execute(delete(face_templates).where(mine))
    return hashlib.sha256(sealed).hexdigest()


def enrolled_page(connection: Connection, *, after: str, limit: int) -> Sequence[EnrolledFace]:
    """Return the enrolled faces that follow a person's id, in the order of the ids."""
    return _with_sites(connection, _PAGE, {"after": after, "limit": limit})


def enrolled_of(connection: Connection, person_ids: Sequence[str]) -> Sequence[EnrolledFace]:
    """Return the enrolled faces of these people, as far as they have any."""
    return _with_sites(connection, _THESE, {"person_ids": list(person_ids)})


def _with_sites(
    connection: Connection, query: Select[*tuple[object, ...]], values: dict[str, object]
) -> list[EnrolledFace]:
    rows = connection.execute(query, values).all()
    sites: dict[str, set[str]] = {}
    for person_id, site_id in connection.execute(_SITES, {"person_ids": [row.person_id for row in rows]}):
        sites.setdefault(person_id, set()).add(site_id)
    return [
        EnrolledFace(
            person_id=row.person_id,
            sealed=row.sealed,
            region=row.region,
            site_ids=frozenset(sites.get(row.person_id, ())),
        )
        for row in rows
    ]
