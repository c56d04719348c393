"""A settlement desk with everything around it: real database, real assertions, real PINs, made-up people."""

import itertools
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from sqlalchemy import Connection, Engine, func, insert, select

from device_registry.audit.log import AuditLog
from face_pipeline.template_keys import HeldKeys
from server.caller import Caller
from server.credentials import Assertions, InsuredPerson, People, Pins
from server.credentials.activation import Credentials
from server.credentials.codes import DynamicCodes
from server.credentials.family import FamilyAccounts
from server.credentials.identity import checksum
from server.credentials.staff import StaffAssertions
from server.settlement import (
    Account,
    AccountKind,
    Authorization,
    Bill,
    FaceAuthorization,
    Ledger,
    Quote,
    Resolver,
    ResolverPolicy,
    SettlementDesk,
    SettlementLimits,
)
from server.settlement.insurers import Insurer
from server.settlement.insurers.local import LocalInsurer, load_rules
from server.settlement.quote import CHINA
from server.settlement.remote import Upstream, upstream_of
from server.settlement.self_pay.cash import Cash
from server.settlement.self_pay.channels import SelfPays
from server.settlement.self_pay.credit import CreditLines
from server.settlement.self_pay.electronic_account import ElectronicAccount
from server.settlement.self_pay.policy import SelfPayPolicy
from server.store.tables.people import face_assertions
from server.store.tables.settlement import benefit_years
from server.store.unit_of_work import UnitOfWork
from tests.support.clock import Clock
from tests.support.database import a_unit_of_work

REGION = "330100"
PIN = "270418"
CARD_NUMBER = "HZ330100042"
PATIENCE = timedelta(seconds=10)
"""With an insurer; a lease on a doubt lasts four times as long, less than the minute after which tests look again."""
OUTPATIENT = 1301
_NUMBERS = itertools.count(1)


def a_bill(**changes: object) -> Bill:
    """Return a valid bill of 83.20 yuan."""
    values: dict[str, object] = {
        "bill_number": f"B-{next(_NUMBERS):05}",
        "business_type": OUTPATIENT,
        "total_fen": 8_320,
        "not_covered_fen": 0,
    }
    return Bill(**{**values, **changes})  # type: ignore[arg-type] # a builder takes what matters by name


def a_caller(**changes: str) -> Caller:
    """Return an admitted face terminal at a hospital of the region."""
    values = {
        "terminal_id": "01980000-0000-7000-8000-00000000a001",
        "site_id": "01980000-0000-7000-8000-00000000b001",
        "region": REGION,
        "terminal_class": "III",
        "request_id": "request-1",
    }
    return Caller(**{**values, **changes})


ANOTHER_TERMINAL = "01980000-0000-7000-8000-00000000a002"


def an_id(at: datetime) -> str:
    """Return a new UUIDv7 made at a moment."""
    milliseconds = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    version_and_variant = 7 << 76 | 2 << 62
    chance = secrets.randbits(74)
    return str(UUID(int=milliseconds << 80 | version_and_variant | chance >> 62 << 64 | chance & ((1 << 62) - 1)))


