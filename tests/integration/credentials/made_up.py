"""Made-up people, and everything the credentials room needs to know them."""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Connection

from device_registry.audit.log import AuditLog
from face_pipeline.frames import Template
from face_pipeline.template_keys import HeldKeys
from server.credentials import Assertions, InsuredPerson, People
from server.credentials.identity import checksum
from tests.support.clock import Clock

INDEX_KEY = b"i" * 32
DATA_KEY = b"d" * 32
TEMPLATE_KEY = b"t" * 32
KEY_ID = "assertion-2026"
OPERATOR = "operator:lin"
NAME = "某甲乙"
PIN = "271828"
CARD_NUMBER = "A1234567890"


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialsBench:
    """The credentials room with a clock that a test may move."""

    clock: Clock
    audit: AuditLog
    people: People
    assertions: Assertions
    signing_key: ec.EllipticCurvePrivateKey


def a_credentials_bench(*, lifetime: timedelta = timedelta(seconds=120)) -> CredentialsBench:
    """Return the room with made-up keys."""
    clock = Clock()
    audit = AuditLog(now=clock.now)
    signing_key = ec.generate_private_key(ec.SECP256R1())
    return CredentialsBench(
        clock=clock,
        audit=audit,
        people=People(
            now=clock.now,
            index_key=INDEX_KEY,
            data_key=DATA_KEY,
            template_keys=HeldKeys(TEMPLATE_KEY),
            audit=audit,
            site_people_max=3,
        ),
        assertions=Assertions(now=clock.now, signing_key=signing_key, key_id=KEY_ID, lifetime=lifetime),
        signing_key=signing_key,
    )


def an_id_number(serial: int = 1) -> str:
    """Return a number of the right form for nobody: region 999999 does not exist."""
    digits = f"99999919000101{serial:03d}"
    return digits + checksum(digits)


def a_template(seed: int = 1) -> Template:
    """Return an embedding of nobody's face."""
    numbers = np.random.default_rng(seed).normal(size=128).astype(np.float32)
    return Template(embedding=numbers / np.linalg.norm(numbers), model_id="sface-2021dec")


def a_person(
    people: People,
    connection: Connection,
    *,
    serial: int = 1,
    name: str = NAME,
    card_number: str | None = None,
    pin: str | None = None,
    template: Template | None = None,
) -> InsuredPerson:
    """Add a made-up person; a PIN costs a slow hash, so ask for it only where it matters."""
    return people.add(
        connection,
        name=name,
        id_number=an_id_number(serial),
        region="999900",
        card_number=card_number,
        pin=pin,
        template=template,
        actor=OPERATOR,
    )
