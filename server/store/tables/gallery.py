"""Face templates, sealed: the key is not in the database (I7). And at which sites a face may be looked for."""

from sqlalchemy import Column, ForeignKey, Index, LargeBinary, Table

from device_registry.tables import UtcTime, Uuid, metadata

face_templates = Table(
    "face_templates",
    metadata,
    Column("person_id", Uuid, ForeignKey("insured_people.person_id"), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("enrolled_at", UtcTime, nullable=False),
)

person_sites = Table(
    "person_sites",
    metadata,
    Column("person_id", Uuid, ForeignKey("insured_people.person_id"), primary_key=True),
    Column("site_id", Uuid, ForeignKey("sites.site_id"), primary_key=True),
    Column("added_at", UtcTime, nullable=False),
    Index("ix_person_sites_site_id", "site_id"),
)
