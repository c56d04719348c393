"""What this process does when the registry changes, here or in another process: forget, cut, deliver (I2)."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from time import monotonic

import structlog
from sqlalchemy import Connection

from device_registry import Standings, admit
from device_registry.changes import EVERYBODY, TOPIC_AUTHORITY, TOPIC_COMMAND, TOPIC_TERMINAL
from device_registry.errors import CertificateUnknownError, RegistryError
from device_registry.model import Standing, TerminalState
from server.live.streams import LiveStream, LiveStreams
from server.store import Event, UnitOfWork

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A stream that is being ended because its holder may no longer come in."""

    reason: str
    seconds: float
    """From when this process learned of it to the end of the handler's work on the stream."""
    seconds_since_decision: float | None
    """From when the decision was recorded to the same moment; None where nobody decided, as when time runs out."""


class RegistryWatch:
    """Keeps the memory of standings true, and ends the streams of those who would not be let in now."""

    def __init__(
        self,
        *,
        unit_of_work: UnitOfWork,
        standings: Standings,
        streams: LiveStreams,
        now: Callable[[], datetime],
        on_command: Callable[[str], None],
        on_cut: Callable[[Cut], None],
        on_authority: Callable[[], None] = lambda: None,
    ) -> None:
        self._unit_of_work = unit_of_work
        self._standings = standings
        self._streams = streams
        self._now = now
        self._on_command = on_command
        self._on_cut = on_cut
        self._on_authority = on_authority

    async def load(self) -> None:
        """Take over everything the database says, and end the streams that it does not bear out."""
        await self._unit_of_work.read_at_once(self._standings.load)
        await self.sweep()

    async def on_events(self, events: Sequence[Event]) -> None:
        """Act on what changed; each subject once, however often it changed."""
        learned_at = monotonic()
        if any(event.topic == TOPIC_AUTHORITY for event in events):
            self._on_authority()
        changed = list(dict.fromkeys(event.subject for event in events if event.topic == TOPIC_TERMINAL))
        if EVERYBODY in changed:
            await self._follow(self._standings.load, self._streams.all, learned_at)
        elif changed:
            await self._follow(
                lambda connection: self._standings.refresh(connection, *changed),
                lambda: [stream for terminal_id in changed for stream in self._streams.of(terminal_id)],
                learned_at,
            )
        for terminal_id in dict.fromkeys(event.subject for event in events if event.topic == TOPIC_COMMAND):
            self._on_command(terminal_id)

    async def sweep(self) -> None:
        """Look at all live streams: a certificate's time runs out without any event."""
        await self._end_refused(self._streams.all(), monotonic())

    async def _follow(
        self, renew: Callable[[Connection], None], whose: Callable[[], Sequence[LiveStream]], learned_at: float
    ) -> None:
        """Bring memory up to date, and end the streams that it does not bear out."""
        await self._unit_of_work.read_at_once(renew)
        await self._end_refused(whose(), learned_at)

    async def _end_refused(self, streams: Sequence[LiveStream], learned_at: float) -> None:
        """End those whose holder would not be let in now.

        Retired certificates leave memory, so what memory does not have is asked of the database: who is cut off is
        told why, and nobody is told that a certificate is unknown because somebody else's event was faster.
        """
        left = {fingerprint for stream in streams if self._standings.of(fingerprint := _fingerprint(stream)) is None}
        closed = await self._unit_of_work.read_at_once(partial(_found, self._standings, left)) if left else {}
        now = self._now()
        for stream in streams:
            fingerprint = _fingerprint(stream)
            standing = self._standings.of(fingerprint) or closed.get(fingerprint)
            error = _refusal(fingerprint, standing, now)
            if error is not None and not stream.is_ending:
                stream.end(error, partial(self._cut, error.reason, learned_at, _decided_at(standing)))

    def _cut(self, reason: str, learned_at: float, decided_at: datetime | None) -> None:
        seconds = monotonic() - learned_at
        since = (self._now() - decided_at).total_seconds() if decided_at is not None else None
        self._on_cut(Cut(reason=reason, seconds=seconds, seconds_since_decision=since))
        log.info("stream_cut", reason=reason, seconds=round(seconds, 4))


def _found(standings: Standings, fingerprints: Collection[str], connection: Connection) -> dict[str, Standing | None]:
    """Return what the database says of certificates."""
    return {fingerprint: standings.find(connection, fingerprint) for fingerprint in fingerprints}


def _refusal(fingerprint: str, standing: Standing | None, now: datetime) -> RegistryError | None:
    """Return why the holder of a certificate would not be let in now, if so."""
    if standing is None:
        return CertificateUnknownError(fingerprint=fingerprint)
    try:
        admit(standing, now)
    except RegistryError as error:
        return error
    return None


def _decided_at(standing: Standing | None) -> datetime | None:
    """Return when somebody decided that a terminal may not come in, if that is why."""
    if standing is None or standing.state in (TerminalState.ENROLLED, TerminalState.ACTIVE):
        return None
    return standing.state_since


def _fingerprint(stream: LiveStream) -> str:
    return stream.standing.fingerprint
