"""Whose face is this, among the people of a site or region? Galleries in memory, true on every replica.

They are loaded from the sealed templates when the platform starts, in the background: nobody is identified before all
are there. Afterwards whoever enrolls somebody, forgets a face or lets a person be looked for elsewhere announces it
in the same transaction, and every process follows.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Final

import structlog
from sqlalchemy import Connection

from face_pipeline.errors import EmbeddingShapeError, TemplateModelError, TemplateSealError
from face_pipeline.frames import Embedding
from face_pipeline.gallery import GalleryIndex, Identification, identified
from face_pipeline.policy import FacePolicy
from face_pipeline.template_keys import TemplateKeys
from face_pipeline.templates import open_sealed
from server.config import GalleryScope
from server.credentials.people import TOPIC_FACE
from server.faces.errors import GalleryNotReadyError
from server.faces.members import Members
from server.store import Event, UnitOfWork
from server.store.gallery import EnrolledFace, enrolled_of, enrolled_page

log = structlog.get_logger()

PAGE: Final = 500
"""Faces that are read and opened at once: some 10 ms."""
CHANGED_MAX: Final = 50_000
"""People who may wait to be looked at again; beyond, everybody is."""
NOT_READY_RETRY: Final = timedelta(seconds=5)
SEARCHERS: Final = 2
"""Threads that search; a scan is bound by the memory's bandwidth, which more of them do not widen."""


