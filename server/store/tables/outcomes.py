"""How face sessions ended, terminal by terminal, and what cameras promised: for the fleet checks."""

from sqlalchemy import Column, Date, Index, Integer, String, Table

from device_registry.tables import UtcTime, Uuid, metadata

INFRARED_BIT = 1
DEPTH_BIT = 2

face_hours = Table(
    "face_hours",
    metadata,
    Column("terminal_id", Uuid, primary_key=True),
    Column("hour", UtcTime, primary_key=True),  # when it began
    Column("sessions", Integer, nullable=False),  # that came to a decision
    Column("attacks", Integer, nullable=False),  # of them, suspected
    Column("seals_broken", Integer, nullable=False),
    # Of them, those that nobody could pay with.
    Column("failed", Integer, nullable=False, server_default="0"),
    # Beside them: people who did not agree to be looked at.
    Column("refused", Integer, nullable=False, server_default="0"),
    Column("last_attack_at", UtcTime),
    Column("last_seal_broken_at", UtcTime),
    Index("ix_face_hours_hour", "hour"),
)

site_ways = Table(
    "site_ways",
    metadata,
    Column("site_id", Uuid, primary_key=True),
    Column("way", String(16), primary_key=True),  # CARD or CODE: what was shown there beside faces
    Column("last_on", Date, nullable=False),  # UTC
)

face_cameras = Table(
    "face_cameras",
    metadata,
    Column("terminal_id", Uuid, primary_key=True),
    Column("solid_sessions", Integer, nullable=False),  # with infrared or depth promised, ever
    Column("lacking_sessions", Integer, nullable=False),  # without what was promised before, in a row, up to now
    Column("modalities", Integer, nullable=False),  # bits of what it ever promised beside colour
)
