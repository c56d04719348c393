"""Is a consent an answer to this session, and to a text that is in use?"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from server.faces.errors import ConsentStaleError, ConsentTextUnknownError


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentBounds:
    """What a consent must be; see the `face` section of the configuration."""

    age_max: timedelta
    """An older answer was given to something else."""
    ahead_max: timedelta
    """How far ahead of ours the terminal's clock may be."""
    texts: frozenset[str]
    """Versions of the text that are in use; none: any."""

    def check(self, *, given_at: datetime, text_version: str, now: datetime) -> None:
        """Refuse a consent that is no answer to this session. A refusal is not checked: no is no.

        Raises:
            ConsentStaleError: given too long ago, or in the future.
            ConsentTextUnknownError: to a text that is not in use.
        """
        if not -self.ahead_max <= now - given_at <= self.age_max:
            raise ConsentStaleError
        if self.texts and text_version not in self.texts:
            raise ConsentTextUnknownError
