"""How fast is a settlement, durable, against its own SQL through bare sqlite3 with one commit each?

What is timed is Settle, the whole path in process, 64 in flight: body digest, assertion use, quote, split, ledger,
settlement, audit chain, group commit on SQLite with synchronous=FULL. The assertion's signature was checked by the
PreSettle before, as in life, and is not timed. The yardstick runs the very statements that the path executed, with the
very parameters, recorded at the driver's cursor: no Python around them, one transaction and one commit for each
settlement. Both start from copies of the same database, in turns; the best round of each counts.
"""

import asyncio
import json
import os
import secrets
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from sqlalchemy import Connection, Engine, event, insert
from uuid_utils import uuid7

from device_registry.audit.log import AuditLog
from face_pipeline.template_keys import HeldKeys
from server.caller import Caller
from server.credentials import Assertions, People, Pins
from server.credentials.activation import Credentials
from server.credentials.codes import DynamicCodes
from server.credentials.family import FamilyAccounts
from server.credentials.identity import checksum
from server.credentials.staff import StaffAssertions
from server.settlement import (
    Account,
    AccountKind,
    Bill,
    FaceAuthorization,
    Ledger,
    SettlementDesk,
    SettlementLimits,
)
from server.settlement.insurers.local import LocalInsurer, load_rules
from server.settlement.quote import CHINA
from server.settlement.self_pay.cash import Cash
from server.settlement.self_pay.channels import SelfPays
from server.store import UnitOfWork, migrate, open_engine
from server.store.tables.settlement import benefit_years

IN_FLIGHT = 64
PEOPLE = 100
OUTPATIENT = 1301
REGION = "330100"
CALLER = Caller(
    terminal_id=str(uuid7()), site_id=str(uuid7()), region=REGION, terminal_class="III", request_id=str(uuid7())
)


Asked = TypeVar("Asked")
Answered = TypeVar("Answered")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unquoted:
    """One settlement, ready to be asked for."""

    transaction_id: str
    bill: Bill
    face: FaceAuthorization


