"""What is remembered of the terminals' comings, goings and heartbeats until it is written, many at once."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection

from device_registry import Registry
from device_registry.fleet.places import Position
from device_registry.model import ReceivedHeartbeat
from server.store import StoreError, UnitOfWork


@dataclass(slots=True, kw_only=True)
class _News:
    """What is new of one terminal."""

    heartbeat: ReceivedHeartbeat | None = None
    is_gone: bool = False


class PresenceBook:
    """Collects news of terminals; the newest heartbeat of each is what counts.

    Vitals are not money: a terminal is answered before they are written, and a crash loses half a second of them.
    """

    def __init__(self, *, unit_of_work: UnitOfWork, registry: Registry) -> None:
        self._unit_of_work = unit_of_work
        self._registry = registry
        self._news: dict[str, _News] = {}

    async def came(
        self,
        terminal_id: str,
        firmware_version: str,
        clock_skew: timedelta,
        *,
        origin: str = "",
        position: Position | None = None,
    ) -> None:
        """Write down an opened control stream, at once: what the terminal sends next is younger than this."""
        self._of(terminal_id).is_gone = False
        await self._unit_of_work.write(
            lambda connection: self._registry.connected(
                connection,
                terminal_id=terminal_id,
                firmware_version=firmware_version,
                clock_skew=clock_skew,
                origin=origin,
                position=position,
            )
        )

    def beat(self, heartbeat: ReceivedHeartbeat) -> None:
        """Note a heartbeat."""
        self._of(heartbeat.terminal_id).heartbeat = heartbeat

    def went(self, terminal_id: str) -> None:
        """Note that the last control stream of a terminal has ended."""
        self._of(terminal_id).is_gone = True

    async def flush(self) -> None:
        """Write what is new.

        Raises:
            StoreError: the database refused; what is new is kept for the next time, unless there is newer.
        """
        news, self._news = self._news, {}
        if not news:
            return
        try:
            await self._unit_of_work.write(self._written(news))
        except StoreError:
            self._news = {**news, **self._news}
            raise

    def _of(self, terminal_id: str) -> _News:
        return self._news.setdefault(terminal_id, _News())

    def _written(self, news: dict[str, _News]) -> Callable[[Connection], None]:
        def write(connection: Connection) -> None:
            self._registry.heartbeats(connection, [item.heartbeat for item in news.values() if item.heartbeat])
            for terminal_id, item in news.items():
                if item.is_gone:
                    self._registry.disconnected(connection, terminal_id=terminal_id)

        return write
