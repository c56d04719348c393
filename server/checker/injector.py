"""Who does what the plan says? Faults at their time and place, each counted by what really happened."""

import asyncio
import signal
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from server.checker.actors import Actor, Process
from server.checker.cast import Cast
from server.checker.history import History
from server.checker.leg import Trap
from server.checker.plan import CORE, DATABASE, IN_THE_TERMINAL, ON_THE_WIRE, SERVER, Fault, Kind, Place

LAPSES_AFTER_SECONDS: Final = 5.0
"""A place that nobody came by in this time: the kill strikes where the process happens to be."""
SMALLEST_DISK_BYTES: Final = 4_096
LOOK_MS: Final = 200
TICK_SECONDS: Final = 0.05
SPEED_WHILE_DOWN: Final = 0.25
"""Of the plan's clock: what strikes somebody else while one is down is worth trying too."""
UP_WITHIN_MS: Final = 15_000
CHECKER: Final = "checker"


@dataclass(slots=True, kw_only=True)
class Struck:
    """What was done in a run."""

    kills: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By kind of process and by place."""
    faults: Counter[str] = field(default_factory=Counter)
    """All, by kind."""
    died_by_themselves: Counter[str] = field(default_factory=Counter)
    """Processes that ended although nobody killed them."""

    @property
    def killed(self) -> int:
        """How many processes were killed."""
        return self.kills.total()


class Injector:
    """Does the faults."""

    def __init__(
        self,
        cast: Cast,
        history: History,
        *,
        files: Callable[[str], Path],
        script: Callable[[Fault | None], Awaitable[None]],
    ) -> None:
        """Take what it works with.

        Args:
            cast: who takes part.
            history: where each fault is noted.
            files: the file that grows when a process writes, by its name in the plan.
            script: tells the core to misbehave as a fault says, and with None to stop it.
        """
        self.struck: Final = Struck()
        self._cast: Final = cast
        self._history: Final = history
        self._files: Final = files
        self._script: Final = script
        self._over: Final = asyncio.Event()
        self._wanted = set[str]()
        self._turns: Final = {name: asyncio.Lock() for name in cast.processes}

    async def play(self, faults: tuple[Fault, ...], *, over: asyncio.Event) -> None:
        """Do each fault at its time, several at once where the plan says so, until the load is over; then end them.

        The plan's clock runs at full speed only while everybody is up. On a slow machine, where a start takes long,
        a plan by the wall's clock would strike again and again at processes that are still coming up.
        """
        self._wanted = {_kind_of(fault.victim) for fault in faults if fault.kind is Kind.KILL}
        doing = set[asyncio.Task[None]]()
        watching = [asyncio.create_task(self._watch(name, each)) for name, each in self._cast.processes.items()]
        try:
            await self._pace(deque(faults), doing, over)
            self._over.set()
            await asyncio.gather(*doing, *watching)
        finally:
            self._over.set()
            await give_up({*doing, *watching})

    async def _pace(self, left: deque[Fault], doing: set[asyncio.Task[None]], over: asyncio.Event) -> None:
        plan_ms, looked = 0.0, time.monotonic()
        while not over.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), TICK_SECONDS)
            now = time.monotonic()
            plan_ms += (now - looked) * 1000 * (1.0 if self._everybody_is_up else SPEED_WHILE_DOWN)
            looked = now
            while left and left[0].at_ms <= plan_ms and not over.is_set():
                doing.add(asyncio.create_task(self._do(left.popleft())))
            for task in [task for task in doing if task.done()]:
                doing.remove(task)
                await task  # what went wrong with it ends the run

    @property
    def has_killed_each(self) -> bool:
        """Whether every kind of process that the plan kills was killed once."""
        return {process for process, _ in self.struck.kills} >= self._wanted

    @property
    def _everybody_is_up(self) -> bool:
        return all(process.is_up for process in self._cast.processes.values())

    async def _watch(self, name: str, process: Process) -> None:
        """Bring back a process that ended by itself, and count it."""
        while not self._over.is_set():
            await self._pause(LOOK_MS)
            if process.is_running or self._turns[name].locked():
                continue
            async with self._turn(name):
                self.struck.died_by_themselves[name] += 1
                said = {"event": "died", "victim": name, "why": process.last_words()}
                self._history.note(CHECKER, process.lives, said)
                await process.start()

    @asynccontextmanager
    async def _turn(self, victim: str) -> AsyncIterator[None]:
        """Let nobody else touch a process, nor the server while the database is down: it could not start."""
        async with AsyncExitStack() as turns:
            await turns.enter_async_context(self._turns[victim])
            if victim == DATABASE:
                await turns.enter_async_context(self._turns[SERVER])
            yield

    async def _do(self, fault: Fault) -> None:
        match fault.kind:
            case Kind.KILL:
                await self._kill(fault)
            case Kind.CUT | Kind.BLACK_HOLE | Kind.LATE | Kind.DUPLICATE:
                await self._disturb(fault)
            case Kind.SCRIPT:
                self._begin(fault)
                await self._script(fault)
                await self._pause(fault.lasting_ms)
                await self._script(None)
            case _:
                await self._torment(fault)

    async def _kill(self, fault: Fault) -> None:
        process = self._cast.processes[fault.victim]
        async with self._turn(fault.victim):
            if self._over.is_set():
                return
            self._begin(fault)
            place = await self._strike(fault, process)
            await process.ended()
            self.struck.kills[_kind_of(fault.victim), place.value] += 1
            self._note(fault, f"killed at {place.value}")
            await self._pause(fault.down_ms)
            await process.start()

    async def _strike(self, fault: Fault, process: Process) -> Place:
        """Kill at the place; return where it really was."""
        died = asyncio.Event()
        if fault.place is not Place.ANY_INSTANT:
            await self._flowing()
        if fault.place in IN_THE_TERMINAL:
            desk = self._cast.tills[fault.victim]
            desk.die_at = fault.place.value
            watch = asyncio.create_task(_tell(desk.actor, died))
            await self._wait(died)
            watch.cancel()
        elif fault.place in ON_THE_WIRE:
            leg = self._cast.legs[fault.leg]
            trap = Trap(place=fault.place, call=fault.call, strike=lambda: _kill_after(process, fault.delay_ms))
            leg.set(trap)
            await self._wait(trap.struck)
            leg.take_away(trap)
            if trap.struck.is_set():
                await asyncio.sleep(fault.delay_ms / 1000)
                died = trap.struck
        place = fault.place if died.is_set() else Place.ANY_INSTANT
        if fault.victim in self._cast.tills:
            self._cast.tills[fault.victim].die_at = ""
        process.kill()
        return place

    async def _disturb(self, fault: Fault) -> None:
        leg = self._cast.legs[fault.leg]
        self._begin(fault)
        match fault.kind:
            case Kind.DUPLICATE:
                leg.send_twice(fault.call)
                return
            case Kind.LATE:
                leg.late_seconds = fault.value / 1000
                await self._pause(fault.lasting_ms)
                leg.late_seconds = 0.0
                return
            case Kind.BLACK_HOLE:
                leg.is_black_hole = True
                await self._pause(fault.lasting_ms)
                leg.is_black_hole = False
            case _:
                pass
        leg.cut()

    async def _torment(self, fault: Fault) -> None:
        """Do to a process what does not kill it."""
        actor = self._cast.actors[fault.victim]
        async with self._turns[fault.victim]:
            if self._over.is_set():
                return
            self._begin(fault)
            match fault.kind:
                case Kind.FREEZE:
                    actor.signal(signal.SIGSTOP)
                    await self._pause(fault.lasting_ms)
                    actor.signal(signal.SIGCONT)
                case Kind.DISK_FULL:
                    with actor.disk_full(_size(self._files(fault.victim))):
                        await self._pause(fault.lasting_ms)
                case Kind.CLOCK:
                    desk = self._cast.tills[fault.victim]
                    desk.clock_offset_seconds = fault.value
                    await _again(actor)
                    await self._pause(fault.lasting_ms)
                    desk.clock_offset_seconds = 0
                    await _again(actor)
                case _:
                    await actor.stop()
                    await self._pause(fault.down_ms)
                    await actor.start()

    async def _flowing(self) -> None:
        """Wait until everybody is up, so that somebody comes by the place; not for ever."""
        for _ in range(UP_WITHIN_MS // LOOK_MS):
            if self._over.is_set() or self._everybody_is_up:
                return
            await self._pause(LOOK_MS)

    async def _pause(self, milliseconds: int) -> None:
        """Wait, but not beyond the end of the load."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), milliseconds / 1000)

    async def _wait(self, event: asyncio.Event) -> None:
        """Wait for an event, at most until the place lapses or the load is over."""
        waits = [asyncio.create_task(event.wait()), asyncio.create_task(self._over.wait())]
        await asyncio.wait(waits, timeout=LAPSES_AFTER_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    def _begin(self, fault: Fault) -> None:
        self.struck.faults[fault.kind.value] += 1
        self._note(fault, "begins")

    def _note(self, fault: Fault, what: str) -> None:
        said = {"event": "fault", "kind": fault.kind.value, "victim": fault.victim, "what": what}
        more = {"place": fault.place.value, "leg": fault.leg, "call": fault.call, "action": fault.action}
        self._history.note(CHECKER, 0, said | {key: value for key, value in more.items() if value})


async def give_up(tasks: Collection[asyncio.Task[None]]) -> None:
    """End what is still under way, so that nothing is started any more when the processes are stopped."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _again(actor: Actor) -> None:
    await actor.stop()
    await actor.start()


async def _tell(actor: Actor, died: asyncio.Event) -> None:
    await actor.ended(within=2 * LAPSES_AFTER_SECONDS)
    died.set()


def _kill_after(process: Process, milliseconds: int) -> None:
    if milliseconds:
        asyncio.get_running_loop().call_later(milliseconds / 1000, process.kill)
    else:
        process.kill()


def _size(path: Path) -> int:
    return max(path.stat().st_size if path.exists() else 0, SMALLEST_DISK_BYTES)


def _kind_of(victim: str) -> str:
    return victim if victim in {SERVER, CORE, DATABASE} else "terminal"
