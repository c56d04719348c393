"""Whose lock-out did a database forget that was set back? The witness outside of it knows."""

from sqlalchemy import Connection

from device_registry.revocation import revocation_entries as log
from device_registry.revocation.revoked import RevocationKind
from device_registry.revocation.testimony import Testimony


def forgotten_operators(connection: Connection, testimony: Testimony) -> frozenset[str]:
    """Return the names of the operators whose last revocation the witness has and the database lacks.

    Raises:
        WitnessError: the witness cannot be read, so that nobody can be vouched for.
    """
    last = {entry.subject: entry for entry in testimony.entries() if entry.kind == RevocationKind.OPERATOR}
    return frozenset(
        name for name, entry in last.items() if log.hash_at(connection, entry.entry_id) != entry.entry_hash
    )
