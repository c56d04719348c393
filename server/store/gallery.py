"""Face templates in the database: sealed before they get here, opened only for a match."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, delete, insert, select, update

from face_pipeline.frames import Template
from face_pipeline.templates import open_sealed, seal
from server.store.tables.gallery import face_templates


class SqlTemplateStore:
    """A `TemplateStore` on one connection; it lives as long as the transaction."""

    def __init__(self, connection: Connection, *, key: bytes, now: Callable[[], datetime]) -> None:
        self._connection: Final = connection
        self._key: Final = key
        self._now: Final = now

    def put(self, person_id: str, template: Template) -> None:
        """Keep this template in the place of any earlier one."""
        values = {"sealed": seal(template, key=self._key, person_id=person_id), "enrolled_at": self._now()}
        replace = update(face_templates).where(face_templates.c.person_id == person_id).values(values)
        if self._connection.execute(replace).rowcount == 0:
            self._connection.execute(insert(face_templates).values(person_id=person_id, **values))

    def get(self, person_id: str) -> Template | None:
        """Return the person's template; None when there is none.

        Raises:
            TemplateSealError: what is stored does not open.
        """
        sealed = self._connection.scalar(select(face_templates.c.sealed).where(face_templates.c.person_id == person_id))
        return None if sealed is None else open_sealed(sealed, key=self._key, person_id=person_id)

    def delete(self, person_id: str) -> bool:
        """Forget the person's template; return whether there was one."""
        gone = self._connection.execute(delete(face_templates).where(face_templates.c.person_id == person_id))
        return gone.rowcount > 0
