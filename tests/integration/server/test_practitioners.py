"""A practitioner signs with face and place: at their own site alone, and for no money."""

from collections.abc import Callable

import pytest
from sqlalchemy import Connection, select

from face_pipeline import Outcome
from server.faces.errors import (
    OutsideGeofenceError,
    PractitionerExistsError,
    PractitionerUnknownError,
    SitePlaceUnknownError,
)
from server.store.tables.people import consents, face_assertions
from server.store.tables.practitioners import practitioner_templates, practitioners, staff_assertions
from shualian.terminal.v1 import face_pb2, types_pb2
from tests.support.database import Database
from tests.support.face_window import (
    CODE,
    DOCTOR_NAME,
    ELSEWHERE,
    HOSPITAL,
    METRES_NORTH,
    OUTPATIENT,
    Window,
    a_session,
    a_template,
    a_verdict,
    decided,
)


def a_round(window: Window, metres_north: float, accuracy_m: float = 20, code: str = CODE) -> face_pb2.Start:
    """Return the start of a practitioner at a terminal that says it stands so far from the middle of the site."""
    return window.start(
        purpose=face_pb2.PURPOSE_PRACTITIONER,
        practitioner_code=code,
        location=types_pb2.Location(
            latitude=HOSPITAL.latitude + metres_north * METRES_NORTH,
            longitude=HOSPITAL.longitude,
            accuracy_m=accuracy_m,
        ),
    )


async def test_a_practitioner_at_their_site_signs_and_is_told_no_amount(window: Window) -> None:
    await window.stands(HOSPITAL)
    start, session_id = a_round(window, metres_north=250), a_session(window)

    claimant = await window.desk.consented(window.caller, session_id, start)
    decision = await window.desk.decided(
        window.caller, session_id, start, claimant, a_verdict(), rule=window.rule(start)
    )

    assert claimant.template is not None
    assert decision.person == face_pb2.MaskedPerson(name="林**")
    assert (decision.amount_limit_fen, decision.pin_free_limit_fen, decision.staff_may_confirm) == (0, 0, False)
    claims = await window.unit_of_work.read(
        lambda connection: window.staff_assertions.check(
            connection, decision.assertion, terminal_id=window.caller.terminal_id, business_type=int(OUTPATIENT)
        )
    )
    assert claims.practitioner_id == window.doctor_id
    assert await window.rows(select(face_assertions)) == []
    ((session, person),) = await window.rows(select(consents.c.session_id, consents.c.person_id))
    assert (session, person) == (session_id, None)


@pytest.mark.parametrize(
    ("metres_north", "accuracy_m", "is_inside"),
    [
        (0, 0, True),
        (299, 100, True),  # at the wall, indoors
        (379, 20, True),
        (385, 20, False),
        (0, 401, False),  # somewhere in town
        (50_000, 49_900, False),  # nobody knows, but it could be
    ],
)
async def test_inside_is_where_the_place_and_its_doubt_both_fit(
    window: Window, metres_north: float, accuracy_m: float, *, is_inside: bool
) -> None:
    await window.stands(HOSPITAL)
    start = a_round(window, metres_north, accuracy_m)

    if is_inside:
        assert (await window.desk.consented(window.caller, a_session(window), start)).practitioner is not None
        return
    with pytest.raises(OutsideGeofenceError):
        await window.desk.consented(window.caller, a_session(window), start)
    ((reason, details),) = await window.audited("face.practitioner_elsewhere")
    assert reason == "OUTSIDE_GEOFENCE"
    assert set(details) == {"metres_beyond"}  # how far; where, the audit does not know
    assert await window.rows(select(consents)) == []


async def test_where_nobody_said_where_the_site_stands_no_practitioner_confirms(window: Window) -> None:
    with pytest.raises(SitePlaceUnknownError):
        await window.desk.consented(window.caller, a_session(window), a_round(window, 0))

    assert [reason for reason, _ in await window.audited("face.practitioner_elsewhere")] == ["SITE_PLACE_UNKNOWN"]


async def test_an_unknown_code_and_another_sites_practitioner_look_alike(window: Window) -> None:
    await window.stands(HOSPITAL)
    await window.unit_of_work.write(
        lambda connection: window.practitioners.add(
            connection,
            code="D330100009999",
            name="某乙",
            site_id=ELSEWHERE,
            template=a_template(3),
            actor="operator:lin",
        )
    )

    for code in ("D330100009999", "D000000000000"):
        start = a_round(window, 0, code=code)
        claimant = await window.desk.consented(window.caller, a_session(window), start)
        decision = await decided(window, start, claimant, a_verdict(Outcome.NOT_MATCHED))
        assert (claimant.practitioner, claimant.template) == (None, None)
        assert not decision.assertion


async def test_a_practitioner_is_removed_with_the_face_and_may_come_back(window: Window) -> None:
    remove: Callable[[Connection], object] = lambda connection: window.practitioners.remove(  # noqa: E731 - said twice
        connection, window.doctor_id, actor="operator:lin", reason="left the house"
    )

    await window.unit_of_work.write(remove)
    with pytest.raises(PractitionerUnknownError):
        await window.unit_of_work.write(remove)
    listed = await window.unit_of_work.read(lambda connection: window.practitioners.of_site(connection, None))
    again = await window.unit_of_work.write(
        lambda connection: window.practitioners.add(
            connection, code=CODE, name=DOCTOR_NAME, site_id=window.caller.site_id, template=a_template(2),
            actor="operator:lin",
        )
    )  # fmt: skip

    assert listed == []
    assert again.practitioner_id != window.doctor_id
    assert len(await window.rows(select(practitioners))) == 2  # who confirmed what stays known
    assert len(await window.rows(select(practitioner_templates))) == 1
    assert [reason for reason, _ in await window.audited("practitioner.removed")] == ["left the house"]
    assert await window.rows(select(staff_assertions)) == []


async def test_a_code_belongs_to_one_practitioner_in_service(window: Window) -> None:
    with pytest.raises(PractitionerExistsError):
        await window.unit_of_work.write(
            lambda connection: window.practitioners.add(
                connection, code=CODE, name="某乙", site_id=ELSEWHERE, template=a_template(3), actor="operator:lin"
            )
        )


async def test_i07_neither_code_nor_name_rest_in_clear(window: Window, database: Database) -> None:
    await window.stands(HOSPITAL)

    assert window.doctor_id.encode() in database.bytes_on_disk()
    for secret in (CODE, DOCTOR_NAME):
        assert secret.encode() not in database.bytes_on_disk()
