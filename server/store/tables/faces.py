"""What is remembered of face sessions: prints of their frames, and tries that did not end well."""

from sqlalchemy import Column, Index, LargeBinary, String, Table

from device_registry.tables import CountingId, UtcTime, Uuid, metadata

face_prints = Table(
    "face_prints",
    metadata,
    # Rises with each commit (there is one writer): "after the last one I read" misses none.
    Column("number", CountingId, primary_key=True, autoincrement=True),
    Column("session_id", Uuid, nullable=False, unique=True),
    Column("terminal_id", Uuid, nullable=False),
    Column("recorded_at", UtcTime, nullable=False),
    Column("prints", LargeBinary, nullable=False),  # 32 bytes each, one after the other; no picture can be made of it
    sqlite_autoincrement=True,
)

face_tries = Table(
    "face_tries",
    metadata,
    Column("number", CountingId, primary_key=True, autoincrement=True),
    Column("kind", String(16), nullable=False),  # TryKind, as a plain word
    Column("subject", LargeBinary(32), nullable=False),  # keyed hash: counts, does not tell whom
    Column("session_id", Uuid, nullable=False, index=True),
    Column("tried_at", UtcTime, nullable=False, index=True),
    Index("ix_face_tries_kind_subject_tried_at", "kind", "subject", "tried_at"),
    sqlite_autoincrement=True,
)
