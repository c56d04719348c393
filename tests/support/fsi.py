"""The national insurer for tests: made-up institution and people, a scripted core over real HTTP, the insurer on it."""

import asyncio
import itertools
import json
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from server.credentials.sealing import FieldSeal
from server.settings.insurer import FsiSettings
from server.settlement.insurers import Claim, Entitlement, EntitlementKind
from server.settlement.insurers.fsi.building import FsiCounts, FsiParts, fsi_insurer
from server.settlement.insurers.fsi.envelope import Institution
from server.settlement.insurers.fsi.institutions import Institutions
from server.settlement.insurers.fsi.insurer import FsiInsurer
from server.settlement.insurers.fsi.profile import Profile
from server.settlement.insurers.fsi.records import Records, Visit, VisitState
from server.settlement.insurers.fsi.signing import Secrets
from server.settlement.model import Shares
from server.store.unit_of_work import UnitOfWork
from tests.support.clock import Clock
from tests.support.database import Database, a_unit_of_work
from tests.support.money import a_bill, an_id

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
HOSPITAL = Institution(code="H99010000001", name="示例市第一人民医院", region="990100")
SECRETS = Secrets(paasid="shualian-test", secret="made-up-secret", app_id="19E179E5DC29C05E65B90CDE57A1C7E5")
SEAL_KEY = bytes(range(32))
TOKEN = "9e" * 20
PERSON = "01980000-0000-7000-8000-00000000c001"
TERMINAL = "01980000-0000-7000-8000-00000000a001"
PSN_NO = "990000000000000042"


def an_entitlement(**changes: Any) -> Entitlement:  # noqa: ANN401 - a builder takes what matters by name
    """Return a credential that was shown."""
    return replace(Entitlement(kind=EntitlementKind.CREDENTIAL, number=TOKEN, evidence_sha256="ab" * 32), **changes)


def a_claim(**changes: Any) -> Claim:  # noqa: ANN401 - as above
    """Return a claim of 83.20 yuan at the hospital."""
    claim = Claim(
        person_id=PERSON,
        payer_id=PERSON,
        person_region="990100",
        terminal_id=TERMINAL,
        site_id="01980000-0000-7000-8000-00000000b001",
        site_region="990100",
        site_kind="HOSPITAL",
        benefit_year=2026,
        bill=a_bill(bill_number="B-1", not_covered_fen=100),
        entitlement=an_entitlement(),
    )
    return replace(claim, **changes)


def a_visit(**changes: Any) -> Visit:  # noqa: ANN401 - as above
    """Return the visit of that claim, as it was quoted."""
    visit = Visit(
        visit_id="01980000-0000-7000-8000-00000000d001",
        state=VisitState.TAKEN,
        person_id=PERSON,
        institution=HOSPITAL.code,
        terminal_id=TERMINAL,
        business_type=1301,
        psn_no=PSN_NO,
        insuplc_admdvs="990100",
        insutype="310",
        mdtrt_id="M990100000000000001",
        ipt_otp_no="0198000000007000800000000000d0",
        total_fen=8_320,
        not_covered_fen=100,
        pooled_fund_fen=4_110,
        personal_account_fen=4_000,
        made_at=NOW,
    )
    return replace(visit, **changes)