@dataclass(slots=True, kw_only=True)
class Money:
    """The desk, and what a test may want to touch around it."""

    desk: SettlementDesk
    unit_of_work: UnitOfWork
    engine: Engine
    clock: Clock
    people: People
    assertions: Assertions
    staff_assertions: StaffAssertions
    credentials: Credentials
    codes: DynamicCodes
    family: FamilyAccounts
    pins: Pins
    audit: AuditLog
    ledger: Ledger
    insurer: Insurer
    limits: SettlementLimits
    credit: CreditLines
    self_pays: SelfPays
    person: InsuredPerson
    signing_key: EllipticCurvePrivateKey
    data_key: bytes
    template_keys: HeldKeys
    lifetime: timedelta
    caller: Caller = field(default_factory=a_caller)

    def an_id(self) -> str:
        """Return a new transaction id, made now."""
        return an_id(self.clock.now())

    async def a_face(
        self,
        *,
        amount_limit_fen: int = 5_000_000,
        pin_free_limit_fen: int = 50_000,
        staff_may_confirm: bool = False,
        proves_holder: bool = True,
        pin: str | None = None,
        staff_assertion: str | None = None,
        terminal_id: str | None = None,
        person: InsuredPerson | None = None,
        business_type: int = OUTPATIENT,
        purpose: str = "PURPOSE_VERIFY",
    ) -> FaceAuthorization:
        """Return a fresh assertion, as a face session ends with."""
        issued = await self.unit_of_work.write(
            lambda connection: self.assertions.issue(
                connection,
                terminal_id=terminal_id or self.caller.terminal_id,
                session_id=self.an_id(),
                person_id=(person or self.person).person_id,
                purpose=purpose,
                business_type=business_type,
                amount_limit_fen=amount_limit_fen,
                pin_free_limit_fen=pin_free_limit_fen,
                staff_may_confirm=staff_may_confirm,
                proves_holder=proves_holder,
            )
        )
        return FaceAuthorization(assertion=issued.token, pin=pin, staff_assertion=staff_assertion)

    async def a_quote(self, bill: Bill, authorization: Authorization) -> Quote:
        """Ask for a quote."""
        return await self.desk.pre_settle(self.caller, bill, authorization)

    async def unused_assertions(self) -> int:
        """Return how many assertions are unused."""
        return await self.unit_of_work.read(
            lambda connection: (
                connection.scalar(
                    select(func.count()).select_from(face_assertions).where(face_assertions.c.used_at.is_(None))
                )
                or 0
            )
        )

    async def balance(self, kind: AccountKind, owner: str) -> int:
        """Return what an account holds."""
        return await self.unit_of_work.read(lambda connection: self.ledger.balance(connection, Account(kind, owner)))

    async def paid_to_site(self) -> int:
        """Return what the site is owed for settled bills."""
        return await self.balance(AccountKind.SITE, self.caller.site_id)

    async def books_are_sound(self) -> bool:
        """Walk ledger and audit chain."""
        report = await self.unit_of_work.read(self.ledger.verify)
        chain = await self.unit_of_work.read(self.audit.verify)
        return report.is_sound and chain.broken_at is None

    def resolver(
        self,
        *,
        policy: ResolverPolicy,
        insurer: Insurer | None = None,
        insurer_timeout: timedelta = PATIENCE,
        **callbacks: object,
    ) -> Resolver:
        """Return a resolver over the same database."""
        upstream = self.upstream(insurer or self.insurer, timeout=insurer_timeout, retry_after=policy.interval)
        return Resolver(
            unit_of_work=self.unit_of_work,
            now=self.clock.now,
            upstream=upstream,
            audit=self.audit,
            policy=policy,
            jitter=lambda: 0.0,
            **callbacks,  # type: ignore[arg-type] # passed through by name
        )

    def upstream(
        self,
        insurer: Insurer,
        *,
        unit_of_work: UnitOfWork | None = None,
        timeout: timedelta = PATIENCE,
        retry_after: timedelta = timedelta(seconds=5),
    ) -> Upstream | None:
        """Return who asks an insurer; on another unit of work for another process."""
        return upstream_of(
            insurer,
            unit_of_work=unit_of_work or self.unit_of_work,
            now=self.clock.now,
            audit=self.audit,
            self_pays=self.self_pays,
            timeout=timeout,
            retry_after=retry_after,
        )

    def another_desk(self, insurer: Insurer, *, insurer_timeout: timedelta = PATIENCE) -> SettlementDesk:
        """Return a second desk over the same database: the process after a crash, or another insurer."""
        return SettlementDesk(
            unit_of_work=self.unit_of_work,
            now=self.clock.now,
            people=self.people,
            assertions=self.assertions,
            staff_assertions=self.staff_assertions,
            credentials=self.credentials,
            codes=self.codes,
            family=self.family,
            pins=self.pins,
            insurer=insurer,
            audit=self.audit,
            limits=self.limits,
            self_pays=self.self_pays,
            quote_lifetime=timedelta(minutes=10),
            site_kind=lambda _connection, _site_id: "HOSPITAL",
            insurer_timeout=insurer_timeout,
        )


