"""The recorded factory roots, each parsed once: strangers ask often, and manufacturers change seldom."""

from sqlalchemy import Connection

from device_registry.enrollment.chains import RecordedRoot, recorded_root
from device_registry.makers import approved


class FactoryRoots:
    """Keeps what was parsed, by fingerprint; which roots count, and in what order, is asked each time.

    A fingerprint stands for the same bytes for good, so nothing in here can be out of date.
    """

    def __init__(self) -> None:
        self._parsed: dict[str, RecordedRoot] = {}

    def all(self, connection: Connection) -> tuple[RecordedRoot, ...]:
        """Return every recorded root, those of approved manufacturers first."""
        known = self._parsed
        fingerprints = approved.root_fingerprints(connection)
        missing = [fingerprint for fingerprint in fingerprints if fingerprint not in known]
        if missing:
            ders = approved.root_certificates(connection, missing)
            known = known | {fingerprint: recorded_root(der) for fingerprint, der in ders.items()}
            self._parsed = known
        return tuple(known[fingerprint] for fingerprint in fingerprints)
