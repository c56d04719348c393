"""A firmware offer over the whole way: approved by the platform, rolled out, verified and taken by the terminal."""

import hashlib
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from sqlalchemy import Connection as Database

from device_registry import CommandAction, CommandOutcome, TerminalClass
from device_registry.errors import FirmwareOfAnotherModelError, FirmwareUnfitError
from device_registry.makers.approvals import Firmware as ApprovedFirmware
from device_registry.makers.approvals import FirmwareState
from mock_terminal.firmware import BORN_WITH, Firmware, FirmwareRefusedError
from mock_terminal.plant import Plant
from shualian.terminal.v1 import device_pb2
from tests.integration.mock_terminal.conftest import Box, Heard
from tests.integration.mock_terminal.test_connection import answered, connected, queue, until
from tests.support.platform import ACTOR

IMAGE = b"firmware, in all but name" * 1000
NOW = datetime(2026, 3, 2, tzinfo=UTC)


IMAGES = {"/fw": IMAGE, "/swapped": IMAGE[:-1] + b"!", "/short": IMAGE[:-1], "/long": IMAGE + b"!"}


class Mirror(BaseHTTPRequestHandler):
    """Serves the image, or something else."""

    def do_GET(self) -> None:
        """Answer with what lies there."""
        image = IMAGES.get(self.path)
        self.send_response(200 if image else 404)
        self.end_headers()
        self.wfile.write(image or b"")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def mirror() -> Iterator[str]:
    """Run a mirror; return its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    """Return a maker with its keys."""
    plant = Plant(folder=tmp_path / "plant")
    plant.found(maker="Maker", now=NOW)
    return plant


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.bin"
    path.write_bytes(IMAGE)
    return path


def an_offer(plant: Plant, image: Path, url: str, *, version: str = "2.0") -> device_pb2.OfferFirmwareCommand:
    manifest, signature = plant.sign_firmware(
        image=image, facts={"manufacturer": "Maker", "model": "M1", "version": version}
    )
    return device_pb2.OfferFirmwareCommand(
        model="M1",
        version=version,
        sha256=hashlib.sha256(IMAGE).hexdigest(),
        size_bytes=len(IMAGE),
        url=url,
        manifest=manifest,
        signature=signature,
    )


@pytest.fixture
def terminal(plant: Plant, tmp_path: Path) -> Firmware:
    """Return the firmware of a terminal from that plant."""
    plant.make(serial_number="SL-7", state=tmp_path / "seven", now=NOW)
    return Firmware(state=tmp_path / "seven")


def test_what_its_maker_signed_is_installed_and_stays(
    plant: Plant, terminal: Firmware, image: Path, mirror: str
) -> None:
    assert terminal.version == BORN_WITH

    terminal.install(an_offer(plant, image, f"{mirror}/fw"))

    assert Firmware(state=terminal.state).version == "2.0"


@pytest.mark.parametrize("path", ["swapped", "short", "long", "nothing-here"])
def test_another_image_is_refused(plant: Plant, terminal: Firmware, image: Path, mirror: str, path: str) -> None:
    with pytest.raises(FirmwareRefusedError):
        terminal.install(an_offer(plant, image, f"{mirror}/{path}"))

    assert terminal.version == BORN_WITH


def test_another_makers_signature_is_refused_before_anything_is_fetched(
    terminal: Firmware, image: Path, tmp_path: Path
) -> None:
    other = Plant(folder=tmp_path / "other")
    other.found(maker="Maker", now=NOW)

    with pytest.raises(FirmwareRefusedError, match="not signed by this terminal's maker"):
        terminal.install(an_offer(other, image, "http://127.0.0.1:9/never-asked"))


@pytest.mark.parametrize(
    "change", [{"version": "3.0"}, {"sha256": "0" * 64}, {"size_bytes": 1}, {"model": "M2"}, {"manifest": b"{}"}]
)
def test_an_offer_that_says_something_else_than_its_manifest_is_refused(
    plant: Plant, terminal: Firmware, image: Path, mirror: str, change: dict[str, str | int | bytes]
) -> None:
    offer = an_offer(plant, image, f"{mirror}/fw")
    for name, value in change.items():
        setattr(offer, name, value)

    with pytest.raises(FirmwareRefusedError):
        terminal.install(offer)


def test_a_terminal_without_its_makers_key_takes_no_firmware(plant: Plant, image: Path, tmp_path: Path) -> None:
    with pytest.raises(FirmwareRefusedError, match="no firmware key"):
        Firmware(state=tmp_path).install(an_offer(plant, image, "http://127.0.0.1:9/never-asked"))


async def approved(box: Box, plant: Plant, image: Path, model: str = "M1") -> ApprovedFirmware:
    """Approve maker, model and firmware on the platform."""
    manifest, signature = plant.sign_firmware(
        image=image, facts={"manufacturer": "Maker", "model": model, "version": "2.0"}
    )
    key = serialization.load_pem_public_key((plant.folder / "firmware.pub.pem").read_bytes())
    key_der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    root = x509.load_pem_x509_certificate((plant.folder / "root.pem").read_bytes())
    root_der = root.public_bytes(serialization.Encoding.DER)
    makers = box.running.domain.makers

    def write(connection: Database) -> ApprovedFirmware:
        maker = makers.add_manufacturer(
            connection,
            name="Maker",
            root_certificates_der=[root_der],
            firmware_key_der=key_der,
            reason="x",
            actor=ACTOR,
        )
        kind = makers.add_model(
            connection,
            manufacturer_id=maker.manufacturer_id,
            name=model,
            terminal_class=TerminalClass.FACE,
            certification_number="C-1",
            certification_expires_on=date(2099, 1, 1),
            reason="x",
            actor=ACTOR,
        )
        return makers.add_firmware(
            connection, model_id=kind.model_id, manifest=manifest, signature=signature, reason="x", actor=ACTOR
        )

    return await box.running.write(write)


async def test_an_offer_goes_all_the_way_and_the_terminal_comes_back_with_it(
    box: Box, heard: Heard, plant: Plant, image: Path, mirror: str
) -> None:
    firmware = await approved(box, plant, image)
    factory = box.folder.path / "factory"
    factory.mkdir()
    (factory / "firmware.pub.pem").write_bytes((plant.folder / "firmware.pub.pem").read_bytes())
    offer = {"firmware_id": firmware.firmware_id, "url": f"{mirror}/fw"}

    async with connected(box, heard):
        first = await answered(box, await queue(box, CommandAction.OFFER_FIRMWARE, offer))
        await until(lambda: heard.names.count("connected") == 2)
        vitals = await box.running.write(
            lambda connection: box.running.domain.registry.vitals(connection, box.terminal_id)
        )
        again = await answered(box, await queue(box, CommandAction.OFFER_FIRMWARE, offer))

    assert (first.outcome, first.detail) == (CommandOutcome.DONE, "installed 2.0")
    assert vitals is not None
    assert vitals.firmware_version == "2.0"
    assert (again.outcome, again.detail) == (CommandOutcome.SUPERSEDED, "RUNS_ALREADY")
    assert heard.names.count("command") == 1


async def test_firmware_that_was_flagged_or_is_for_another_model_is_not_offered(
    box: Box, plant: Plant, image: Path
) -> None:
    firmware = await approved(box, plant, image, model="M2")
    offer = {"firmware_id": firmware.firmware_id, "url": "https://mirror.example/fw"}
    with pytest.raises(FirmwareOfAnotherModelError):
        await queue(box, CommandAction.OFFER_FIRMWARE, offer)

    await box.running.write(
        partial(
            box.running.domain.makers.judge_firmware,
            firmware_id=firmware.firmware_id,
            state=FirmwareState.FLAGGED,
            finding="loses its clock",
            actor=ACTOR,
        )
    )

    with pytest.raises(FirmwareUnfitError):
        await queue(box, CommandAction.OFFER_FIRMWARE, offer)
