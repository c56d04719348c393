"""What comes in between: a revocation while a call is being admitted, or while a change is being followed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection

from device_registry import TOPIC_TERMINAL, Registry, Standing, Standings, TerminalState, admit
from device_registry.authority.certificates import fingerprint_from_der
from device_registry.errors import TerminalRevokedError, TerminalSuspendedError
from server.interceptors.chain import Context, Method
from server.interceptors.identity import REFUSALS, IdentityLayer
from server.live.following import Cut, RegistryWatch
from server.live.streams import LiveStreams
from server.refusals import RateLimitedError
from server.store import Event, UnitOfWork
from tests.support.builders import OPERATOR, a_registry, a_terminal, an_enrollment
from tests.support.clock import Clock
from tests.support.database import Database, a_unit_of_work

T = TypeVar("T")
UNARY = Method(service="S", name="M", full_name="p.S/M", streams_up=False, streams_down=False)


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """A registry on a real database, one of its terminals, and the memory of one process."""

    unit_of_work: UnitOfWork
    registry: Registry
    clock: Clock
    standings: Standings = field(default_factory=Standings)
    streams: LiveStreams = field(default_factory=LiveStreams)

    async def enrolled(self) -> tuple[Standing, Context]:
        """Return a terminal that was just enrolled, as memory knows it, and a call that shows its certificate."""

        def enroll(connection: Connection) -> bytes:
            terminal = a_terminal(connection, self.registry, state=TerminalState.REGISTERED)
            return an_enrollment(connection, self.registry, terminal).certificate_chain_der[0]

        der = await self.unit_of_work.write(enroll)
        await self.unit_of_work.read(self.standings.load)
        standing = self.standings.of(fingerprint_from_der(der))
        assert standing is not None
        return standing, cast("Context", Caller(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)))

    async def active(self) -> tuple[Standing, Context]:
        """Return a terminal that has used its certificate, as memory knows it, and a call that shows it."""
        standing, caller = await self.enrolled()
        await self.unit_of_work.write(
            lambda connection: self.registry.first_use(connection, fingerprint=standing.fingerprint, request_id="")
        )
        await self.unit_of_work.read(self.standings.load)
        return self.standings.of(standing.fingerprint) or standing, caller

    async def suspend(self, standing: Standing) -> None:
        """Suspend a terminal; memory is not told."""
        await self.unit_of_work.write(
            lambda connection: self.registry.suspend(
                connection, terminal_id=standing.terminal_id, reason="odd hours", actor=OPERATOR
            )
        )


class RevokingUnitOfWork:
    """The real thing, but somebody revokes the terminal just after each write."""

    def __init__(self, fleet: Fleet, terminal_id: str) -> None:
        self._fleet = fleet
        self._terminal_id = terminal_id

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Write, and be overtaken."""
        result = await self._fleet.unit_of_work.write(work)
        await self._fleet.unit_of_work.write(
            lambda connection: self._fleet.registry.revoke(
                connection, terminal_id=self._terminal_id, reason="stolen", actor=OPERATOR
            )
        )
        return result

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Read."""
        return await self._fleet.unit_of_work.read(work)

    async def read_at_once(self, work: Callable[[Connection], T]) -> T:
        """Read."""
        return await self._fleet.unit_of_work.read_at_once(work)


class Caller:
    """As much of a call's context as the door looks at."""

    def __init__(self, pem: bytes) -> None:
        self._pem = pem

    def auth_context(self) -> dict[str, list[bytes]]:
        """Return what the handshake showed."""
        return {"x509_pem_cert": [self._pem]}


@pytest.fixture
async def fleet(database: Database, tmp_path: Path) -> AsyncIterator[Fleet]:
    bench = a_registry(tmp_path)
    async with a_unit_of_work(database.engine) as unit_of_work:
        yield Fleet(unit_of_work=unit_of_work, registry=bench.registry, clock=bench.clock)


def door(fleet: Fleet, unit_of_work: Any) -> IdentityLayer:  # noqa: ANN401  # the real one or the overtaken one
    return IdentityLayer(
        unit_of_work=cast("UnitOfWork", unit_of_work),
        registry=fleet.registry,
        standings=fleet.standings,
        streams=fleet.streams,
        now=fleet.clock.now,
        lag=lambda: 0.0,
        lag_max=timedelta(seconds=1),
    )


async def served(_request: object, _context: Context) -> str:
    return "served"


async def test_i02_a_revocation_during_the_first_use_of_a_certificate_wins(fleet: Fleet) -> None:
    standing, caller = await fleet.enrolled()
    call = door(fleet, RevokingUnitOfWork(fleet, standing.terminal_id)).wrap(UNARY, served)

    with pytest.raises(TerminalRevokedError):
        await call(None, caller)


async def test_i02_a_stream_opened_while_a_suspension_is_being_read_is_cut_too(fleet: Fleet) -> None:
    standing, _ = await fleet.active()
    cuts: list[Cut] = []
    watch = RegistryWatch(
        unit_of_work=fleet.unit_of_work,
        standings=fleet.standings,
        streams=fleet.streams,
        now=fleet.clock.now,
        on_command=lambda _: None,
        on_cut=cuts.append,
    )
    await fleet.suspend(standing)

    async def open_stream() -> None:
        admit(standing, fleet.clock.now())  # memory does not know yet
        with fleet.streams.opened(standing, "S/M"):
            await asyncio.Event().wait()

    following = asyncio.create_task(
        watch.on_events([Event(event_id=1, topic=TOPIC_TERMINAL, subject=standing.terminal_id)])
    )
    stream = asyncio.create_task(open_stream())  # comes in while the database is being asked
    await following

    with pytest.raises(TerminalSuspendedError):
        await stream
    assert [cut.reason for cut in cuts] == ["TERMINAL_SUSPENDED"]


async def test_i11_who_does_not_take_no_for_an_answer_is_told_when_to_come_back(fleet: Fleet) -> None:
    standing, caller = await fleet.active()
    await fleet.suspend(standing)
    await fleet.unit_of_work.read(fleet.standings.load)
    call = door(fleet, fleet.unit_of_work).wrap(UNARY, served)
    for _ in range(REFUSALS.burst):
        with pytest.raises(TerminalSuspendedError):
            await call(None, caller)

    with pytest.raises(RateLimitedError) as refused:
        await call(None, caller)
    assert refused.value.retry_after > timedelta()
