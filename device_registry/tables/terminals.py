"""Columns of sites, terminals and how they do."""

from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Integer, String, Table, Text, text

from device_registry.model import CameraState, SiteKind, TerminalClass, TerminalState
from device_registry.tables.columns import Duration, Sha256Hex, UtcTime, Uuid, metadata, word

sites = Table(
    "sites",
    metadata,
    Column("site_id", Uuid, primary_key=True),
    Column("name", String(128), nullable=False),
    Column("region", String(32), nullable=False),
    Column("kind", word(SiteKind), nullable=False),
    Column("added_at", UtcTime, nullable=False),
    # Where it stands and when it is open, for the fleet checks; NULL: nobody said.
    Column("latitude", Float),
    Column("longitude", Float),
    Column("radius_metres", Integer),
    Column("opening_hours", String(16)),
)

terminals = Table(
    "terminals",
    metadata,
    Column("terminal_id", Uuid, primary_key=True),
    Column("serial_number", String(64), nullable=False),
    Column("manufacturer", String(128), nullable=False),
    Column("model", String(128), nullable=False),
    Column("terminal_class", word(TerminalClass), nullable=False),
    Column("site_id", Uuid, ForeignKey(sites.c.site_id), nullable=False, index=True),
    Column("certification_number", String(128), nullable=False),
    Column("record_number", String(128), nullable=False),
    Column("state", word(TerminalState), nullable=False),
    Column("state_reason", Text, nullable=False),
    Column("state_since", UtcTime, nullable=False),
    Column("registered_at", UtcTime, nullable=False),
    # SHA-256 of its factory identity's public key, pinned at the first enrollment with it.
    Column("factory_key_sha256", Sha256Hex),
    # A serial number is taken once among the terminals in service; a retired one may be registered again.
    Index(
        "uq_terminals_serial_number_in_service",
        "serial_number",
        unique=True,
        sqlite_where=text("state <> 'RETIRED'"),
        postgresql_where=text("state <> 'RETIRED'"),
    ),
    # Nor do two terminals in service share a factory key.
    Index(
        "uq_terminals_factory_key_sha256_in_service",
        "factory_key_sha256",
        unique=True,
        sqlite_where=text("state <> 'RETIRED'"),
        postgresql_where=text("state <> 'RETIRED'"),
    ),
)

vitals = Table(
    "vitals",
    metadata,
    Column("terminal_id", Uuid, ForeignKey(terminals.c.terminal_id), primary_key=True),
    Column("is_connected", Boolean, nullable=False),
    # The last few connects in microseconds, newest first, as JSON; no longer than the flapping rule looks back.
    Column("recent_connects", Text, nullable=False),
    Column("last_seen_at", UtcTime),
    Column("firmware_version", String(64)),
    Column("camera_state", word(CameraState)),
    Column("temperature_celsius", Float),
    Column("queue_length", Integer),
    Column("clock_skew", Duration),
    # The last few changes of where it called from, [[microseconds, origin], ...], newest first, as JSON.
    Column("recent_origins", Text),
    # The last few positions it gave, [[microseconds, latitude, longitude, accuracy in metres], ...], likewise.
    Column("recent_positions", Text),
)
