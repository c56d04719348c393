"""The desk, the national insurer and a simulated core in a process of its own: what is lost between them is healed."""

import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tongsuopy.crypto import serialization
from tongsuopy.crypto.asymciphers import ec

from server.credentials.sealing import FieldSeal
from server.settings.insurer import FsiSettings
from server.settlement import Bill, FaceAuthorization, ResolverPolicy, SettlementState
from server.settlement.errors import InsurerRefusedError, OutcomeUnknownError
from server.settlement.insurers.fsi.building import FsiCounts, fsi_insurer, read_fsi
from server.settlement.insurers.fsi.insurer import FsiInsurer
from server.settlement.reconciliation.statements import DifferenceClass, StatementLine, StatementTotal
from tests.support.clock import Clock
from tests.support.core_process import CoreProcess, core_process
from tests.support.database import Database, SqliteDatabase, a_unit_of_work
from tests.support.fsi import HOSPITAL, SEAL_KEY, a_claim, an_fsi
from tests.support.money import Money, a_bill, a_settlement_desk

SHARED = "made-up-secret"
PATIENCE = timedelta(seconds=30)
POLICY = ResolverPolicy(interval=timedelta(seconds=5), backoff_max=timedelta(minutes=1), attempts_max=6)
_HOSPITALS = itertools.count(1)
PROFILES = Path("server/settlement/insurers/fsi/profiles")


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CoreProcess]:
    """Return a core that checks our header signatures."""
    folder = tmp_path_factory.mktemp("core")
    with core_process(folder / "books.db", "--secret-file", str(_secret(folder))) as running:
        yield running


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A desk before the core, and one payment about to be made."""

    money: Money
    insurer: FsiInsurer
    core: CoreProcess
    bill: Bill
    face: FaceAuthorization
    quote_id: str
    transaction_id: str

    async def settle(self) -> int:
        """Pay; return what is left in the account."""
        receipt = await self.money.desk.settle(
            self.money.caller,
            transaction_id=self.transaction_id,
            quote_id=self.quote_id,
            bill=self.bill,
            authorization=self.face,
        )
        return receipt.personal_account_balance_fen

    async def state(self) -> SettlementState:
        """Return where the settlement stands."""
        return (await self.money.desk.get(self.money.caller, self.transaction_id)).state

    async def resolve(self) -> None:
        """Let the engine work once."""
        self.money.clock.advance(timedelta(seconds=30))
        await self.money.resolver(policy=POLICY, insurer=self.insurer, insurer_timeout=PATIENCE).work_off_due()

    def booked(self) -> list[str]:
        """Return the states of this person's settlements in the core's own books."""
        return [row["state"] for row in self.core.books() if row["dev_no"] == self.money.caller.terminal_id]


@asynccontextmanager
async def closed_in_the_end(insurer: FsiInsurer) -> AsyncIterator[None]:
    """Close its line whatever happens."""
    try:
        yield
    finally:
        await insurer.close()


@asynccontextmanager
async def a_line(database: Database, core: CoreProcess, tmp_path: Path) -> AsyncIterator[Line]:
    """Put it together; the core's clock and ours are the same, for it counts days."""
    core.follow()
    async with a_unit_of_work(database.another_engine()) as unit_of_work:
        clock = Clock(datetime.now(UTC))
        insurer = fsi_insurer(
            read_fsi(_settings(core.address, tmp_path), keys_dir=tmp_path),
            unit_of_work=unit_of_work,
            now=lambda: datetime.now(UTC),
            seal=FieldSeal(SEAL_KEY),
            quote_lifetime=timedelta(minutes=10),
            counts=FsiCounts(),
        )
        async with closed_in_the_end(insurer), a_settlement_desk(database.engine, insurer=insurer) as money:
            money.clock.set(clock.now())
            money.desk = money.another_desk(insurer, insurer_timeout=PATIENCE)
            money.caller = replace(money.caller, terminal_id=money.an_id())
            bill, face = a_bill(not_covered_fen=100), await money.a_face()
            quote = await money.a_quote(bill, face)
            assert quote.shares.pooled_fund_fen == 4_110
            yield Line(
                money=money,
                insurer=insurer,
                core=core,
                bill=bill,
                face=face,
                quote_id=quote.quote_id,
                transaction_id=money.an_id(),
            )


