"""A practitioner signs with their face, at their own site and nowhere else."""

import grpc
import pytest
from sqlalchemy import Connection, text

from device_registry.fleet.places import Place
from shualian.terminal.v1 import face_pb2, types_pb2
from tests.support.conversation import face_call
from tests.support.platform import (
    ACTOR,
    EnrolledTerminal,
    RunningPlatform,
    a_platform,
    an_enrolled_terminal,
    faces,
    refusal,
)
from tests.support.visitors import LIN, MA, Visitor, face_session, start

CODE = "D330100004217"
HOSPITAL = Place(latitude=30.25, longitude=120.15, radius_metres=300)


@pytest.fixture
async def terminal(running: RunningPlatform) -> EnrolledTerminal:
    """A terminal at the hospital where Lin works."""
    terminal = await an_enrolled_terminal(running)
    template, site_id, domain = faces().enroll(LIN.jpeg), terminal.terminal.site_id, running.domain

    def write(connection: Connection) -> None:
        domain.places.settle(connection, site_id=site_id, place=HOSPITAL, opening_hours=None, actor=ACTOR)
        domain.practitioners.add(connection, code=CODE, name=LIN.name, site_id=site_id, template=template, actor=ACTOR)

    await running.write(write)
    return terminal


def a_round(*, latitude: float = HOSPITAL.latitude, code: str = CODE) -> face_pb2.AuthenticateRequest:
    request = start(LIN)
    request.start.purpose = face_pb2.PURPOSE_PRACTITIONER
    request.start.ClearField("claimed_identity")
    request.start.practitioner_code = code
    request.start.location.CopyFrom(types_pb2.Location(latitude=latitude, longitude=HOSPITAL.longitude, accuracy_m=20))
    return request


async def test_a_practitioner_is_matched_with_their_own_template_and_pays_nothing(terminal: EnrolledTerminal) -> None:
    decision = (await face_session(terminal, claims=LIN, shows=LIN, opens=a_round())).decision

    assert decision.outcome == face_pb2.DECISION_OUTCOME_MATCHED
    assert decision.person.name == "林*"
    assert decision.assertion
    assert decision.amount_limit_fen == 0


@pytest.mark.parametrize(
    ("code", "shows"), [(CODE, MA), ("D330100009999", LIN)], ids=["another face", "an unknown code"]
)
async def test_another_face_and_an_unknown_code_look_alike(
    terminal: EnrolledTerminal, code: str, shows: Visitor
) -> None:
    decision = (await face_session(terminal, claims=LIN, shows=shows, opens=a_round(code=code))).decision

    assert decision.outcome == face_pb2.DECISION_OUTCOME_NOT_MATCHED
    assert not decision.assertion


async def test_a_practitioner_who_is_elsewhere_is_not_looked_at(
    running: RunningPlatform, terminal: EnrolledTerminal
) -> None:
    async with terminal.channel() as channel:
        call = face_call(channel)
        await call.write(a_round(latitude=HOSPITAL.latitude + 0.1))

        refused = refusal(await call.refused())
        assert refused.code is grpc.StatusCode.PERMISSION_DENIED
        assert refused.reason == "OUTSIDE_GEOFENCE"
    assert running.counted("face_frames_total", result="LOOKED_AT") == 0


async def test_i11_a_terminal_that_is_elsewhere_cannot_fill_the_audit_with_refusals() -> None:
    async with a_platform(face={"failures_per_terminal_max": 2}) as running:
        terminal = await an_enrolled_terminal(running)
        reasons = []
        async with terminal.channel() as channel:
            for number in range(4):
                call = face_call(channel)
                await call.write(a_round(code=f"D33010000000{number}"))
                reasons.append(refusal(await call.refused()).reason)

        assert reasons == ["SITE_PLACE_UNKNOWN"] * 2 + ["FACE_TRIES_SPENT"] * 2
        entries = "SELECT count(*) FROM audit_log WHERE action = 'face.practitioner_elsewhere'"
        assert await running.write(lambda connection: connection.scalar(text(entries))) == 2
