"""What this process does when the registry changes, here or in another process: forget, cut, deliver (I2)."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from time import monotonic

import structlog
from sqlalchemy import Connection

from device_registry import Standings, admit
from device_registry.errors import CertificateUnknownError, RegistryError
from device_registry.model import Standing
from server.live.streams import LiveStream, LiveStreams
from server.store import Event, UnitOfWork

log = structlog.get_logger()

TERMINAL = "terminal"
COMMAND = "command"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A stream that is being ended because its holder may no longer come in."""

    reason: str
    seconds: float
    """From when this process learned of it to the end of the handler's work on the stream."""


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
    ) -> None:
        self._unit_of_work = unit_of_work
        self._standings = standings
        self._streams = streams
        self._now = now
        self._on_command = on_command
        self._on_cut = on_cut

    async def load(self) -> None:
        """Take over everything the database says, and end the streams that it does not bear out."""
        await self._unit_of_work.read(self._standings.load)
        self._check_all()

    async def on_events(self, events: Sequence[Event]) -> None:
        """Act on what changed; each subject once, however often it changed."""
        learned_at = monotonic()
        for terminal_id in dict.fromkeys(event.subject for event in events if event.topic == TERMINAL):
            fingerprints = {stream.standing.fingerprint for stream in self._streams.of(terminal_id)}
            found = await self._unit_of_work.read(_refreshed(self._standings, terminal_id, fingerprints))
            self._end_refused(self._streams.of(terminal_id), found, learned_at)
        for terminal_id in dict.fromkeys(event.subject for event in events if event.topic == COMMAND):
            self._on_command(terminal_id)

    async def sweep(self, every: timedelta) -> None:
        """Look at all live streams again and again: a certificate's time runs out without any event."""
        while True:
            await asyncio.sleep(every.total_seconds())
            self._check_all()

    def _check_all(self) -> None:
        streams = self._streams.all()
        known = {fingerprint: self._standings.of(fingerprint) for fingerprint in map(_fingerprint, streams)}
        self._end_refused(streams, known, monotonic())

    def _end_refused(
        self, streams: Sequence[LiveStream], found: Mapping[str, Standing | None], learned_at: float
    ) -> None:
        now = self._now()
        for stream in streams:
            error = _refusal(stream, found, now)
            if error is None or stream.is_ending:
                continue
            stream.end(error, partial(self._cut, error.reason, learned_at))

    def _cut(self, reason: str, learned_at: float) -> None:
        seconds = monotonic() - learned_at
        self._on_cut(Cut(reason=reason, seconds=seconds))
        log.info("stream_cut", reason=reason, seconds=round(seconds, 4))


def _refreshed(
    standings: Standings, terminal_id: str, fingerprints: set[str]
) -> Callable[[Connection], dict[str, Standing | None]]:
    def read(connection: Connection) -> dict[str, Standing | None]:
        standings.refresh(connection, terminal_id)
        return {
            fingerprint: standings.of(fingerprint) or standings.find(connection, fingerprint)
            for fingerprint in fingerprints
        }

    return read


def _refusal(stream: LiveStream, found: Mapping[str, Standing | None], now: datetime) -> RegistryError | None:
    """Return why the holder of the stream would not be let in now, if so."""
    fingerprint = _fingerprint(stream)
    if fingerprint not in found:  # opened after the question was asked, hence admitted by what is known now
        return None
    standing = found[fingerprint]
    if standing is None:
        return CertificateUnknownError(fingerprint=fingerprint)
    try:
        admit(standing, now)
    except RegistryError as error:
        return error
    return None


def _fingerprint(stream: LiveStream) -> str:
    return stream.standing.fingerprint
