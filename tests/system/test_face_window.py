"""Terminals with all their cameras, as processes before a platform that is one: who is let through, and what is not."""

import asyncio
from pathlib import Path

import pytest

from tests.support.deployment import Box, Deployment, an_enrolled_box, at_the_terminal, at_the_window
from tests.support.visitors import LIN, MA, frames_at_rest

ATTACKS = ("flat-photo", "cut-out", "screen-replay", "virtual-camera")
DOCTOR_CODE = "D330100000001"
PLACE = ("30.25", "120.15")
pytestmark = pytest.mark.timeout(300)  # several sessions in a row, each as long as a person takes


@pytest.fixture(scope="module")
def box(shared: Deployment) -> Box:
    """Return one terminal for all of them."""
    return asyncio.run(an_enrolled_box(shared))


async def test_depth_and_infrared_make_a_face_good_for_more_than_colour_alone(box: Box) -> None:
    solid = await at_the_terminal(box, "face")
    colour = await at_the_terminal(box, "face", "--camera", "rgb")

    for done in (solid, colour):
        assert done.code == 0, done.events
        assert done.event("sealed")["last_sequence"] >= done.event("decision")["frames_used"]
    for limit in ("amount_limit_fen", "pin_free_limit_fen"):
        assert solid.event("decision")[limit] > colour.event("decision")[limit] > 0


@pytest.mark.parametrize(("four", "outcome"), [(LIN.id_number[-4:], "MATCHED"), ("0000", "NOT_MATCHED")])
async def test_who_says_nothing_is_found_by_the_face_and_proven_by_four_digits(
    box: Box, four: str, outcome: str
) -> None:
    done = await at_the_terminal(box, "face", "--identify", "--last-four", four, claim=False)

    assert done.event("second_factor_asked")["tries_left"] >= 1
    assert done.event("decision")["outcome"] == outcome
    assert (done.event("decision")["person"] is None) is (outcome != "MATCHED")


async def test_a_practitioner_confirms_for_somebody_who_cannot_move(box: Box, tmp_path: Path) -> None:
    await asyncio.to_thread(a_practitioner, box, tmp_path / "doctor.jpg")
    doctor, _ = await asyncio.to_thread(at_the_window, box.deployment, shows=MA)
    staff = ("--staff-code", DOCTOR_CODE, "--at", ",".join(PLACE))
    pictures = ("--staff-portrait", doctor[1], "--staff-landmarks", doctor[3])

    done = await at_the_terminal(box, "pay", "--total-fen", "30000", "--cannot-move", *staff, *pictures)

    assert done.code == 0, done.events
    assert [event["actions"] == [] for event in done.events if event["event"] == "accepted"] == [True, False]
    assert done.event("staff_asked")["pin_free_limit_fen"] == 0
    assert done.event("quote")["pin_required"]
    assert done.event("settled")["total_fen"] == 30_000


def a_practitioner(box: Box, picture: Path) -> None:
    """Let MA work at the terminal's site, whose place is known."""
    deployment = box.deployment
    serial = {"serial": box.serial_number}
    [(site_id,)] = deployment.query("SELECT site_id FROM terminals WHERE serial_number = :serial", **serial)
    north, east = PLACE
    deployment.shualian(
        "site", "update", site_id, "--latitude", north, "--longitude", east, "--reason", "surveyed"
    )  # fmt: skip
    picture.write_bytes(frames_at_rest(MA, 1)[0])
    deployment.shualian(
        "practitioner", "add", "--code", DOCTOR_CODE, "--name", MA.name, "--site", site_id, "--portrait", str(picture)
    )  # fmt: skip


async def test_i09_pictures_screens_and_a_virtual_camera_are_refused_and_nothing_is_said_about_the_match(
    box: Box,
) -> None:
    done = await at_the_terminal(box, "attack", *ATTACKS)

    rows = {row["kind"]: row for row in done.event("attacks")["rows"]}
    decisions = [event for event in done.events if event["event"] == "decision"]
    assert done.code == 0, rows
    assert list(rows) == list(ATTACKS)
    assert all(rows[kind]["how"] == "SPOOF_SUSPECTED" for kind in ATTACKS[:-1])
    assert rows["virtual-camera"]["how"] in {"SPOOF_SUSPECTED", "INSUFFICIENT"}  # seen before, or cut too coarsely
    # The last but one is the honest session that the virtual camera recorded.
    for decision in (*decisions[:-2], decisions[-1]):
        assert (decision["person"], decision["challenge_passed"]) == (None, False)
        assert decision["other_ways"] == ["DYNAMIC_CODE", "CARD_AND_PIN", "FAMILY_ACCOUNT", "COUNTER"]