class World:
    """The path under test, over any copy of the prepared database; the clock stands still."""

    def __init__(self) -> None:
        moment = datetime.now(UTC)
        self.now: Callable[[], datetime] = lambda: moment
        self.audit, self.ledger = AuditLog(now=self.now), Ledger(now=self.now)
        self.data_key = secrets.token_bytes(32)
        self.people = People(
            now=self.now,
            index_key=secrets.token_bytes(32),
            data_key=self.data_key,
            template_keys=HeldKeys(secrets.token_bytes(32)),
            audit=self.audit,
        )
        key, lifetime = generate_private_key(SECP256R1()), timedelta(seconds=120)
        self.assertions = Assertions(now=self.now, signing_key=key, key_id="bench", lifetime=lifetime)
        self.staff_assertions = StaffAssertions(now=self.now, signing_key=key, key_id="bench", lifetime=lifetime)
        self.credentials = Credentials(now=self.now, data_key=self.data_key, audit=self.audit)
        self.codes = DynamicCodes(now=self.now, signing_key=key, key_id="bench", lifetime=timedelta(seconds=30))
        self.family = FamilyAccounts(now=self.now, zone=CHINA, audit=self.audit)

    @contextmanager
    def open(self, engine: Engine) -> Iterator[tuple[SettlementDesk, UnitOfWork]]:
        """Run a desk over a database."""
        unit_of_work = UnitOfWork(engine, queue_length_max=1_000, batch_max=IN_FLIGHT, readers=2)
        unit_of_work.start()
        pins = Pins(
            unit_of_work=unit_of_work,
            now=self.now,
            data_key=self.data_key,
            attempts_max=5,
            lock_for=timedelta(minutes=30),
        )
        desk = SettlementDesk(
            unit_of_work=unit_of_work,
            now=self.now,
            people=self.people,
            assertions=self.assertions,
            staff_assertions=self.staff_assertions,
            credentials=self.credentials,
            codes=self.codes,
            family=self.family,
            pins=pins,
            insurer=LocalInsurer(rules=load_rules(), ledger=self.ledger, now=self.now, zone=CHINA),
            audit=self.audit,
            # A hundred people pay all of it, each far beyond what goes without a PIN on one day.
            limits=SettlementLimits(pin_free_day_fen=10**12, pin_free_day_count=10**9),
            self_pays=SelfPays(Cash()),
            quote_lifetime=timedelta(minutes=10),
            site_kind=lambda _connection, _site_id: "HOSPITAL",
        )
        try:
            yield desk, unit_of_work
        finally:
            pins.close()
            unit_of_work.close()
            engine.dispose()

    async def prepare(self, path: Path, settlements: int) -> list[Unquoted]:
        """Fill a database with people, money and assertions, and return what can be quoted and settled."""
        engine = open_engine(f"sqlite:///{path}")
        migrate(engine)
        with self.open(engine) as (_, unit_of_work):
            people = await unit_of_work.write(self._furnish)
            jobs = await unit_of_work.write(
                lambda connection: [self._unquoted(connection, people[n % PEOPLE]) for n in range(settlements)]
            )
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return jobs

    def _furnish(self, connection: Connection) -> list[str]:
        fund = Account(AccountKind.POOLED_FUND, REGION)
        self.ledger.fund(connection, fund, amount_fen=10**12, reference="bench")
        people = []
        for number in range(PEOPLE):
            digits = f"9900001950010{number:04}"
            person = self.people.add(
                connection,
                name="某某",
                id_number=digits + checksum(digits),
                region=REGION,
                card_number=None,
                pin=None,
                template=None,
                actor="bench",
            )
            people.append(person.person_id)
            # Large enough that no settlement changes what a later quote counts on.
            own = Account(AccountKind.PERSON, person.person_id)
            self.ledger.fund(connection, own, amount_fen=10**9, reference=person.person_id)
            connection.execute(
                insert(benefit_years).values(
                    person_id=person.person_id,
                    benefit_year=self.now().year,
                    deductible_used_fen=60_000,
                    eligible_used_fen=0,
                    fund_used_fen=0,
                )
            )
        return people

    def _unquoted(self, connection: Connection, person_id: str) -> Unquoted:
        issued = self.assertions.issue(
            connection,
            terminal_id=CALLER.terminal_id,
            session_id=str(uuid7()),
            person_id=person_id,
            purpose="PURPOSE_VERIFY",
            business_type=OUTPATIENT,
            amount_limit_fen=50_000,
            pin_free_limit_fen=50_000,
            staff_may_confirm=False,
            proves_holder=True,
        )
        transaction_id = str(uuid7())
        bill = Bill(
            bill_number=f"B-{transaction_id[-12:]}", business_type=OUTPATIENT, total_fen=8_320, not_covered_fen=320
        )
        return Unquoted(transaction_id=transaction_id, bill=bill, face=FaceAuthorization(assertion=issued.token))

    async def settle_all(
        self,
        engine: Engine,
        unquoted: Sequence[Unquoted],
        *,
        in_flight: int,
        when_quoted: Callable[[], None] = lambda: None,
    ) -> float:
        """Quote and then settle every job; return settlements per second, quotes not timed."""
        with self.open(engine) as (desk, _):
            quotes = await _side_by_side(lambda job: desk.pre_settle(CALLER, job.bill, job.face), unquoted, in_flight)
            when_quoted()
            jobs = list(zip(unquoted, quotes, strict=True))
            started = time.perf_counter()
            await _side_by_side(
                lambda job: desk.settle(
                    CALLER,
                    transaction_id=job[0].transaction_id,
                    quote_id=job[1].quote_id,
                    bill=job[0].bill,
                    authorization=job[0].face,
                ),
                jobs,
                in_flight,
            )
            return len(jobs) / (time.perf_counter() - started)


async def _side_by_side(
    ask: Callable[[Asked], Coroutine[Any, Any, Answered]], everything: Sequence[Asked], in_flight: int
) -> list[Answered]:
    """Ask everything, `in_flight` at a time, and return the answers in order."""
    waiting = iter(enumerate(everything))
    answers: dict[int, Answered] = {}

    async def terminal() -> None:
        for number, asked in waiting:
            answers[number] = await ask(asked)

    await asyncio.gather(*(terminal() for _ in range(in_flight)))
    return [answers[number] for number in range(len(everything))]


