"""A face desk at one window of a hospital: real database and rules, made-up people, verdicts by hand."""

import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from sqlalchemy import Connection, Select, select

from device_registry.audit.log import AuditLog
from device_registry.fleet.places import Place, SitePlaces
from device_registry.model import SiteKind
from device_registry.tables import audit_log, sites
from face_pipeline import Assurance, FacePolicy, LivenessSummary, Modality, Outcome, Template, Verdict
from face_pipeline.liveness.cues import Cue, CueReading, CueSays, Reason
from face_pipeline.template_keys import HeldKeys
from server import convert
from server.caller import Caller
from server.credentials import Assertions, InsuredPerson, People
from server.credentials.activating import ActivationAssertions
from server.credentials.guardians import Guardians
from server.credentials.register import Register
from server.credentials.register.local import LocalRegister
from server.credentials.staff import StaffAssertions
from server.faces.attendance import Attendance
from server.faces.consents import ConsentBounds
from server.faces.desk import Claimant, FaceDesk
from server.faces.practitioners import Practitioners
from server.faces.rules import FaceRules, Limits, SessionRule, Similarity
from server.faces.rules_file import rule_book_from
from server.store.unit_of_work import UnitOfWork
from shualian.terminal.v1 import face_pb2, types_pb2
from tests.support.clock import Clock
from tests.support.database import Database, a_unit_of_work
from tests.support.money import a_caller, an_id, an_id_number

CODE, DOCTOR_NAME = "D330100004217", "林若兰"
HOSPITAL = Place(latitude=30.25, longitude=120.15, radius_metres=300)
OUTPATIENT = types_pb2.BUSINESS_TYPE_OUTPATIENT_SETTLEMENT
ELSEWHERE = "01980000-0000-7000-8000-00000000b002"
METRES_NORTH = 1 / 111_195  # degrees


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A desk at one window of a hospital, with one insured person and one practitioner."""

    desk: FaceDesk
    rules: FaceRules
    unit_of_work: UnitOfWork
    clock: Clock
    caller: Caller
    people: People
    practitioners: Practitioners
    staff_assertions: StaffAssertions
    activations: ActivationAssertions
    person: InsuredPerson
    doctor_id: str

    def start(self, **changes: object) -> face_pb2.Start:
        """Return a valid start."""
        start = face_pb2.Start(
            purpose=face_pb2.PURPOSE_VERIFY,
            business_type=OUTPATIENT,
            consent=face_pb2.Consent(
                granted=True, text_version="2026-05", given_at=convert.timestamp(self.clock.now())
            ),
            camera=face_pb2.CameraAbilities(width_px=640, height_px=480, frames_per_second=12),
        )
        start.MergeFrom(face_pb2.Start(**changes))  # type: ignore[arg-type]  # by name
        return start

    def rule(self, start: face_pb2.Start, **changes: object) -> SessionRule:
        """Return what the shipped rules ask of it."""
        values: dict[str, object] = {"amount_fen": 12_000, "beside": frozenset[Modality](), "cannot_move": False}
        return self.rules.for_start(
            business_type=int(start.business_type),
            purpose=start.purpose,
            **{**values, **changes},  # type: ignore[arg-type]  # by name
        )

    async def rows(self, query: Select[*tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Return what a query finds."""
        return await self.unit_of_work.read(lambda connection: [tuple(row) for row in connection.execute(query)])

    async def audited(self, action: str) -> list[tuple[str, dict[str, object]]]:
        """Return reason and details of the entries of one action."""
        query = select(audit_log.c.reason, audit_log.c.details).where(audit_log.c.action == action)
        found = await self.unit_of_work.read(lambda connection: connection.execute(query).all())
        return [(row.reason, json.loads(row.details)) for row in found]

    async def stands(self, place: Place | None, site_id: str | None = None) -> None:
        """Write down where a site stands."""
        places = SitePlaces(audit=AuditLog(now=self.clock.now))
        await self.unit_of_work.write(
            lambda connection: places.settle(
                connection,
                site_id=site_id or self.caller.site_id,
                place=place,
                opening_hours=None,
                actor="operator:lin",
            )
        )


def a_template(seed: int = 1) -> Template:
    numbers = np.random.default_rng(seed).normal(size=640).astype(np.float32)
    return Template(embedding=numbers / np.linalg.norm(numbers), model_id="made-up")


