"""Were these frames shown in an earlier session, here or before any other terminal and replica?

Prints are kept in the database for every decided session, and the newest of all sessions in memory. Before it answers,
the memory reads what others have written meanwhile: one look-up at the end of an index.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final, TypeVar

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from device_registry.tables.prepared import Prepared
from face_pipeline.liveness.replay import PRINT_BYTES, Recognised, ReplayMemory, ReplaySearch
from server.store import UnitOfWork
from server.store.tables.faces import face_prints

READ_MAX: Final = 500
"""Sessions read at once; loading everything comes in several helpings."""
PRUNED_AT_ONCE: Final = 20
"""Old sessions removed with each new one: more than come, so the table shrinks, and no write takes long."""
_columns: Final = face_prints.c
_OLDEST: Final = (
    select(_columns.number, _columns.recorded_at).order_by(_columns.number).limit(PRUNED_AT_ONCE).subquery()
)
_RECORD: Final = Prepared(
    insert(face_prints)
    .values({name: bindparam(name) for name in ("session_id", "terminal_id", "recorded_at", "prints")})
    .returning(_columns.number)
)
# The oldest first, then the question: asked of all rows, it would walk the whole table when none is to go.
_PRUNE: Final = Prepared(
    delete(face_prints).where(
        _columns.number.in_(
            select(_OLDEST.c.number).where(
                (_OLDEST.c.recorded_at < bindparam("kept_from")) | (_OLDEST.c.number <= bindparam("last_too_many"))
            )
        )
    )
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _PrintRow:
    """The prints of one session, as the database has them."""

    number: int
    session_id: str
    prints: list[bytes]


class Replays:
    """The memory of prints, kept in step with the database."""

    def __init__(
        self,
        *,
        unit_of_work: UnitOfWork,
        executor: Executor,
        now: Callable[[], datetime],
        prints_max: int,
        distance_max: int,
        kept_for: timedelta,
        sessions_max: int,
    ) -> None:
        """Begin empty; the first question loads what there is.

        Args:
            unit_of_work: the database.
            executor: where the search runs.
            now: the time.
            prints_max: prints in memory.
            distance_max: bits in which two prints of one frame differ at most; from the pipeline's policy.
            kept_for: how long prints are kept in the database.
            sessions_max: sessions whose prints are kept in the database.
        """
        self._unit_of_work: Final = unit_of_work
        self._executor: Final = executor
        self._now: Final = now
        self._prints_max: Final = prints_max
        self._kept_for: Final = kept_for
        self._sessions_max: Final = sessions_max
        self._memory: Final = ReplayMemory(prints_max=prints_max, distance_max=distance_max)
        self._reading: Final = asyncio.Lock()
        self._last = -1

    async def load(self) -> None:
        """Take up what the database holds; the first session need not wait for it then."""
        await self._catch_up()

    async def search(self) -> ReplaySearch:
        """Begin the search for the frames of a session, with all that others saw until now.

        Raises:
            StoreError: that cannot be read.
        """
        await self._catch_up()
        return ReplaySearch(self._memory)

    async def recognise(
        self, session_id: str, prints: Sequence[bytes], begun: ReplaySearch | None = None
    ) -> Recognised:
        """Return what is known of these frames, and remember them as this session's.

        Raises:
            StoreError: what others saw cannot be read; nothing can be said then (I10).
        """
        await self._catch_up()
        return await self._beside(lambda: self._memory.recognise(session_id, prints, begun))

    def record(self, connection: Connection, *, session_id: str, terminal_id: str, prints: Sequence[bytes]) -> None:
        """Write the prints of a decided session down, and give up those that are too old or too many."""
        if not prints:
            return
        now = self._now()
        row = _RECORD.row(
            connection, session_id=session_id, terminal_id=terminal_id, recorded_at=now, prints=b"".join(prints)
        )
        number = row[0] if row else 0
        _PRUNE.run(connection, kept_from=now - self._kept_for, last_too_many=number - self._sessions_max)

    async def _catch_up(self) -> None:
        async with self._reading:
            if self._last < 0:
                self._last = await self._unit_of_work.read(self._first_worth_reading)
            is_behind = True
            while is_behind:
                rows = await self._unit_of_work.read(_after(self._last))
                if rows:
                    await self._beside(partial(self._remember, rows))
                    self._last = rows[-1].number
                is_behind = len(rows) == READ_MAX

    def _remember(self, rows: Sequence[_PrintRow]) -> None:
        for row in rows:
            self._memory.remember(row.session_id, row.prints)

    async def _beside(self, work: Callable[[], T]) -> T:
        """Run what holds the memory's lock: never in the event loop, which would wait for a search under way."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def _first_worth_reading(self, connection: Connection) -> int:
        """Return the last session that would no longer fit into memory, were the rest loaded: begin after it."""
        room = self._prints_max
        last: int = connection.scalar(select(func.max(_columns.number))) or 0
        sizes = select(_columns.number, func.length(_columns.prints).label("bytes")).order_by(_columns.number.desc())
        for row in connection.execute(sizes.limit(self._prints_max)):
            room -= row.bytes // PRINT_BYTES
            if room < 0:
                break
            last = row.number - 1
        return max(last, 0)


def _after(last: int) -> Callable[[Connection], list[_PrintRow]]:
    def read(connection: Connection) -> list[_PrintRow]:
        rows = connection.execute(
            select(_columns.number, _columns.session_id, _columns.prints)
            .where(_columns.number > last)
            .order_by(_columns.number)
            .limit(READ_MAX)
        )
        return [_PrintRow(number=row.number, session_id=str(row.session_id), prints=_split(row.prints)) for row in rows]

    return read


def _split(prints: bytes) -> list[bytes]:
    return [prints[start : start + PRINT_BYTES] for start in range(0, len(prints), PRINT_BYTES)]
