"""People with made-up faces, sites where they are looked for, and galleries as a running server has them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from sqlalchemy import Connection, Engine, insert

from device_registry.audit.log import AuditLog
from device_registry.tables import sites
from face_pipeline.frames import Embedding, Template
from face_pipeline.gallery import GalleryIndex, Layout
from face_pipeline.gallery.scan import ScanIndex
from face_pipeline.policy import FacePolicy
from face_pipeline.template_keys import HeldKeys, TemplateKeys
from server.config import GalleryScope
from server.credentials.identity import checksum
from server.credentials.people import InsuredPerson, People
from server.faces.galleries import Galleries
from server.faces.identifier import Identifier
from server.store import EventFollower
from tests.support.clock import Clock
from tests.support.database import a_unit_of_work

LAYOUT = Layout(model_id="fused@0123456789abcdef", width=640, first=128)
KEYS = HeldKeys(b"t" * 32)
OPERATOR = "operator:lin"
HARBOUR, HILL = "site-harbour", "site-hill"
REGION, FAR_REGION = "330100", "440100"


def a_face(seed: int) -> Embedding:
    """Return a made-up embedding: two parts, each of unit length times the root of its weight."""
    generator = np.random.default_rng(seed)
    parts = [generator.normal(size=LAYOUT.first), generator.normal(size=LAYOUT.width - LAYOUT.first)]
    scaled = [np.sqrt(weight) * part / np.linalg.norm(part) for weight, part in zip((0.6, 0.4), parts, strict=True)]
    return np.concatenate(scaled).astype(np.float32)


def another_look(seed: int, *, noise: float = 0.6, day: int = 1) -> Embedding:
    """Return the same face on another day; at a noise of 0.6 its cosine to the first look is about 0.86."""
    numbers = a_face(seed) + noise * a_face(10_000 * day + seed)
    return np.asarray(numbers / np.linalg.norm(numbers), np.float32)


def an_id_number(serial: int) -> str:
    """Return a number of the right form for nobody; its last four characters begin with two digits of the serial."""
    digits = f"99999919000101{serial:03d}"
    return digits + checksum(digits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Town:
    """Two sites of one region and one far away, and people who may be enrolled there."""

    people: People
    audit: AuditLog
    clock: Clock

    def furnish(self, connection: Connection) -> None:
        """Add the sites."""
        for site_id, region in ((HARBOUR, REGION), (HILL, REGION), ("site-far", FAR_REGION)):
            row = {"site_id": site_id, "name": "Willow Bridge", "region": region, "kind": "HOSPITAL"}
            connection.execute(insert(sites).values(**row, added_at=self.clock.now()))

    def enroll(
        self,
        connection: Connection,
        seed: int,
        *,
        site_id: str | None = HARBOUR,
        region: str = REGION,
        face: Embedding | None = None,
        phone: str | None = None,
        id_number: str | None = None,
        model_id: str = LAYOUT.model_id,
    ) -> InsuredPerson:
        """Add a person with a face, who is looked for at a site."""
        template = Template(embedding=a_face(seed) if face is None else face, model_id=model_id)
        return self.people.add(
            connection,
            name="某甲乙",
            id_number=id_number or an_id_number(seed),
            region=region,
            card_number=None,
            pin=None,
            template=template,
            actor=OPERATOR,
            phone=phone,
            site_id=site_id,
        )


def a_town(*, keys: TemplateKeys = KEYS, site_people_max: int = 1_000) -> Town:
    """Return the people's register with made-up keys."""
    clock = Clock()
    audit = AuditLog(now=clock.now)
    people = People(
        now=clock.now, index_key=b"i" * 32, data_key=b"d" * 32, template_keys=keys, audit=audit,
        site_people_max=site_people_max,
    )  # fmt: skip
    return Town(people=people, audit=audit, clock=clock)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """One server, as far as identification goes."""

    galleries: Galleries
    identifier: Identifier

    async def ready(self) -> None:
        """Wait until everybody is loaded."""
        await until(self.galleries.are_ready)


@asynccontextmanager
async def a_replica(
    engine: Engine,
    town: Town,
    *,
    scope: GalleryScope = GalleryScope.SITE,
    people_max: int = 1_000,
    keys: TemplateKeys = KEYS,
    make_index: Callable[[str], GalleryIndex] | None = None,
) -> AsyncIterator[Replica]:
    """Run what a server runs: a follower of events, and galleries that keep up."""
    async with a_unit_of_work(engine) as unit_of_work:
        galleries = Galleries(
            unit_of_work=unit_of_work,
            keys=keys,
            policy=FacePolicy(),
            scope=scope,
            people_max=people_max,
            make_index=make_index or (lambda _place: ScanIndex(LAYOUT, shortlist=64)),
        )
        follower = EventFollower(unit_of_work, poll_interval=timedelta(milliseconds=20), on_events=galleries.on_events)
        await follower.mark()
        tasks = [asyncio.create_task(follower.run()), asyncio.create_task(galleries.follow())]
        try:
            yield Replica(galleries=galleries, identifier=Identifier(unit_of_work=unit_of_work, people=town.people))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            galleries.close()


async def until(*conditions: Callable[[], object]) -> None:
    """Wait until all of these hold; the test's own time limit ends it."""
    for condition in conditions:
        while True:
            found = condition()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                break
            await asyncio.sleep(0.01)