async def test_a_bill_is_settled_and_cancelled_at_the_core(
    database: Database, core: CoreProcess, tmp_path: Path
) -> None:
    async with a_line(database, core, tmp_path) as line:
        assert await line.settle() == 295_790
        assert line.booked() == ["SETTLED"]

        await line.money.desk.cancel(
            line.money.caller, transaction_id=line.money.an_id(), settlement_transaction_id=line.transaction_id
        )

        assert line.booked() == ["CANCELLED"]
        assert await line.state() is SettlementState.CANCELLED


async def test_i05_an_answer_that_is_dropped_after_booking_heals_by_itself(
    sqlite_database: SqliteDatabase, core: CoreProcess, tmp_path: Path
) -> None:
    async with a_line(sqlite_database, core, tmp_path) as line:
        core.follow({"fault": "commit_then_drop", "infno": ["2207"], "percent": 100, "count": 1})
        with pytest.raises(OutcomeUnknownError):
            await line.settle()
        assert await line.state() is SettlementState.UNKNOWN

        await line.resolve()

        assert await line.state() is SettlementState.SETTLED
        assert await line.settle() == 295_790
        assert line.booked() == ["SETTLED"]


@pytest.mark.parametrize("fault", ["drop_before", "answer_twice", "garble"])
async def test_i05_whatever_happens_to_the_answer_the_books_end_up_the_same(
    sqlite_database: SqliteDatabase, core: CoreProcess, tmp_path: Path, fault: str
) -> None:
    async with a_line(sqlite_database, core, tmp_path) as line:
        core.follow({"fault": fault, "infno": ["2207"], "percent": 100, "count": 1})
        try:
            await line.settle()
        except OutcomeUnknownError:
            await line.resolve()

        state, booked = await line.state(), line.booked()

    was_lost = fault == "drop_before"
    assert state is (SettlementState.REVERSED if was_lost else SettlementState.SETTLED)
    assert booked == ([] if was_lost else ["SETTLED"])


async def test_a_refusal_of_the_core_is_told_by_its_code(
    sqlite_database: SqliteDatabase, core: CoreProcess, tmp_path: Path
) -> None:
    async with a_line(sqlite_database, core, tmp_path) as line:
        core.follow({"fault": "refuse", "infno": ["2207"], "percent": 100, "infcode": -301, "err_msg": "基金冻结"})

        with pytest.raises(InsurerRefusedError) as error:
            await line.settle()

        assert error.value.code == "-301"
        assert await line.state() is SettlementState.FAILED
        assert line.booked() == []


async def test_i05_a_reversal_overtakes_a_settlement_that_arrives_late(
    sqlite_database: SqliteDatabase, core: CoreProcess, tmp_path: Path
) -> None:
    async with a_line(sqlite_database, core, tmp_path) as line:
        core.follow({"fault": "drop_before", "infno": ["2207"], "percent": 100, "count": 1})
        with pytest.raises(OutcomeUnknownError):
            await line.settle()
        reversal = await line.money.desk.reverse(
            line.money.caller, transaction_id=line.money.an_id(), settlement_transaction_id=line.transaction_id
        )

        assert not reversal.money_moved_back
        assert line.booked() == []
        assert await line.state() is SettlementState.REVERSED


