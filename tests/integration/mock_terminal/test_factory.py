"""A maker in software and its terminals: enrolled without a token, and back again after they were off for too long."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from sqlalchemy import Connection

from device_registry import SiteKind, TerminalClass
from device_registry.authority.certificates import fingerprint_from_der
from mock_terminal.errors import PlatformRefusedError, StateError
from mock_terminal.folder import Folder
from mock_terminal.leaving import Exit
from mock_terminal.plant import Plant
from mock_terminal.recovery import renew_by_any_door
from tests.integration.mock_terminal.conftest import Finished, Heard, left
from tests.support.clock import Clock
from tests.support.factory import MADE_AT, an_approved_model
from tests.support.platform import ACTOR, RunningPlatform, a_platform

SERIAL = "HD3-000017"
MAKER = "Heron Devices"


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """A maker, a platform that has approved it, and one terminal on its way there."""

    running: RunningPlatform
    clock: Clock
    plant: Path
    state: Path
    root: Path
    site_id: str

    @property
    def folder(self) -> Folder:
        """What the terminal has on its disk."""
        return Folder(path=self.state)

    def make(self) -> None:
        """Let the factory make the terminal, before anything else happened."""
        Plant(folder=self.plant).make(serial_number=SERIAL, state=self.state, now=MADE_AT)

    async def enroll(self, *more: str) -> Finished:
        """Let the terminal enroll without a token."""
        at = ("--platform-enroll", self.running.ready.enrollment, "--root", self.root, "--state", self.state)
        return await left("enroll", *at, *more)

    async def renew(self) -> Finished:
        """Let the terminal renew, by whatever door is open."""
        return await left("renew", "--platform", self.running.ready.terminal, "--state", self.state)

    async def register(self) -> None:
        """Register the terminal."""
        await self.running.write(
            lambda connection: self.running.domain.registry.register(
                connection,
                serial_number=SERIAL,
                manufacturer=MAKER,
                model="HD-3",
                terminal_class=TerminalClass.FACE,
                site_id=self.site_id,
                certification_number="C-1",
                record_number="R-1",
                actor=ACTOR,
            )
        )

    async def in_service(self) -> None:
        """Make, register and enroll the terminal, and note the first use of its certificate."""
        self.make()
        await self.register()
        assert (await self.enroll()).code == Exit.OK
        fingerprint = fingerprint_from_der(self.folder.keys.identity().leaf_der)
        await self.running.write(
            lambda connection: self.running.domain.registry.first_use(
                connection, fingerprint=fingerprint, request_id=""
            )
        )

    def today(self) -> None:
        """Let the platform's clock catch up with the real one."""
        self.clock.set(datetime.now(UTC))


@pytest.fixture
async def workshop(tmp_path: Path) -> AsyncIterator[Workshop]:
    """Run a platform 35 days behind, so that a certificate of today has really lapsed; its grace is 7 days."""
    clock = Clock(datetime.now(UTC) - timedelta(days=35))
    plant = Plant(folder=tmp_path / "plant")
    plant.found(maker=MAKER, now=MADE_AT)
    root = tmp_path / "platform-root.pem"
    # Its own certificate is not due while the clock runs ahead: a new one would not be valid yet, by the real time.
    async with a_platform(now=clock.now, tls={"server_lifetime": timedelta(days=120)}) as running:
        root.write_bytes(running.root_pem)

        def approve(connection: Connection) -> str:
            makers = running.domain.makers
            maker = makers.add_manufacturer(
                connection,
                name=MAKER,
                root_certificates_der=[plant.certificate("root").public_bytes(serialization.Encoding.DER)],
                firmware_key_der=None,
                actor=ACTOR,
                reason="audited",
            )
            an_approved_model(connection, makers, maker)
            registry = running.domain.registry
            return registry.add_site(
                connection, name="Site", region="330100", kind=SiteKind.HOSPITAL, actor=ACTOR
            ).site_id

        yield Workshop(
            running=running,
            clock=clock,
            plant=plant.folder,
            state=tmp_path / "state",
            root=root,
            site_id=await running.write(approve),
        )


async def test_a_terminal_fresh_from_the_factory_enrolls_without_a_token(workshop: Workshop) -> None:
    workshop.today()
    made = await left("factory", "make", "--folder", workshop.plant, "--serial", SERIAL, "--state", workshop.state)
    await workshop.register()

    done = await workshop.enroll()

    assert made.the("made")["serial"] == SERIAL
    assert (done.code, done.names) == (Exit.OK, ["enrolled"])
    renewed = await workshop.renew()
    assert (renewed.code, renewed.names) == (Exit.OK, ["renewed"])


async def test_a_technician_brings_a_ticket_to_a_terminal_that_nobody_registered(workshop: Workshop) -> None:
    issued = await workshop.running.write(
        lambda connection: workshop.running.domain.tickets.issue(
            connection, region="330100", terminals_max=1, lifetime=timedelta(hours=1), actor=ACTOR, reason="a new ward"
        )
    )
    workshop.make()

    without = await workshop.enroll()
    half = await workshop.enroll("--ticket", issued.ticket)
    done = await workshop.enroll("--ticket", issued.ticket, "--site", workshop.site_id, "--model", "HD-3")

    assert (without.code, without.the("failed")["reason"]) == (Exit.REFUSED, "TERMINAL_UNREGISTERED")
    assert half.code == Exit.USAGE
    assert done.code == Exit.OK


