"""The mock terminal's maker, approved by a platform: terminals of it come back by their factory identity."""

from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection

from device_registry import SiteKind, TerminalClass
from mock_terminal.plant import Plant
from server.wiring import Domain
from tests.support.factory import MADE_AT, an_approved_model
from tests.support.platform import ACTOR

MAKER, MODEL = "Heron Devices", "HD-3"


def a_plant(folder: Path) -> Plant:
    """Found the maker."""
    plant = Plant(folder=folder)
    plant.found(maker=MAKER, now=MADE_AT)
    return plant


def approve(connection: Connection, *, domain: Domain, plant: Plant) -> None:
    """Let a platform approve the maker and its model."""
    maker = domain.makers.add_manufacturer(
        connection,
        name=MAKER,
        root_certificates_der=[plant.certificate("root").public_bytes(Encoding.DER)],
        firmware_key_der=None,
        actor=ACTOR,
        reason="audited",
    )
    an_approved_model(connection, domain.makers, maker, name=MODEL)


def register(connection: Connection, *, domain: Domain, serial_number: str) -> str:
    """Register a terminal of the model at a site of its own; return its id."""
    registry = domain.registry
    site = registry.add_site(connection, name="Site", region="330100", kind=SiteKind.HOSPITAL, actor=ACTOR)
    return registry.register(
        connection,
        serial_number=serial_number,
        manufacturer=MAKER,
        model=MODEL,
        terminal_class=TerminalClass.FACE,
        site_id=site.site_id,
        certification_number="C-1",
        record_number="R-1",
        actor=ACTOR,
    ).terminal_id
