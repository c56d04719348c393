"""Face templates, sealed: the key is not in the database (I7)."""

from sqlalchemy import Column, ForeignKey, LargeBinary, Table

from device_registry.tables import UtcTime, Uuid, metadata

face_templates = Table(
    "face_templates",
    metadata,
    Column("person_id", Uuid, ForeignKey("insured_people.person_id"), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("enrolled_at", UtcTime, nullable=False),
)
