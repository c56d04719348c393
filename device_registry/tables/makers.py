"""Columns of what is approved: manufacturers, their factory roots, models and firmware; and of installer tickets."""

from sqlalchemy import BigInteger, Column, Date, ForeignKey, Index, Integer, LargeBinary, String, Table, Text, text

from device_registry.makers.approvals import FirmwareState, MakerState
from device_registry.model import TerminalClass
from device_registry.tables.columns import Sha256Hex, UtcTime, Uuid, metadata, word

_APPROVED = text("state = 'APPROVED'")

manufacturers = Table(
    "manufacturers",
    metadata,
    Column("manufacturer_id", Uuid, primary_key=True),
    Column("name", String(128), nullable=False),
    Column("firmware_key_der", LargeBinary),
    Column("state", word(MakerState), nullable=False),
    Column("state_reason", Text, nullable=False),
    Column("state_since", UtcTime, nullable=False),
    Column("added_at", UtcTime, nullable=False),
    # One that was withdrawn may be approved anew, under a new id.
    Index("uq_manufacturers_name_approved", "name", unique=True, sqlite_where=_APPROVED, postgresql_where=_APPROVED),
)

factory_roots = Table(
    "factory_roots",
    metadata,
    Column("manufacturer_id", Uuid, ForeignKey(manufacturers.c.manufacturer_id), primary_key=True),
    Column("fingerprint", Sha256Hex, primary_key=True),
    Column("certificate_der", LargeBinary, nullable=False),
    Column("not_after", UtcTime, nullable=False),
    Column("added_at", UtcTime, nullable=False),
)

device_models = Table(
    "device_models",
    metadata,
    Column("model_id", Uuid, primary_key=True),
    Column("manufacturer_id", Uuid, ForeignKey(manufacturers.c.manufacturer_id), nullable=False),
    Column("name", String(128), nullable=False),
    Column("terminal_class", word(TerminalClass), nullable=False),
    Column("certification_number", String(128), nullable=False),
    Column("certification_expires_on", Date, nullable=False),
    Column("state", word(MakerState), nullable=False),
    Column("state_reason", Text, nullable=False),
    Column("state_since", UtcTime, nullable=False),
    Column("added_at", UtcTime, nullable=False),
    Index(
        "uq_device_models_manufacturer_id_name_approved",
        "manufacturer_id",
        "name",
        unique=True,
        sqlite_where=_APPROVED,
        postgresql_where=_APPROVED,
    ),
)

firmware = Table(
    "firmware",
    metadata,
    Column("firmware_id", Uuid, primary_key=True),
    Column("model_id", Uuid, ForeignKey(device_models.c.model_id), nullable=False),
    Column("version", String(64), nullable=False),
    Column("sha256", Sha256Hex, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("manifest", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("state", word(FirmwareState), nullable=False),
    Column("finding", Text, nullable=False),
    Column("state_since", UtcTime, nullable=False),
    Column("added_at", UtcTime, nullable=False),
    # A version is one set of bytes for good: never added twice, whatever became of it.
    Index("uq_firmware_model_id_version", "model_id", "version", unique=True),
)

installer_tickets = Table(
    "installer_tickets",
    metadata,
    Column("ticket_id", Uuid, primary_key=True),
    Column("ticket_sha256", Sha256Hex, nullable=False, unique=True),
    Column("region", String(32), nullable=False),
    Column("terminals_max", Integer, nullable=False),
    Column("terminals_left", Integer, nullable=False),
    Column("issued_by", String(128), nullable=False),
    Column("issued_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("revoked_at", UtcTime),
)
