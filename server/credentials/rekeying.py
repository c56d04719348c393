"""How do all templates get under a new key while people pay? Some at a time, each portion in a transaction of its own.

A template that is sealed anew lies beside those that are not yet, and both keys open. So it does not matter when it is
interrupted: what is done is done, and the next run goes on with the rest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Column, Connection, LargeBinary, Table, func, select, update

from device_registry.audit.log import AuditLog
from face_pipeline.errors import TemplateSealError
from face_pipeline.template_keys import KEY_ID_BYTES, key_id_of
from face_pipeline.templates import FORMAT, key_id_in, open_sealed, seal
from server.secret_files import KeyFileError
from server.store.tables.gallery import face_templates
from server.store.tables.practitioners import practitioner_templates
from server.template_keys import TemplateKeyFiles

PORTION: Final = 200
"""Templates of one transaction, some 20 ms: payments wait for it."""

_SEALED: Final[Sequence[tuple[Table, Column[str]]]] = (
    (face_templates, face_templates.c.person_id),
    (practitioner_templates, practitioner_templates.c.practitioner_id),
)
"""Every table with sealed templates, and whose they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyUse:
    """A template key, and how much depends on it."""

    key_id: str
    """In hex."""
    file: str
    """Name of its file, empty when the file is gone: what is sealed with it opens no more."""
    is_newest: bool
    templates: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Which keys there are, and what is sealed with each."""

    keys: Sequence[KeyUse]
    """Newest first."""
    unnamed: int
    """Templates of the first format, which does not say which key opens it."""

    @property
    def left(self) -> int:
        """How many templates are not under the newest key."""
        return self.unnamed + sum(key.templates for key in self.keys if not key.is_newest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    """What one transaction did."""

    after: tuple[int, str] | None
    """Where the next one goes on; None when this was the last."""
    looked_at: int
    resealed: int
    unopened: int
    """Templates that no key here opens; they stay as they are."""


class Rekeying:
    """Brings every template under the newest key."""

    def __init__(self, *, keys: TemplateKeyFiles, audit: AuditLog, portion: int = PORTION) -> None:
        self._keys: Final = keys
        self._audit: Final = audit
        self._portion: Final = portion

    def usage(self, connection: Connection) -> Usage:
        """Return how many templates are sealed with each key; walks all of them."""
        named, unnamed = _counts(connection)
        files = {key_id_of(key): name for name, key in self._keys.by_file().items()}
        newest = next(iter(files))
        listed = [*files, *(key_id for key_id in named if key_id not in files)]
        return Usage(
            keys=[
                KeyUse(
                    key_id=key_id.hex(),
                    file=files.get(key_id, ""),
                    is_newest=key_id == newest,
                    templates=named.get(key_id, 0),
                )
                for key_id in listed
            ],
            unnamed=unnamed,
        )

    def portion(self, connection: Connection, after: tuple[int, str] = (0, "")) -> Portion:
        """Seal the next templates with the newest key, those of them that are not yet."""
        number, last_id = after
        table, whose = _SEALED[number]
        page = connection.execute(
            select(whose, table.c.sealed).where(whose > last_id).order_by(whose).limit(self._portion)
        ).all()
        newest = key_id_of(self._keys.all()[0])
        resealed = unopened = 0
        for person_id, sealed in page:
            try:
                if key_id_in(sealed) == newest:
                    continue
                anew = seal(
                    open_sealed(sealed, keys=self._keys, person_id=person_id), keys=self._keys, person_id=person_id
                )
            except TemplateSealError:
                unopened += 1
                continue
            connection.execute(update(table).where(whose == person_id).values(sealed=anew))
            resealed += 1
        return Portion(
            after=_next(number, page[-1][0] if len(page) == self._portion else None),
            looked_at=len(page),
            resealed=resealed,
            unopened=unopened,
        )

    def note_made(self, connection: Connection, *, key_file: str, actor: str) -> None:
        """Write down that there is a new key."""
        self._note(connection, "template_key_made", key_file, actor, {})

    def note_done(self, connection: Connection, *, resealed: int, unopened: int, actor: str) -> None:
        """Write down that a run came to its end."""
        key_file = next(iter(self._keys.by_file()))
        self._note(connection, "templates_rekeyed", key_file, actor, {"resealed": resealed, "unopened": unopened})

    def drop(self, connection: Connection, *, key_file: str, actor: str) -> None:
        """Remove a key that nothing is sealed with; the caller's transaction keeps everybody else from sealing.

        Raises:
            KeyFileError: there is no such key, it is the newest, or something may still need it.
        """
        usage = self.usage(connection)
        used = next((key for key in usage.keys if key.file == key_file and key_file), None)
        path = self._keys.folder / key_file
        if used is None:
            raise KeyFileError(path=path, detail="is no template key here")
        if used.is_newest:
            raise KeyFileError(path=path, detail="is the newest key, with which templates are sealed")
        needed = used.templates + usage.unnamed
        if needed:
            raise KeyFileError(path=path, detail=f"{needed} templates still need it; run `shualian person rekey`")
        self._note(connection, "template_key_dropped", key_file, actor, {"key_id": used.key_id})
        self._keys.drop(key_file)

    def _note(
        self, connection: Connection, action: str, key_file: str, actor: str, details: Mapping[str, str | int]
    ) -> None:
        self._audit.append(connection, actor=actor, action=action, subject=key_file, details=details)


def templates_in(connection: Connection) -> int:
    """Return how many sealed templates there are."""
    return sum(connection.scalar(select(func.count()).select_from(table)) or 0 for table, _ in _SEALED)


def _counts(connection: Connection) -> tuple[dict[bytes, int], int]:
    """Return how many templates name each key, and how many name none."""
    named: dict[bytes, int] = {}
    unnamed = 0
    for table, _ in _SEALED:
        head = func.substr(table.c.sealed, 1, 1 + KEY_ID_BYTES, type_=LargeBinary)
        for found, count in connection.execute(select(head, func.count()).group_by(head)):
            start = bytes(found)
            if start[:1] == FORMAT:
                named[start[1:]] = named.get(start[1:], 0) + count
            else:
                unnamed += count
    return named, unnamed


def _next(number: int, last_id: str | None) -> tuple[int, str] | None:
    """Return where to go on: in the same table, in the one after it, or nowhere."""
    if last_id is not None:
        return number, last_id
    return (number + 1, "") if number + 1 < len(_SEALED) else None
