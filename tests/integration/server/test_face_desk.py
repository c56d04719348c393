"""What the desk writes down of a decision, what the assertion is good for, and who is let in before the first frame."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from face_pipeline import Assurance, FacePolicy, Modality, Outcome
from face_pipeline.liveness.cues import Reason
from server import convert
from server.activity import FleetActivity
from server.faces.desk import Claimant
from server.faces.errors import (
    ConsentStaleError,
    ConsentTextUnknownError,
)
from server.faces.other_ways import PAYMENT_WAYS
from server.store.tables.outcomes import face_hours, site_ways
from server.store.tables.people import consents, face_assertions
from server.ways_seen import WaysSeen
from shualian.terminal.v1 import face_pb2
from tests.support.face_window import (
    Window,
    a_session,
    a_verdict,
    decided,
)


async def test_the_assertion_is_good_for_what_stood_behind_the_face(window: Window) -> None:
    start, claimant = window.start(), Claimant(person=window.person)

    colour = await decided(window, start, claimant, a_verdict())
    solid = await decided(
        window,
        start,
        claimant,
        a_verdict(Outcome.MATCHED, Assurance.SOLID),
        window.rule(start, amount_fen=0, beside=frozenset({Modality.DEPTH})),
    )
    unmoved = await decided(
        window,
        start,
        claimant,
        a_verdict(Outcome.MATCHED, Assurance.COLOUR_UNMOVED),
        window.rule(start, cannot_move=True),
    )

    told = [(it.amount_limit_fen, it.pin_free_limit_fen, it.staff_may_confirm) for it in (colour, solid, unmoved)]
    assert told == [(100_000, 20_000, False), (5_000_000, 50_000, False), (30_000, 0, True)]
    table = face_assertions.c
    rows = await window.rows(select(table.amount_limit_fen, table.pin_free_limit_fen, table.staff_may_confirm))
    assert sorted(rows) == sorted(told)


async def test_the_audit_is_complete_inside_and_knows_no_face(window: Window) -> None:
    start = window.start()

    await decided(
        window,
        start,
        Claimant(person=window.person),
        a_verdict(Outcome.SPOOF_SUSPECTED, Assurance.COLOUR, Reason.REPLAYED),
    )

    ((_, details),) = await window.audited("face.decided")
    assert details == {
        "outcome": "spoof_suspected",
        "purpose": "verify",
        "business_type": "01301",
        "assurance": "colour",
        "reasons": "replayed",
        "cues": "passive for 0.912/0.5; challenge for",
        "frames": 17,
        "cannot_move": 0,
        "band": "ORDINARY",
        "policy": FacePolicy().version,
        "rules": window.rules.version,
        "models": "embedding=made-up@1",
    }
    assert "0.654" not in json.dumps(details)
    assert window.person.person_id not in json.dumps(details)


async def test_i09_after_a_suspected_spoof_nobody_is_named_and_other_ways_are_offered(window: Window) -> None:
    decision = await decided(window, window.start(), Claimant(person=window.person), a_verdict(Outcome.SPOOF_SUSPECTED))

    assert not decision.assertion
    assert not decision.HasField("person")
    assert decision.amount_limit_fen == 0
    assert list(decision.other_ways) == list(PAYMENT_WAYS)


async def test_a_face_found_among_many_is_named_when_the_second_factor_has_settled_it(window: Window) -> None:
    start, session_id = window.start(purpose=face_pb2.PURPOSE_IDENTIFY), a_session(window)
    claimant = await window.desk.consented(window.caller, session_id, start)

    decision = await window.desk.decided(
        window.caller,
        session_id,
        start,
        replace(claimant, person=window.person),
        a_verdict(Outcome.LIVE),
        rule=window.rule(start),
    )
    nobody = await decided(window, start, Claimant(), a_verdict(Outcome.LIVE))

    assert claimant.person is None
    assert decision.outcome == face_pb2.DECISION_OUTCOME_MATCHED
    assert decision.person.name == window.person.masked_name
    assert nobody.outcome == face_pb2.DECISION_OUTCOME_NOT_MATCHED
    assert not nobody.assertion
    ((person_id,),) = await window.rows(select(consents.c.person_id))
    assert person_id == window.person.person_id


@pytest.mark.parametrize("purpose", [face_pb2.PURPOSE_VERIFY, face_pb2.PURPOSE_IDENTIFY])
async def test_a_face_that_was_forgotten_while_it_was_looked_at_is_nobodys(
    window: Window, purpose: face_pb2.Purpose.ValueType
) -> None:
    start = window.start(purpose=purpose)
    verdict = a_verdict(Outcome.MATCHED if purpose == face_pb2.PURPOSE_VERIFY else Outcome.LIVE)
    await window.unit_of_work.write(
        lambda connection: window.people.forget_face(
            connection, person_id=window.person.person_id, actor="operator:lin"
        )
    )

    decision = await decided(window, start, Claimant(person=window.person), verdict)

    assert decision.outcome == face_pb2.DECISION_OUTCOME_NOT_MATCHED
    assert not decision.assertion
    assert not decision.HasField("person")
    assert await window.rows(select(face_assertions.c.assertion_id)) == []
    ((_, details),) = await window.audited("face.decided")
    assert details["outcome"] == "not_matched"


@pytest.mark.parametrize(
    ("age", "text", "error"),
    [
        (timedelta(minutes=5, seconds=1), "2026-05", ConsentStaleError),
        (timedelta(seconds=-31), "2026-05", ConsentStaleError),
        (timedelta(), "2025-01", ConsentTextUnknownError),
    ],
)
async def test_i08_a_consent_to_something_else_is_none(
    window: Window, age: timedelta, text: str, error: type[Exception]
) -> None:
    start = window.start(purpose=face_pb2.PURPOSE_IDENTIFY)
    start.consent.given_at.CopyFrom(convert.timestamp(window.clock.now() - age))
    start.consent.text_version = text

    with pytest.raises(error):
        await window.desk.consented(window.caller, a_session(window), start)

    assert await window.rows(select(consents)) == []


async def test_a_consent_at_the_edges_of_its_time_is_taken(window: Window) -> None:
    for age in (timedelta(minutes=5), timedelta(seconds=-30)):
        start = window.start(purpose=face_pb2.PURPOSE_IDENTIFY)
        start.consent.given_at.CopyFrom(convert.timestamp(window.clock.now() - age))
        await window.desk.consented(window.caller, a_session(window), start)

    assert len(await window.rows(select(consents))) == 2


async def test_the_fleet_checks_hear_of_attacks_broken_seals_and_a_lesser_camera(window: Window) -> None:
    colour, claimant = window.start(), Claimant(person=window.person)
    solid = window.start(
        camera=face_pb2.CameraAbilities(
            width_px=640, height_px=480, frames_per_second=12, beside_colour=[face_pb2.MODALITY_DEPTH]
        )
    )
    spoof = (Outcome.SPOOF_SUSPECTED, Assurance.COLOUR)

    for start in (solid, solid):
        await decided(window, start, claimant, a_verdict())
    await decided(window, colour, claimant, a_verdict(*spoof, Reason.PASSIVE_LOW))
    window.clock.advance(timedelta(hours=1))
    await decided(window, colour, claimant, a_verdict(*spoof, Reason.SEAL_BROKEN))
    await decided(window, colour, claimant, a_verdict())

    activity, now = FleetActivity(), window.clock.now()
    seen = await window.unit_of_work.read(lambda it: activity.face_attacks(it, since=now - timedelta(hours=2)))
    lately = await window.unit_of_work.read(lambda it: activity.face_attacks(it, since=now))
    lesser = await window.unit_of_work.read(activity.lesser_cameras)
    told, (past,) = seen[window.caller.terminal_id], lesser.values()
    assert (told.sessions, told.attacks, told.seals_broken) == (5, 2, 1)
    assert told.last_attack_at == told.last_seal_broken_at == now
    assert lately[window.caller.terminal_id].sessions == 2
    assert (past.solid_sessions, past.lacking_sessions, past.modalities) == (2, 3, ("DEPTH",))

    await decided(window, solid, claimant, a_verdict())
    assert await window.unit_of_work.read(activity.lesser_cameras) == {}


async def test_who_needs_another_way_than_their_face_is_counted_and_which_ways_a_site_takes(window: Window) -> None:
    claimant = Claimant(person=window.person)
    ways = WaysSeen(unit_of_work=window.unit_of_work, now=window.clock.now)

    await decided(window, window.start(), claimant, a_verdict())
    await decided(window, window.start(), claimant, a_verdict(Outcome.NOT_MATCHED))
    for _ in range(2):
        await window.desk.consent_refused(window.caller, a_session(window), window.start())
    for _ in range(2):
        await ways.note(window.caller.site_id, "CARD")
    window.clock.advance(timedelta(days=1))
    await ways.note(window.caller.site_id, "CARD")

    counts = select(face_hours.c.sessions, face_hours.c.failed, face_hours.c.refused)
    assert await window.rows(counts) == [(2, 1, 2)]
    assert await window.rows(select(site_ways)) == [(window.caller.site_id, "CARD", window.clock.now().date())]


async def test_what_no_fleet_check_looks_at_any_more_is_forgotten(window: Window) -> None:
    for _ in range(3):
        await decided(window, window.start(), Claimant(person=window.person), a_verdict())
        window.clock.advance(timedelta(days=5))

    assert len(await window.rows(select(face_hours))) == 2  # of today, and five days ago; not of ten
