"""The platform was off until every certificate had lapsed: who comes back by themselves, and who needs somebody."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection

from device_registry.authority.certificates import fingerprint_from_der
from mock_terminal.folder import Folder
from mock_terminal.plant import Plant
from server.programs import Answer, Program
from tests.support.clock import Clock
from tests.support.deployment import SECONDS_MAX, Box, Deployment
from tests.support.factory import MADE_AT
from tests.support.plant import a_plant, approve, register
from tests.support.platform import ACTOR, RunningPlatform, a_platform
from tests.support.runbook import Runbook, at_the_same_ports, the_runbook, told

LONG_AGO, LATELY = timedelta(days=45), timedelta(days=35)
"""Certificates live for 30 days; the grace of class III is 7 days more."""
SERVER_LIFE = timedelta(days=90)


@pytest.mark.timeout(300)
async def test_an_expired_fleet_comes_back_by_the_doors_that_are_left_to_each(tmp_path: Path) -> None:
    with a_place(tmp_path / "p") as platform, the_runbook("all-terminals-expired", platform) as book:
        boxes = [Box(deployment=platform, serial_number=f"HD3-{n}", state=tmp_path / f"box-{n}") for n in range(4)]
        in_grace, with_factory_key, late, last = boxes
        await enrolled_while_it_was_up(platform, boxes, factory_made=with_factory_key, lately=in_grace)
        await asyncio.to_thread(platform.start)

        book.play("shualian rollout forecast")
        for box in (in_grace, with_factory_key):
            book.seen(told_until("connected", box.start("run")))
        refused = late.start("run")
        book.seen(told_until("renewal_failed", refused))
        book.play("shualian rollout forecast")
        await asyncio.to_thread(refused.stop)
        await comes_back_by_token(platform, book, late)

        book.play("systemctl stop")
        platform.stage.settings = {**platform.stage.settings, "SHUALIAN_REGISTRY_GRACE_CLASS_III": "60d"}
        book.play("systemctl start")
        assert "renewed_in_grace" in told_until("connected", last.start("run"))
        book.play("shualian rollout forecast")
        book.play("shualian audit list")


async def enrolled_while_it_was_up(platform: Deployment, boxes: list[Box], *, factory_made: Box, lately: Box) -> None:
    """Run the platform in the past, enroll the terminals, and stop it."""
    plant = a_plant(platform.folder / "plant")
    plant.make(serial_number=factory_made.serial_number, state=factory_made.state, now=MADE_AT)
    clock = Clock(datetime.now(UTC) - LONG_AGO)
    closed = {"enabled": False}  # its socket's path would be too long in a test's folder
    async with a_platform(
        folder=platform.data_dir, now=clock.now, tls={"server_lifetime": SERVER_LIFE}, diagnostics=closed
    ) as past:
        platform.stage.known["ready"] = asdict(past.ready)
        at_the_same_ports(platform)
        ids = await past.write(partial(approve_and_register, past, plant, boxes))
        for box in sorted(boxes, key=lambda box: box is lately):
            if box is lately:
                clock.advance(LONG_AGO - LATELY)
            await enroll(past, box, "" if box is factory_made else ids[box.serial_number])


def approve_and_register(
    past: RunningPlatform, plant: Plant, boxes: list[Box], connection: Connection
) -> dict[str, str]:
    """Approve the maker, and register every terminal as one of its model; return their ids by serial number."""
    domain = past.domain
    approve(connection, domain=domain, plant=plant)
    return {box.serial_number: register(connection, domain=domain, serial_number=box.serial_number) for box in boxes}


async def enroll(past: RunningPlatform, box: Box, terminal_id: str) -> None:
    """Let a terminal enroll, by a token if its id is given, and note the first use of its certificate."""
    registry, token = past.domain.registry, ""
    if terminal_id:
        issued = await past.write(partial(registry.issue_token, terminal_id=terminal_id, actor=ACTOR))
        token = issued.token
    fingerprint = past.domain.authority.root_fingerprint_sha256
    done = await asyncio.to_thread(box.enroll, token, root_fingerprint=fingerprint)
    assert done.code == 0, done.events
    used = fingerprint_from_der(Folder(path=box.state).keys.identity().leaf_der)
    await past.write(partial(registry.first_use, fingerprint=used, request_id=""))


async def comes_back_by_token(platform: Deployment, book: Runbook, box: Box) -> None:
    """Play what a technician does."""
    book.play("shualian terminal evict", LATE=box.serial_number)
    token = told(book.play("shualian terminal token", LATE=box.serial_number), "One-time token")
    fingerprint = platform.domain.authority.root_fingerprint_sha256
    done = await asyncio.to_thread(box.enroll, token, root_fingerprint=fingerprint)
    assert done.code == 0, done.events
    told_until("connected", box.start("run"))


def told_until(event: str, terminal: Program) -> str:
    """Return what a terminal says until an event, as its log has it."""
    passed: list[tuple[float, Answer]] = []
    _, last = terminal.wait_for(event, within=2 * SECONDS_MAX, passing=passed)
    return "\n".join(json.dumps(said) for said in [*(said for _, said in passed), last])


@contextmanager
def a_place(folder: Path) -> Iterator[Deployment]:
    """Make a place for a platform that is started later; it is stopped even when the test fails."""
    folder.mkdir()
    platform = Deployment(folder)
    try:
        yield platform
    finally:
        platform.close()
