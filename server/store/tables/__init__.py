"""Every table of the platform on one MetaData: the registry's, ours, and the settlement's."""

from device_registry.tables import metadata
from server.store.tables import events, faces, gallery, outcomes, people, practitioners, settlement

__all__ = ["events", "faces", "gallery", "metadata", "outcomes", "people", "practitioners", "settlement"]