@asynccontextmanager
async def a_window(database: Database, *, register: Register | None = None) -> AsyncIterator[Window]:
    clock, caller = Clock(), a_caller()
    audit = AuditLog(now=clock.now)
    index_key, data_key, templates = secrets.token_bytes(32), secrets.token_bytes(32), HeldKeys(secrets.token_bytes(32))
    key, lifetime = generate_private_key(SECP256R1()), timedelta(seconds=120)
    people = People(now=clock.now, index_key=index_key, data_key=data_key, template_keys=templates, audit=audit)
    staff = Practitioners(now=clock.now, index_key=index_key, data_key=data_key, template_keys=templates, audit=audit)
    activations = ActivationAssertions(
        now=clock.now,
        signing_key=key,
        key_id="test",
        lifetime=lifetime,
        data_key=data_key,
        template_keys=templates,
    )
    staff_assertions_ = StaffAssertions(now=clock.now, signing_key=key, key_id="test", lifetime=lifetime)
    rules = FaceRules(
        book=rule_book_from({}),
        bound=Limits(amount_limit_fen=5_000_000, pin_free_limit_fen=50_000, staff_may_confirm=True),
        similarity={Similarity.TO_PAY: 0.399, Similarity.LOW_VALUE: 0.37},
        deadline=timedelta(seconds=20),
    )

    def furnish(connection: Connection) -> tuple[InsuredPerson, str]:
        for site_id in (caller.site_id, ELSEWHERE):
            connection.execute(
                sites.insert().values(
                    site_id=site_id, name="Willow Bridge", region="330100", kind=SiteKind.HOSPITAL, added_at=clock.now()
                )
            )
        person = people.add(
            connection, name="苏晓", id_number=an_id_number(), region="330100", card_number=None, pin=None,
            template=a_template(), actor="operator:lin",
        )  # fmt: skip
        doctor = staff.add(
            connection, code=CODE, name=DOCTOR_NAME, site_id=caller.site_id, template=a_template(2),
            actor="operator:lin",
        )  # fmt: skip
        return person, doctor.practitioner_id

    async with a_unit_of_work(database.engine) as unit_of_work:
        person, doctor_id = await unit_of_work.write(furnish)
        yield Window(
            desk=FaceDesk(
                unit_of_work=unit_of_work,
                people=people,
                attendance=Attendance(
                    unit_of_work=unit_of_work,
                    practitioners=staff,
                    audit=audit,
                    tolerance_metres=rules.tolerance_metres,
                ),
                assertions=Assertions(now=clock.now, signing_key=key, key_id="test", lifetime=lifetime),
                staff_assertions=staff_assertions_,
                activations=activations,
                register=register
                or LocalRegister(
                    unit_of_work=unit_of_work, people=people, guardians=Guardians(now=clock.now, audit=audit)
                ),
                audit=audit,
                now=clock.now,
                consent=ConsentBounds(
                    age_max=timedelta(minutes=5), ahead_max=timedelta(seconds=30), texts=frozenset({"2026-05"})
                ),
            ),
            rules=rules,
            unit_of_work=unit_of_work,
            clock=clock,
            caller=caller,
            people=people,
            practitioners=staff,
            staff_assertions=staff_assertions_,
            activations=activations,
            person=person,
            doctor_id=doctor_id,
        )


def a_verdict(outcome: Outcome = Outcome.MATCHED, assurance: Assurance = Assurance.COLOUR, *reasons: Reason) -> Verdict:
    return Verdict(
        outcome=outcome,
        assurance=assurance,
        liveness=LivenessSummary(
            passive_median=0.91234, challenge_passed=True, continuity=0.8, reasons=tuple(it.value for it in reasons)
        ),
        cues=(
            CueReading(name=Cue.PASSIVE, says=CueSays.FOR, value=0.912345, threshold=0.5),
            CueReading(name=Cue.CHALLENGE, says=CueSays.FOR, value=None, threshold=None),
        ),
        similarity=0.654321,
        policy=FacePolicy(),
        model_versions={"embedding": "made-up@1"},
        frames_used=17,
        stage_ms={},
    )


def a_session(window: Window) -> str:
    return an_id(window.clock.now())


async def decided(
    window: Window, start: face_pb2.Start, claimant: Claimant, verdict: Verdict, rule: SessionRule | None = None
) -> face_pb2.Decision:
    return await window.desk.decided(
        window.caller, a_session(window), start, claimant, verdict, rule=rule or window.rule(start)
    )
