"""Every table of the platform on one MetaData: the registry's, ours, and the settlement's."""

from device_registry.tables import metadata
from server.store.tables import events, gallery, people, settlement

__all__ = ["events", "gallery", "metadata", "people", "settlement"]