async def test_an_identity_is_burned_once_and_a_plant_is_founded_once(workshop: Workshop, tmp_path: Path) -> None:
    workshop.make()
    before = (workshop.state / "factory" / "key.pem").read_bytes()

    again = await left("factory", "make", "--folder", workshop.plant, "--serial", "HD3-2", "--state", workshop.state)
    founded = await left("factory", "init", "--folder", workshop.plant)
    nowhere = await left(
        "factory", "make", "--folder", tmp_path / "none", "--serial", SERIAL, "--state", tmp_path / "x"
    )

    assert (again.code, founded.code, nowhere.code) == (Exit.USAGE, Exit.USAGE, Exit.USAGE)
    assert (workshop.state / "factory" / "key.pem").read_bytes() == before
    assert (workshop.state / "factory" / "key.pem").stat().st_mode & 0o777 == 0o600


async def test_without_token_and_without_factory_identity_nothing_is_sent(workshop: Workshop) -> None:
    done = await workshop.enroll()

    assert (done.code, done.the("failed")["reason"]) == (Exit.USAGE, "STATE_UNUSABLE")


async def test_a_second_enrollment_is_refused_as_a_clone_and_the_identity_in_use_stays(workshop: Workshop) -> None:
    workshop.today()
    await workshop.in_service()
    before = workshop.folder.keys.identity()

    again = await workshop.enroll()

    assert (again.code, again.the("failed")["reason"]) == (Exit.REFUSED, "CLONE_SUSPECTED")
    assert workshop.folder.keys.identity() == before
    assert (await workshop.renew()).code == Exit.OK


async def test_a_terminal_that_was_off_for_too_long_renews_by_itself(workshop: Workshop) -> None:
    await workshop.in_service()
    workshop.today()

    renewed = await workshop.renew()
    again = await workshop.renew()

    assert (renewed.code, renewed.names) == (Exit.OK, ["renewed_in_grace", "renewed"])
    assert (again.code, again.names) == (Exit.OK, ["renewed"])


async def test_after_the_grace_the_factory_identity_brings_it_back(workshop: Workshop) -> None:
    await workshop.in_service()
    terminal_id = workshop.folder.keys.identity().terminal_id
    workshop.clock.advance(timedelta(days=60))

    renewed = await workshop.renew()

    assert renewed.code == Exit.OK
    assert renewed.names == ["renewal_too_late", "reissued_by_factory_key", "renewed"]
    assert workshop.folder.keys.identity().terminal_id == terminal_id


async def test_a_terminal_that_was_off_connects_by_itself_when_it_is_started(workshop: Workshop) -> None:
    await workshop.in_service()
    workshop.today()

    ran = await left(
        "run", "--platform", workshop.running.ready.terminal, "--state", workshop.state, stop_after="connected"
    )

    assert (ran.code, ran.names[:2]) == (Exit.OK, ["renewed_in_grace", "connected"])


async def test_a_terminal_whose_clock_is_ahead_is_told_so_and_renews_over_its_own_connection(
    workshop: Workshop, heard: Heard
) -> None:
    workshop.today()
    await workshop.in_service()
    ahead = datetime.now(UTC) + timedelta(days=400)

    await renew_by_any_door(workshop.folder, platform=workshop.running.ready.terminal, report=heard, now=lambda: ahead)

    assert heard.names == ["clock_wrong"]
    assert heard.the("clock_wrong")["platform_time"] == workshop.clock.now().isoformat()


async def test_a_terminal_whose_clock_is_behind_finds_out_at_the_enrollment_port(
    workshop: Workshop, heard: Heard
) -> None:
    await workshop.in_service()
    behind = workshop.clock.now()
    workshop.today()

    await renew_by_any_door(workshop.folder, platform=workshop.running.ready.terminal, report=heard, now=lambda: behind)

    assert heard.names == ["renewal_refused_without_a_word", "renewed_in_grace"]


async def test_a_revoked_terminal_hears_so_at_every_door(workshop: Workshop, heard: Heard) -> None:
    await workshop.in_service()
    terminal_id = workshop.folder.keys.identity().terminal_id
    registry = workshop.running.domain.registry
    await workshop.running.write(
        lambda connection: registry.revoke(connection, terminal_id=terminal_id, reason="stolen", actor=ACTOR)
    )
    workshop.clock.advance(timedelta(days=60))

    with pytest.raises(PlatformRefusedError) as caught:
        await renew_by_any_door(
            workshop.folder, platform=workshop.running.ready.terminal, report=heard, now=lambda: datetime.now(UTC)
        )
    assert caught.value.reason == "TERMINAL_REVOKED"


async def test_who_never_enrolled_has_no_other_door(workshop: Workshop, heard: Heard) -> None:
    workshop.make()

    with pytest.raises(StateError):
        await renew_by_any_door(
            workshop.folder, platform=workshop.running.ready.terminal, report=heard, now=workshop.clock.now
        )