@asynccontextmanager
async def a_settlement_desk(
    engine: Engine,
    *,
    insurer: Insurer | None = None,
    fund_fen: int = 100_000_000,
    personal_account_fen: int = 5_000,
    deductible_used: bool = True,
    limits: SettlementLimits | None = None,
    credit_policy: SelfPayPolicy | None = None,
) -> AsyncIterator[Money]:
    """Run a desk for the length of a test, with one insured person who has a card, a PIN and some money.

    Args:
        engine: on a fresh, migrated database.
        insurer: the `local` one when None.
        fund_fen: what the pooled fund of the region holds.
        personal_account_fen: what the person's account holds.
        limits: the default ones when None.
        credit_policy: the default one when None.
        deductible_used: start with this year's deductible behind the person, so that the fund pays.
    """
    clock = Clock()
    audit, ledger = AuditLog(now=clock.now), Ledger(now=clock.now)
    data_key, template_keys = secrets.token_bytes(32), HeldKeys(secrets.token_bytes(32))
    people = People(
        now=clock.now,
        index_key=secrets.token_bytes(32),
        data_key=data_key,
        template_keys=template_keys,
        audit=audit,
    )
    signing_key, lifetime = generate_private_key(SECP256R1()), timedelta(seconds=120)
    assertions = Assertions(now=clock.now, signing_key=signing_key, key_id="test", lifetime=lifetime)
    staff_assertions = StaffAssertions(now=clock.now, signing_key=signing_key, key_id="test", lifetime=lifetime)
    credentials = Credentials(now=clock.now, data_key=data_key, audit=audit)
    codes = DynamicCodes(now=clock.now, signing_key=signing_key, key_id="test", lifetime=timedelta(seconds=30))
    family = FamilyAccounts(now=clock.now, zone=CHINA, audit=audit)
    async with a_unit_of_work(engine) as unit_of_work:
        pins = Pins(
            unit_of_work=unit_of_work,
            now=clock.now,
            data_key=data_key,
            attempts_max=3,
            lock_for=timedelta(minutes=30),
        )
        insurer = insurer or LocalInsurer(rules=load_rules(), ledger=ledger, now=clock.now, zone=CHINA)
        credit = CreditLines(
            ledger=ledger, audit=audit, now=clock.now, zone=CHINA, policy=credit_policy or SelfPayPolicy()
        )

        def furnish(connection: Connection) -> InsuredPerson:
            person = people.add(
                connection,
                name="苏晓",
                id_number=an_id_number(),
                region=REGION,
                card_number=CARD_NUMBER,
                pin=PIN,
                template=None,
                actor="operator:test",
            )
            credentials.activate(
                connection, person_id=person.person_id, identity_digest=b"0" * 32, actor="operator:test", request_id=""
            )
            if fund_fen:
                fund = Account(AccountKind.POOLED_FUND, REGION)
                ledger.fund(connection, fund, amount_fen=fund_fen, reference="opening")
            if personal_account_fen:
                own = Account(AccountKind.PERSON, person.person_id)
                ledger.fund(connection, own, amount_fen=personal_account_fen, reference=person.person_id)
            return person

        person = await unit_of_work.write(furnish)
        money = Money(
            desk=None,  # type: ignore[arg-type] # set below: it needs the rest of this record
            unit_of_work=unit_of_work,
            engine=engine,
            clock=clock,
            people=people,
            assertions=assertions,
            staff_assertions=staff_assertions,
            credentials=credentials,
            codes=codes,
            family=family,
            pins=pins,
            audit=audit,
            ledger=ledger,
            insurer=insurer,
            limits=limits or SettlementLimits(),
            credit=credit,
            self_pays=SelfPays(Cash(), ElectronicAccount(ledger=ledger), credit),
            person=person,
            signing_key=signing_key,
            data_key=data_key,
            template_keys=template_keys,
            lifetime=lifetime,
        )
        money.desk = money.another_desk(insurer)
        if deductible_used and insurer.is_in_house:
            await _use_up_deductible(money)
        try:
            yield money
        finally:
            await money.desk.drain()
            pins.close()


def an_id_number() -> str:
    """Return a made-up ID number with a good checksum; the region code does not exist."""
    digits = f"99000019{50 + next(_NUMBERS) % 50}0101{next(_NUMBERS) % 1000:03}"
    return digits + checksum(digits)


async def _use_up_deductible(money: Money) -> None:
    """Write the year as it is after the deductible; as if earlier bills had been paid from the pocket."""
    await money.unit_of_work.write(
        lambda connection: connection.execute(
            insert(benefit_years).values(
                person_id=money.person.person_id,
                benefit_year=money.clock.now().year,
                deductible_used_fen=60_000,
                eligible_used_fen=0,
                fund_used_fen=0,
            )
        )
    )
