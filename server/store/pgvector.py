"""A gallery in PostgreSQL instead of in memory, by pgvector: for regions too large for the memory of every replica.

A database can only compare numbers that it can read. What lies in `rotated_faces` is therefore NOT encrypted: each
embedding is multiplied by a secret orthogonal matrix made from the template key, which leaves cosines as they are. Who
has the table alone sees who looks like whom, and with as many known faces as an embedding has numbers can undo it. So
this is off unless it is asked for, and says so at every start (docs/decisions/0005-vectors-in-postgresql.md).
"""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine, text

from face_pipeline.frames import Embedding, Template
from face_pipeline.gallery import Candidate, Layout
from face_pipeline.template_keys import TemplateKeys, key_id_of

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS rotated_faces (
    place varchar(64) NOT NULL,
    person_id varchar(64) NOT NULL REFERENCES face_templates (person_id) ON DELETE CASCADE,
    key_id bytea NOT NULL,
    numbers halfvec NOT NULL,
    PRIMARY KEY (place, person_id)
)"""
_PUT: Final = text(
    "INSERT INTO rotated_faces (place, person_id, key_id, numbers) "
    "SELECT :place, CAST(:person_id AS varchar), :key_id, CAST(:numbers AS halfvec) "
    "WHERE EXISTS (SELECT 1 FROM face_templates WHERE person_id = CAST(:person_id AS varchar)) "
    "ON CONFLICT (place, person_id) DO UPDATE SET key_id = excluded.key_id, numbers = excluded.numbers"
)
_REMOVE: Final = text("DELETE FROM rotated_faces WHERE place = :place AND person_id = :person_id")
_FORGET_OTHERS: Final = text("DELETE FROM rotated_faces WHERE key_id <> :key_id")
_SEARCH: Final = text(
    "SELECT person_id, -(numbers <#> CAST(:numbers AS halfvec)) FROM rotated_faces "
    "WHERE place = :place AND key_id = :key_id ORDER BY numbers <#> CAST(:numbers AS halfvec), person_id LIMIT :k"
)
_HAS: Final = text("SELECT 1 FROM rotated_faces WHERE place = :place AND person_id = :person_id AND key_id = :key_id")
_COUNT: Final = text("SELECT count(*) FROM rotated_faces WHERE place = :place AND key_id = :key_id")


class Rotation:
    """A secret turn of the space that embeddings live in: cosines stay, what the numbers mean does not."""

    def __init__(self, layout: Layout, keys: TemplateKeys) -> None:
        self._width: Final = layout.width
        self._key: Final = keys.all()[0]
        self.key_id: Final = key_id_of(self._key)

    def of(self, embedding: Embedding) -> str:
        """Return the turned embedding as pgvector reads it."""
        return "[" + ",".join(f"{number:.6f}" for number in embedding.astype(np.float64) @ self._matrix) + "]"

    @cached_property
    def _matrix(self) -> NDArray[np.float64]:
        """A random orthogonal matrix, always the same for the same key: by Box and Muller, then Gram and Schmidt."""
        count = self._width * self._width
        stream = hashlib.shake_256(b"shualian/gallery-rotation" + self._key).digest(16 * count)
        words = np.frombuffer(stream, "<u8").astype(np.float64)
        uniform = (words + 0.5) / 2.0**64
        normal = np.sqrt(-2 * np.log(uniform[:count])) * np.cos(2 * np.pi * uniform[count:])
        orthogonal, upper = np.linalg.qr(normal.reshape(self._width, self._width))
        return np.asarray(orthogonal * np.sign(np.diag(upper)), np.float64)


class PgvectorIndex:
    """A `GalleryIndex` of one place, in rows that go with the template they were made of."""

    def __init__(self, place: str, layout: Layout, *, rotation: Rotation, writing: Engine, reading: Engine) -> None:
        self._place: Final = place
        self._layout: Final = layout
        self._rotation: Final = rotation
        self._writing: Final = writing
        self._reading: Final = reading

    def add(self, person_id: str, template: Template) -> None:
        """Let the person be found, by this template in the place of any earlier one."""
        numbers = self._rotation.of(self._layout.of(template))
        with self._writing.begin() as connection:
            connection.execute(_PUT, {**self._mine(), "person_id": person_id, "numbers": numbers})

    def remove(self, person_id: str) -> bool:
        """Forget the person; return whether they were there."""
        with self._writing.begin() as connection:
            return connection.execute(_REMOVE, {"place": self._place, "person_id": person_id}).rowcount > 0

    def search(self, probe: Embedding, *, k: int) -> Sequence[Candidate]:
        """Return the `k` most alike, best first; every row of the place is compared."""
        numbers = self._rotation.of(self._layout.checked(probe))
        with self._reading.connect() as connection:
            rows = connection.execute(_SEARCH, {**self._mine(), "numbers": numbers, "k": k}).all()
        return [Candidate(person_id=person_id, similarity=float(similarity)) for person_id, similarity in rows]

    def __contains__(self, person_id: object) -> bool:
        """Return whether the person can be found."""
        with self._reading.connect() as connection:
            return connection.scalar(_HAS, {**self._mine(), "person_id": person_id}) is not None

    def __len__(self) -> int:
        """Return how many people can be found."""
        with self._reading.connect() as connection:
            return int(connection.scalar(_COUNT, self._mine()) or 0)

    def _mine(self) -> dict[str, object]:
        return {"place": self._place, "key_id": self._rotation.key_id}


def prepare(connection: Connection, rotation: Rotation) -> None:
    """Make the table, and forget what was turned by another key.

    Raises:
        DBAPIError: the server has no pgvector, or this account may not install it.
    """
    connection.execute(text("CREATE EXTENSION IF NOT EXISTS vector"))
    connection.execute(text(_TABLE))
    connection.execute(_FORGET_OTHERS, {"key_id": rotation.key_id})