Statement = tuple[str, tuple[Any, ...]]


class Recorder:
    """Notes what reaches the driver's cursor, one list for each transaction of the path."""

    def __init__(self) -> None:
        self.transactions: list[list[Statement]] = []
        self._current: list[Statement] | None = None

    def note(self, sql: str, parameters: Sequence[Any]) -> None:
        """Take one statement; what the group commit adds itself marks where a transaction begins and ends."""
        if sql.startswith("SAVEPOINT"):
            self._current = []
        elif sql.startswith("RELEASE") and self._current is not None:
            self.transactions.append(self._current)
            self._current = None
        elif self._current is not None:
            self._current.append((sql, tuple(parameters)))

    def engine(self, path: Path) -> Engine:
        """Open a database whose cursors are listened to."""
        recorder = self

        class Cursor(sqlite3.Cursor):
            def execute(self, sql: str, parameters: Any = ()) -> "Cursor":  # noqa: ANN401 - as the driver takes it
                recorder.note(sql, parameters)
                super().execute(sql, parameters)
                return self

        class Recorded(sqlite3.Connection):
            def cursor(self, factory: Any = Cursor) -> Any:  # noqa: ANN401 - as the driver declares it
                return super().cursor(factory)

        engine = open_engine(f"sqlite:///{path}")

        @event.listens_for(engine, "do_connect")
        def listen(_dialect: object, _record: object, _arguments: object, options: dict[str, Any]) -> None:
            options["factory"] = Recorded

        return engine


def bare(path: Path, transactions: Sequence[Sequence[Statement]]) -> float:
    """Run recorded transactions through bare sqlite3, one commit each, and return transactions per second."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "wal_autocheckpoint=4000"):
            connection.execute(f"PRAGMA {pragma}")
        execute = connection.execute
        started = time.perf_counter()
        for statements in transactions:
            execute("BEGIN IMMEDIATE")
            for sql, parameters in statements:
                execute(sql, parameters).fetchall()
            execute("COMMIT")
        return len(transactions) / (time.perf_counter() - started)


def measure(quick: bool) -> Mapping[str, object]:  # noqa: FBT001 - as bench/run.py calls every measurement
    """Return the ratio, both rates, and how many statements one settlement takes."""
    return asyncio.run(_measure(settlements=600 if quick else 3_000, rounds=3 if quick else 7))


async def _measure(*, settlements: int, rounds: int) -> dict[str, object]:
    world = World()
    # Beside the work, not in the system's temporary folder: that one may be memory, where a commit costs nothing.
    here = Path.cwd() if os.access(Path.cwd(), os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=here) as name:
        folder = Path(name)
        prepared = folder / "prepared.db"
        jobs = await world.prepare(prepared, settlements)

        def fresh(of: Path = prepared) -> Path:
            path = folder / f"{secrets.token_hex(8)}.db"
            shutil.copyfile(of, path)
            return path

        recorder, recorded, quoted = Recorder(), fresh(), folder / "quoted.db"

        def begin_recording() -> None:
            with closing(sqlite3.connect(recorded)) as source, closing(sqlite3.connect(quoted)) as target:
                source.backup(target)
            recorder.transactions.clear()

        await world.settle_all(recorder.engine(recorded), jobs, in_flight=1, when_quoted=begin_recording)
        ours, yardstick = [], []
        for _ in range(rounds):
            yardstick.append(bare(fresh(quoted), recorder.transactions))
            ours.append(await world.settle_all(open_engine(f"sqlite:///{fresh()}"), jobs, in_flight=IN_FLIGHT))
    return {
        "settle_commit_ratio": round(max(ours) / max(yardstick), 3),
        "settlements_per_second": round(max(ours)),
        "settle_bare_per_second": round(max(yardstick)),
        "settle_statements": len(recorder.transactions[0]),
    }


if __name__ == "__main__":
    print(json.dumps(measure("--quick" in sys.argv)))
