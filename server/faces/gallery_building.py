"""Where do the faces lie that others are compared with? In memory, or in PostgreSQL for who accepts what that means."""

from collections.abc import Callable

import structlog
from sqlalchemy import Engine

from face_pipeline import FacePipeline, FacePolicy
from face_pipeline.gallery import GalleryIndex, Layout
from face_pipeline.gallery.scan import ScanIndex
from face_pipeline.template_keys import TemplateKeys
from server.config import GalleryIndexKind
from server.faces.galleries import Galleries
from server.faces.loading import gallery_layout
from server.store import UnitOfWork, open_reader
from server.store.pgvector import PgvectorIndex, Rotation, prepare
from server.wiring import Domain

log = structlog.get_logger()

MakeIndex = Callable[[str], GalleryIndex]
Close = Callable[[], None]


def galleries_of(domain: Domain, *, unit_of_work: UnitOfWork, pipeline: FacePipeline) -> Galleries:
    """Return the galleries, still empty; `Galleries.follow` fills them.

    Raises:
        DBAPIError: pgvector was chosen, and the database has none.
    """
    config, keys = domain.config, domain.keys.templates
    layout, policy = gallery_layout(pipeline), pipeline.policy
    if config.face.gallery_index is GalleryIndexKind.PGVECTOR:
        make_index, close = _in_postgresql(domain.engine, layout, keys)
    else:
        make_index, close = _in_memory(layout, policy)
    return Galleries(
        unit_of_work=unit_of_work,
        keys=keys,
        policy=policy,
        scope=config.face.gallery_scope,
        people_max=config.face.gallery_people_max,
        make_index=make_index,
        on_close=close,
    )


def _in_memory(layout: Layout, policy: FacePolicy) -> tuple[MakeIndex, Close]:
    return (lambda _place: ScanIndex(layout, shortlist=policy.identify_shortlist)), (lambda: None)


def _in_postgresql(engine: Engine, layout: Layout, keys: TemplateKeys) -> tuple[MakeIndex, Close]:
    """Say what that means, at every start, and return what makes the index of a place."""
    log.warning("faces_rest_unencrypted", table="rotated_faces", why="face.gallery_index is pgvector")
    rotation = Rotation(layout, keys)
    with engine.begin() as connection:
        prepare(connection, rotation)
    reading = open_reader(engine)

    def make(place: str) -> GalleryIndex:
        return PgvectorIndex(place, layout, rotation=rotation, writing=engine, reading=reading)

    return make, reading.dispose
