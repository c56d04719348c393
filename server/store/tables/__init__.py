"""Every table of the platform on one MetaData: the registry's, ours, and the settlement's."""

from device_registry.tables import metadata
from server.store.tables import (
    benefits,
    credentials,
    doubt,
    events,
    faces,
    fsi,
    gallery,
    outcomes,
    people,
    practitioners,
    self_pay,
    settlement,
)

__all__ = [
    "benefits",
    "credentials",
    "doubt",
    "events",
    "faces",
    "fsi",
    "gallery",
    "metadata",
    "outcomes",
    "people",
    "practitioners",
    "self_pay",
    "settlement",
]
