"""A terminal that says where it stands is compared with the place of its site."""

import asyncio
from datetime import UTC, datetime

from device_registry.fleet.finding import FindingKind
from device_registry.fleet.places import Place
from mock_terminal.connection import Connection
from mock_terminal.inputs import position_from
from tests.integration.mock_terminal.conftest import Box, Heard
from tests.integration.mock_terminal.test_connection import until
from tests.support.platform import ACTOR


async def seen_at(box: Box, position: str) -> list[FindingKind]:
    """Connect from a position and return what the fleet checks see."""
    heard = Heard()
    connection = Connection(
        box.folder,
        address=box.address,
        report=heard,
        now=lambda: datetime.now(UTC),
        position=position_from(position),
    )
    running = asyncio.create_task(connection.run())
    try:
        await until(lambda: "connected" in heard.names)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    look = await box.running.platform.unit_of_work.read(box.running.domain.fleet.look)
    return [seen.kind for seen in look.sightings]


async def test_a_terminal_that_stands_elsewhere_is_found(box: Box) -> None:
    terminal = await box.running.platform.unit_of_work.read(
        lambda connection: box.running.domain.registry.terminal(connection, box.terminal_id)
    )
    await box.running.write(
        lambda connection: box.running.domain.places.settle(
            connection,
            site_id=terminal.site_id,
            place=Place(latitude=30.25, longitude=120.15, radius_metres=300),
            opening_hours=None,
            actor=ACTOR,
        )
    )

    assert await seen_at(box, "30.2501,120.1502") == []
    assert FindingKind.WRONG_PLACE in await seen_at(box, "30.31,120.15")