def setlinfo(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - as above
    """Return what a core says of that visit: 41.10 from the fund, 40.00 from the account, 2.10 in cash."""
    return {
        "psn_no": PSN_NO,
        "mdtrt_id": "M990100000000000001",
        "setl_id": "S990100000000000001",
        "setl_time": "2026-03-02 16:00:01",
        "medfee_sumamt": "83.20",
        "fund_pay_sumamt": "41.10",
        "hifp_pay": "41.10",
        "psn_part_amt": "42.10",
        "acct_pay": "40.00",
        "psn_cash_pay": "2.10",
        "balc": "2960.00",
        **changes,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """How the scripted core treats one message."""

    output: dict[str, Any] | None = None
    """A good answer with this; None: the usual one."""
    infcode: str | int = 0
    err_msg: str = ""
    raw: bytes | None = None
    """In the place of an answer."""
    status: int = 200
    drops: bool = False
    """Hangs up without an answer."""
    hangs: bool = False
    """Says nothing until the other end leaves."""
    waits: asyncio.Event | None = None
    """Answers only when this happens."""
    drips: bool = False
    """Begins an answer, and sends a byte of it now and then, without end."""
    twice: bool = False
    """Says it twice in one breath."""
    envelope: dict[str, Any] = field(default_factory=dict)
    """Fields of the answer that are other than usual; None leaves one out."""


class ScriptedCore:
    """Answers each message as the script says, and remembers them all."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.connections = 0
        self.arrived = asyncio.Event()
        """Set with the first message that is left hanging, or waiting."""
        self._script: defaultdict[str, deque[Step]] = defaultdict(deque)
        self._numbers = itertools.count(1)
        self._mdtrt = itertools.count(1)
        self._handlers: set[asyncio.Task[None]] = set()

    def script(self, infno: str, *steps: Step) -> None:
        """Treat the next messages of a kind so; then as usual."""
        self._script[infno].extend(steps)

    def sent(self, infno: str) -> list[dict[str, Any]]:
        """Return the messages of one kind."""
        return [message for message in self.messages if message["infno"] == infno]

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Listen; return the address."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.close()
            handlers = tuple(self._handlers)
            for handler in handlers:
                handler.cancel()
            await asyncio.gather(*handlers, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        self.connections += 1
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                while await self._exchange(reader, writer):
                    pass
        finally:
            self._handlers.discard(task)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length: ")[1].split("\r\n")[0])
        message: dict[str, Any] = json.loads(await reader.readexactly(length))
        self.messages.append(message)
        waiting = self._script[message["infno"]]
        step = waiting.popleft() if waiting else Step()
        if step.hangs or step.waits is not None:
            self.arrived.set()
        if step.hangs:
            await reader.read(1)
        if step.waits is not None:
            await step.waits.wait()
        if step.drips:
            await self._drip(writer)
        if step.drops or step.hangs or step.drips:
            return False
        body = step.raw if step.raw is not None else self._answer(message, step)
        answer = b"HTTP/1.1 %d OK\r\ncontent-length: %d\r\n\r\n" % (step.status, len(body)) + body
        writer.write(answer * (2 if step.twice else 1))
        await writer.drain()
        return True

    @staticmethod
    async def _drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    def _answer(self, message: dict[str, Any], step: Step) -> bytes:
        output = step.output if step.output is not None else self._usual(message)
        said = {
            "infcode": step.infcode,
            "inf_refmsgid": f"99010020260302160000{next(self._numbers):010}",
            "refmsg_time": "20260302160000000",
            "respond_time": "20260302160000001",
            "err_msg": step.err_msg,
            "output": output if step.infcode in {0, "0"} else None,
            **step.envelope,
        }
        return json.dumps({name: value for name, value in said.items() if value is not None}).encode()

    def _usual(self, message: dict[str, Any]) -> dict[str, Any]:
        data = next(iter(message["input"].values()))
        match message["infno"]:
            case "9001":
                return {"signinoutb": {"sign_time": "2026-03-02 16:00:00", "sign_no": f"S{next(self._numbers)}"}}
            case "1101":
                insurance = {"insutype": "310", "psn_insu_stas": "1", "insuplc_admdvs": "990100", "balc": "3000.00"}
                return {"baseinfo": {"psn_no": PSN_NO, "psn_name": "模拟甲"}, "insuinfo": [insurance]}
            case "2201":
                return {"data": {"mdtrt_id": f"M{next(self._mdtrt)}", "psn_no": PSN_NO}}
            case "2206" | "2207" | "5203" | "2101" | "2102":
                settled = setlinfo(mdtrt_id=data.get("mdtrt_id") or "MP1")
                return {"setlinfo": settled, "setldetail": []}
            case _:
                return {}


NOTHING = Step(output={"setlinfo": None})
"""A query's answer: there is nothing."""
UNDONE = Step(output={"setlinfo": setlinfo(mdtrt_id="M1", refd_setl_flag="1")})
"""A query's answer: it was undone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fsi:
    """An insurer, and what a test may want to touch around it."""

    insurer: FsiInsurer
    core: ScriptedCore
    clock: Clock
    unit_of_work: UnitOfWork
    records: Records
    calls: list[tuple[str, str]]
    """Each try: infno and result."""
    disagreements: list[str]

    async def quoted(self) -> tuple[str, Shares]:
        """Quote the claim; return a new transaction's id and the shares."""
        return an_id(self.clock.now()), (await self.insurer.quote(a_claim())).shares

    async def settle(self, transaction_id: str, shares: Shares) -> int:
        """Settle the claim; return what is left in the account."""
        booking = await self.insurer.settle(transaction_id=transaction_id, claim=a_claim(), quoted=shares)
        return booking.personal_account_balance_fen


def parts_for(address: str, *, profile: Profile | None = None, secrets: Secrets = SECRETS, **settings: Any) -> FsiParts:  # noqa: ANN401 - as above
    """Return what the insurer is built from."""
    chosen: dict[str, Any] = {
        "base_url": address,
        "answer_timeout": timedelta(seconds=20),
        "retry_pause": timedelta(),
        **settings,
    }
    return FsiParts(
        settings=FsiSettings(institution_code=HOSPITAL.code, institution_name=HOSPITAL.name, **chosen),
        profile=profile or Profile(),
        secrets=secrets,
        institutions=Institutions(HOSPITAL, {}),
    )


@asynccontextmanager
async def an_fsi(
    unit_of_work: UnitOfWork,
    *,
    core: ScriptedCore | None = None,
    now: Callable[[], datetime] | None = None,
    parts: FsiParts | None = None,
    **settings: Any,  # noqa: ANN401 - as above
) -> AsyncIterator[Fsi]:
    """Run an insurer before a scripted core."""
    core, clock = core or ScriptedCore(), Clock(NOW)
    calls: list[tuple[str, str]] = []
    disagreements: list[str] = []
    profile = settings.get("profile") or Profile()
    async with core.listening() as address:
        insurer = fsi_insurer(
            parts or parts_for(address, **settings),
            unit_of_work=unit_of_work,
            now=now or clock.now,
            seal=FieldSeal(SEAL_KEY),
            quote_lifetime=timedelta(minutes=10),
            counts=FsiCounts(
                on_call=lambda infno, result, _seconds: calls.append((infno, result)),
                on_disagreement=disagreements.append,
            ),
        )
        try:
            yield Fsi(
                insurer=insurer,
                core=core,
                clock=clock,
                unit_of_work=unit_of_work,
                records=Records(now=clock.now, seal=FieldSeal(SEAL_KEY), msgid=profile.msgid),
                calls=calls,
                disagreements=disagreements,
            )
        finally:
            await insurer.close()


@asynccontextmanager
async def a_running_fsi(database: Database, **settings: Any) -> AsyncIterator[Fsi]:  # noqa: ANN401 - as above
    """Run an insurer on a database."""
    async with a_unit_of_work(database.engine) as unit_of_work, an_fsi(unit_of_work, **settings) as fsi:
        yield fsi