class Galleries:
    """The galleries of one process."""

    def __init__(
        self,
        *,
        unit_of_work: UnitOfWork,
        keys: TemplateKeys,
        policy: FacePolicy,
        scope: GalleryScope,
        people_max: int,
        make_index: Callable[[str], GalleryIndex],
        on_close: Callable[[], None] = lambda: None,
    ) -> None:
        """Take what is needed; nothing is loaded before `follow` runs.

        Args:
            unit_of_work: where the sealed templates are read.
            keys: open them.
            policy: says who is alike enough.
            scope: what makes a gallery: a site, or a region.
            people_max: in one gallery; with more, nobody is identified there.
            make_index: makes an empty index for a site or region.
            on_close: lets go of what the indexes share.
        """
        self._unit_of_work = unit_of_work
        self._keys = keys
        self._policy = policy
        self._scope = scope
        self._new_members = partial(Members, make_index=make_index, people_max=people_max)
        self._on_close = on_close
        self._members: Members | None = None
        self._takes = 0
        """How often everything had to be taken up anew; a load that this overtook is worth nothing."""
        self._changed: set[str] = set()
        self._woken = asyncio.Event()
        self._keeper = ThreadPoolExecutor(max_workers=1, thread_name_prefix="gallery")
        self._searchers = ThreadPoolExecutor(max_workers=SEARCHERS, thread_name_prefix="identify")

    async def are_ready(self) -> bool:
        """Return whether everybody is loaded, so that people can be identified; a warning, for all else goes on."""
        return self._members is not None

    @property
    def people(self) -> int:
        """How many places in galleries are taken; somebody at two sites takes two."""
        return sum(self._members.sizes().values()) if self._members else 0

    async def identify(self, probe: Embedding, *, site_id: str, region: str) -> Identification:
        """Return who it may be among those who are looked for at this site.

        Args:
            probe: a live face, from `Verdict.probe`.
            site_id: where the terminal stands.
            region: of that site.

        Raises:
            GalleryNotReadyError: not everybody is loaded yet; the same question may be answered in a moment.
            GalleryOverfullError: more people would have to be looked among than is safe.
            EmbeddingShapeError: the probe is not of the loaded model.
        """
        index = self._index_for(site_id=site_id, region=region)
        if index is None:
            return identified((), self._policy)
        search = partial(index.search, probe, k=self._policy.identify_candidates_max + 1)
        found = await asyncio.get_running_loop().run_in_executor(self._searchers, search)
        return identified(found, self._policy)

    def refuse_unable(self, *, site_id: str, region: str) -> None:
        """Refuse before anybody is looked at, where nobody could be identified in the end.

        Raises:
            GalleryNotReadyError, GalleryOverfullError: as `identify` would.
        """
        self._index_for(site_id=site_id, region=region)

    async def on_events(self, events: Sequence[Event]) -> None:
        """Note whose faces changed; `follow` looks at them."""
        changed = {event.subject for event in events if event.topic == TOPIC_FACE}
        if not changed:
            return
        self._changed |= changed
        if len(self._changed) > CHANGED_MAX:
            self.take_up_anew()
        self._woken.set()

    def take_up_anew(self) -> None:
        """Load everything again, because changes were missed; until then nobody is identified."""
        self._members = None
        self._takes += 1
        self._changed = set()
        self._woken.set()

    async def follow(self) -> None:
        """Load, and keep up until cancelled. Whatever goes wrong, everything is loaded again in the next round."""
        try:
            while True:
                await self._load_if_needed()
                await self._woken.wait()
                self._woken.clear()
                changed, self._changed = self._changed, set()
                if self._members is not None and changed:
                    await self._look_again(self._members, sorted(changed))
                    if self._members is not None and self._members.is_outdated:
                        self.take_up_anew()
        except BaseException:
            self.take_up_anew()
            raise

    def close(self) -> None:
        """Let the threads go."""
        self._keeper.shutdown(wait=True, cancel_futures=True)
        self._searchers.shutdown(wait=True, cancel_futures=True)
        self._on_close()

    def _index_for(self, *, site_id: str, region: str) -> GalleryIndex | None:
        if self._members is None:
            raise GalleryNotReadyError(retry_after=NOT_READY_RETRY)
        return self._members.index_of(site_id if self._scope is GalleryScope.SITE else region)

    async def _load_if_needed(self) -> None:
        while self._members is None:
            take = self._takes
            members = await self._loaded()
            if take == self._takes:
                self._members = members

    async def _loaded(self) -> Members:
        """Return everybody. Who changes meanwhile is announced, and looked at again afterwards."""
        members, after, left_out = self._new_members(), "", 0
        while True:
            read = partial(_page_into, members=members, take=self._take, after=after)
            after, missed = await self._unit_of_work.read_beside(self._keeper, read)
            left_out += missed
            if not after:
                break
        sizes = members.sizes()
        log.info("galleries_loaded", galleries=len(sizes), people=sum(sizes.values()), left_out=left_out)
        return members

    async def _look_again(self, members: Members, person_ids: Sequence[str]) -> None:
        """Bring these people up to date: who has no face any more is dropped."""
        for start in range(0, len(person_ids), PAGE):
            read = partial(_these_into, members=members, take=self._take, person_ids=person_ids[start : start + PAGE])
            await self._unit_of_work.read_beside(self._keeper, read)

    def _take(self, members: Members, face: EnrolledFace) -> bool:
        """Let a person be found; return whether they can be: a template of another model, or broken, finds nobody."""
        try:
            template = open_sealed(face.sealed, keys=self._keys, person_id=face.person_id)
            members.put(face.person_id, template, face.site_ids if self._scope is GalleryScope.SITE else {face.region})
        except (TemplateSealError, TemplateModelError, EmbeddingShapeError) as error:
            members.remove(face.person_id)
            log.warning("template_left_out", reason=error.reason)
            return False
        return True


_Take = Callable[[Members, EnrolledFace], bool]


def _page_into(connection: Connection, *, members: Members, take: _Take, after: str) -> tuple[str, int]:
    """Take in the next page; return the last id on it, empty when it was the last page, and how many were left out."""
    page = enrolled_page(connection, after=after, limit=PAGE)
    taken = sum(take(members, face) for face in page)
    return page[-1].person_id if len(page) == PAGE else "", len(page) - taken


def _these_into(connection: Connection, *, members: Members, take: _Take, person_ids: Sequence[str]) -> None:
    found = {face.person_id: face for face in enrolled_of(connection, person_ids)}
    for person_id in person_ids:
        if person_id in found:
            take(members, found[person_id])
        else:
            members.remove(person_id)