async def test_statements_agree_and_each_difference_is_found_and_named(
    sqlite_database: SqliteDatabase, core: CoreProcess, tmp_path: Path
) -> None:
    async with a_line(sqlite_database, core, tmp_path) as line:
        await line.settle()
        ours = StatementLine(
            transaction_id=line.transaction_id,
            site_id=line.money.caller.site_id,
            business_type=line.bill.business_type,
            stands=True,
            settled_at=line.money.clock.now(),
            total_fen=8_320,
            pooled_fund_fen=4_110,
            personal_account_fen=4_210,
        )
        unknown = replace(ours, transaction_id=line.money.an_id())
        total = StatementTotal(
            site_id=ours.site_id,
            business_type=ours.business_type,
            settlements=1,
            total_fen=8_320,
            pooled_fund_fen=4_110,
            personal_account_fen=4_210,
        )
        day = datetime.fromisoformat(core.books()[-1]["settled_at"]).date()
        statements = line.insurer.statements

        assert await statements.totals_agree(day, [total])
        assert not await statements.totals_agree(day, [replace(total, pooled_fund_fen=4_109)])
        assert not await statements.totals_agree(day, [])
        assert await statements.differences(day, [ours]) == []
        found = [
            await statements.differences(day, lines)
            for lines in ([], [replace(ours, stands=False)], [replace(ours, pooled_fund_fen=1)], [ours, unknown])
        ]

    assert [[(each.difference_class, each.ours_fen, each.theirs_fen) for each in one] for one in found] == [
        [(DifferenceClass.THEIRS_ONLY, None, 8_320)],
        [(DifferenceClass.STATE, 0, 8_320)],
        [(DifferenceClass.AMOUNT, 4_211, 8_320)],
        [(DifferenceClass.OURS_ONLY, 8_320, None)],
    ]
    assert {one[0].transaction_id for one in found[:3]} == {ours.transaction_id}
    assert found[3][0].transaction_id == unknown.transaction_id


async def test_a_province_that_signs_and_encrypts_is_another_profile_and_no_other_code(
    sqlite_database: SqliteDatabase, tmp_path: Path
) -> None:
    ours, theirs = ec.generate_private_key(ec.SM2()), ec.generate_private_key(ec.SM2())
    keys = {
        "institution.pem": _public(ours),
        "core.pem": _private(theirs),
        "our.pem": _private(ours),
        "their.pem": _public(theirs),
    }
    for name, pem in keys.items():
        (tmp_path / name).write_bytes(pem)
        (tmp_path / name).chmod(0o600)
    options = ("--institution-key", str(tmp_path / "institution.pem"), "--core-key", str(tmp_path / "core.pem"))
    secret = ("--secret-file", str(_secret(tmp_path)))
    with core_process(tmp_path / "books.db", *secret, *options, "--sm4") as core:
        settings = _settings(
            core.address,
            tmp_path,
            profile=PROFILES / "example_province.toml",
            private_key=tmp_path / "our.pem",
            core_key=tmp_path / "their.pem",
            app_id="19E179E5DC29C05E65B90CDE57A1C7E5",
        )
        parts = read_fsi(settings, keys_dir=tmp_path)
        async with (
            a_unit_of_work(sqlite_database.engine) as unit_of_work,
            an_fsi(unit_of_work, parts=parts, now=lambda: datetime.now(UTC)) as fsi,
        ):
            shares = (await fsi.insurer.quote(a_claim())).shares
            transaction_id = "01980000-0000-7000-8000-00000000e001"
            await fsi.insurer.settle(transaction_id=transaction_id, claim=a_claim(), quoted=shares)
            assert await fsi.insurer.reverse(transaction_id) is True
        (booked,) = core.books()

    assert booked["state"] == "REVERSED"
    assert booked["msgid"].split("-")[1] == parts.settings.institution_code
    assert {result for _, result in fsi.calls} == {"GOOD"}


def _settings(address: str, folder: Path, **changes: object) -> FsiSettings:
    chosen: dict[str, object] = {"base_url": address, "secret": _secret(folder), "paasid": "shualian-test", **changes}
    return FsiSettings(
        institution_code=f"H9901{next(_HOSPITALS):07}",  # each database counts its own messages
        institution_name=HOSPITAL.name,
        region=HOSPITAL.region,
        **chosen,  # type: ignore[arg-type] # a builder takes what matters by name
    )


def _secret(folder: Path) -> Path:
    path = folder / "secret"
    if not path.exists():
        path.write_text(SHARED)
        path.chmod(0o600)
    return path


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def _public(key: ec.EllipticCurvePrivateKey) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form)
