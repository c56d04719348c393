"""One run: make the world, put load on it and break it by the plan, heal it, and compare the books."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine

from server.checker.actors import Actor, Process
from server.checker.audit import is_in_doubt, read_journal, read_settlements, walk
from server.checker.books import Books, Household
from server.checker.cast import AT_ONCE, Cast, TillDesk
from server.checker.history import History
from server.checker.injector import Injector, give_up
from server.checker.insurers import InsurerSide
from server.checker.judge import judge
from server.checker.leg import Leg
from server.checker.orders import orders
from server.checker.people import Payer
from server.checker.plan import CORE, SERVER, Plan
from server.checker.pockets import read_pin_free_days, read_pockets, read_takings, read_used_codes
from server.checker.report import Report, command_of, filled
from server.checker.world import Till, World, enroll_command
from server.programs import StepFailedError, environment, program
from server.store import open_engine

HEALED_WITHIN: Final = timedelta(seconds=120)
LONGER_AT_MOST_SECONDS: Final = 60.0
LOOK_SECONDS: Final = 0.3
TELL_EVERY_SECONDS: Final = 0.5
OPENED: Final = 0
"""Exit code of a till that left nothing in doubt."""

Tell = Callable[[str, float, int, int], None]
"""Told what is being done, how far the load is (0 to 1), and how many receipts and kills there are."""


class Run:
    """One run of the checker."""

    def __init__(
        self,
        world: World,
        plan: Plan,
        side: InsurerSide,
        *,
        database: str,
        tell: Tell,
        postgres: Process | None = None,
    ) -> None:
        """Take what it works with.

        Args:
            world: an empty folder, and the settings of the run.
            plan: what goes wrong.
            side: who insures.
            database: its name, for the report.
            tell: told how it goes.
            postgres: the database's process, running; None when it is a file.
        """
        self._world: Final = world
        self._plan: Final = plan
        self._side: Final = side
        self._database: Final = database
        self._tell: Final = tell
        self._postgres: Final = postgres
        self._history: Final = History(file=world.folder / "history.jsonl")
        self._engine: Engine | None = None

    async def play(self) -> Report:
        """Do all of it; every process that was started is stopped when this returns or raises.

        Raises:
            StepFailedError: the world could not be made, or something did not come up again.
        """
        (self._world.folder / "plan.json").write_text(self._plan.as_json(), encoding="utf-8")
        self._tell("making keys, people and terminals", 0.0, 0, 0)
        await self._side.prepare(self._world, self._history)
        await asyncio.to_thread(self._world.make_keys)
        names = [f"till-{number}" for number in range(1, self._plan.terminals + 1)]
        populate = self._world.populate
        payers, tills = await asyncio.to_thread(populate, seed=self._plan.seed, terminals=names)
        await self._side.insure(payers)
        cast = self._cast(payers, tills)
        try:
            return await self._with(cast, payers, tills)
        finally:
            self._tell("stopping what runs", 1.0, 0, 0)
            await asyncio.shield(cast.leave())
            if self._engine is not None:
                self._engine.dispose()

    async def _with(self, cast: Cast, payers: Sequence[Payer], tills: Sequence[Till]) -> Report:
        for leg in cast.legs.values():
            if not leg.address:
                await leg.open()
        self._tell("starting", 0.0, 0, 0)
        if cast.core is not None:
            await cast.core.start()
        await cast.server.start()
        await asyncio.gather(*(self._enroll(till) for till in tills))
        await asyncio.gather(*(desk.actor.start() for desk in cast.tills.values()))
        injector = Injector(cast, self._history, files=self._file, script=self._side.misbehave)
        self._engine = open_engine(self._world.config.database_url)
        began = time.monotonic()
        await self._load(cast, injector)
        loaded = time.monotonic()
        self._tell("healing", 1.0, 0, injector.struck.killed)
        await self._heal(cast)
        healed = time.monotonic()
        self._tell("comparing the books", 1.0, 0, injector.struck.killed)
        books = await self._books(cast, payers)
        report = Report(
            seed=self._plan.seed,
            database=self._database,
            insurer=self._world.insurer.value,
            terminals=self._plan.terminals,
            seconds=loaded - began,
            healed_after_seconds=healed - loaded,
            command=command_of(self._plan, database=self._database, insurer=self._world.insurer.value),
        )
        self._count(report, cast, injector)
        return filled(report, self._history, books, judge(self._history, books))

    def _cast(self, payers: list[Payer], tills: Sequence[Till]) -> Cast:
        """Describe every process; nothing is started."""
        folder = self._world.folder
        legs = {till.name: Leg(till.name, is_readable=False) for till in tills}
        ready: dict[str, Any] = {}

        def on_ready(said: dict[str, Any]) -> None:
            ready.update(said)
            for leg in legs.values():
                leg.target = said["terminal"]

        self._ready = ready
        server = Actor(
            SERVER,
            lambda: [program("shualian"), "serve", "--ready-file", str(folder / "ready.json")],
            env=self._world.env,
            log=folder / "server.log",
            ready_file=folder / "ready.json",
            on_ready=on_ready,
        )
        desks = {till.name: self._desk(till, legs[till.name], payers) for till in tills}
        every = {**legs, CORE: self._side.leg} if self._side.leg is not None else {**legs}
        return Cast(server=server, core=self._side.core, database=self._postgres, tills=desks, legs=every)

    def _desk(self, till: Till, leg: Leg, payers: list[Payer]) -> TillDesk:
        desk: TillDesk

        def command() -> list[str]:
            return [
                program("shualian-terminal"), "till", "--platform", leg.address, "--at-once", str(AT_ONCE),
                "--clock-offset", str(desk.clock_offset_seconds), "--state", str(till.state), "--json",
            ]  # fmt: skip

        actor = Actor(
            till.name,
            command,
            env=environment({}),
            log=self._world.folder / f"{till.name}.log",
            on_line=lambda said: desk.heard(said),  # noqa: PLW0108 - the desk is made below, with this very actor
        )
        with_relative = {number for number, payer in enumerate(payers) if payer.binding_id}
        bills = orders(seed=self._plan.seed, terminal=till.name, payers=range(len(payers)), with_relative=with_relative)
        desk = TillDesk(actor=actor, leg=leg, state=till.state, bills=bills, payers=payers, history=self._history)
        return desk

    async def _enroll(self, till: Till) -> None:
        command, env = enroll_command(till, root_pem=self._world.root_pem, enrollment=self._ready["enrollment"])
        done = await asyncio.create_subprocess_exec(
            *command, env=dict(env), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        try:
            said, _ = await done.communicate()
        finally:
            if done.returncode is None:  # the run was interrupted
                done.kill()
        if done.returncode:
            raise StepFailedError(f"{till.name} did not enroll: {said.decode()[-300:]}")

    async def _load(self, cast: Cast, injector: Injector) -> None:
        over = asyncio.Event()
        lasting = self._plan.lasting_ms / 1000
        self._history.began = began = time.monotonic()
        feeding = [asyncio.create_task(desk.feed(over)) for desk in cast.tills.values()]
        breaking = asyncio.create_task(injector.play(self._plan.faults, over=over))
        working = {*feeding, breaking}
        try:
            while (passed := time.monotonic() - began) < lasting or self._is_to_go_on(passed - lasting, injector):
                self._tell("load", min(passed / lasting, 1.0), self._receipts(), injector.struck.killed)
                done, _ = await asyncio.wait(working, timeout=TELL_EVERY_SECONDS, return_when=asyncio.FIRST_EXCEPTION)
                if any(task.exception() for task in done):
                    break
            over.set()
            await asyncio.gather(*working)
        finally:
            over.set()
            await give_up(working)

    @staticmethod
    def _is_to_go_on(over_by: float, injector: Injector) -> bool:
        """Return whether a short run goes on a little longer, so that every kind of process is killed once."""
        return not injector.has_killed_each and over_by < LONGER_AT_MOST_SECONDS

    async def _heal(self, cast: Cast) -> None:
        """End every fault, let everybody live, and wait until nobody is in doubt, or it has taken too long."""
        await self._side.misbehave(None)
        for leg in cast.legs.values():
            leg.heal()
        for process in cast.processes.values():
            if not process.is_running:
                await process.start()
        with suppress(TimeoutError):
            async with asyncio.timeout(HEALED_WITHIN.total_seconds()):
                await asyncio.gather(self._undoubted(), *(self._closed(desk) for desk in cast.tills.values()))

    async def _undoubted(self) -> None:
        """Wait until the platform has nothing in doubt."""
        while self._engine is not None and await asyncio.to_thread(is_in_doubt, self._engine):  # noqa: ASYNC110 - a database
            await asyncio.sleep(LOOK_SECONDS)

    @staticmethod
    async def _closed(desk: TillDesk) -> None:
        """Let a till work off what it has, and come back for what it left in doubt."""
        while True:
            desk.actor.close_input()
            if await desk.actor.ended(within=HEALED_WITHIN.total_seconds()) == OPENED:
                return
            await asyncio.sleep(LOOK_SECONDS)
            await desk.actor.start()

    async def _books(self, cast: Cast, payers: Sequence[Payer]) -> Books:
        engine = self._engine
        if engine is None:
            raise StepFailedError("there is no database")
        insurer = await self._side.books(engine, payers)
        journals = [await asyncio.to_thread(read_journal, name, desk.state) for name, desk in cast.tills.items()]
        with engine.connect() as connection:
            settlements, takings = read_settlements(connection), read_takings(connection)
            pockets, codes = read_pockets(connection, payers), read_used_codes(connection)
            pin_free_days = read_pin_free_days(connection)
        wrong_sums, wrong_audit = await asyncio.gather(
            asyncio.to_thread(walk, "ledger", self._world.env), asyncio.to_thread(walk, "audit", self._world.env)
        )
        return Books(
            journals={key: entry for journal in journals for key, entry in journal.items()},
            settlements=settlements,
            bookings=insurer.bookings,
            accounts=[*insurer.accounts, *pockets],
            takings=takings,
            used_codes=codes,
            pin_free_days=pin_free_days,
            households=[Household(person_id=payer.person_id, relative_id=payer.relative_id) for payer in payers],
            wrong_sums=[*wrong_sums, *insurer.wrong],
            wrong_audit=wrong_audit,
        )

    def _file(self, victim: str) -> Path:
        """Return the file that grows as a process writes."""
        if victim == SERVER:
            return self._world.folder / "platform" / "shualian.sqlite-wal"
        return self._side.file() if victim == CORE else self._world.folder / victim / "journal.sqlite"

    def _receipts(self) -> int:
        return sum(1 for _ in self._history.said("paid"))

    @staticmethod
    def _count(report: Report, cast: Cast, injector: Injector) -> None:
        struck = injector.struck
        report.kills = struck.killed
        by_process = Counter[str]()
        for (process, _), count in struck.kills.items():
            by_process[process] += count
        report.kills_by_process = dict(by_process)
        report.kills_by_place = {f"{process}/{place}": count for (process, place), count in struck.kills.items()}
        report.faults = dict(struck.faults)
        report.died_by_themselves = dict(struck.died_by_themselves)
        report.lives = {process.name: process.lives for process in cast.processes.values()}
