"""Where do enrolled faces rest, and how is one found among many?

The index that scans with faiss is reached by its module, `face_pipeline.gallery.scan`: few commands need it, and it
takes a tenth of a second to load.
"""

from face_pipeline.gallery.decision import Identification, identified
from face_pipeline.gallery.exact import ExactIndex
from face_pipeline.gallery.index import Candidate, GalleryIndex, Layout
from face_pipeline.gallery.store import MemoryTemplateStore, TemplateStore

__all__ = [
    "Candidate",
    "ExactIndex",
    "GalleryIndex",
    "Identification",
    "Layout",
    "MemoryTemplateStore",
    "TemplateStore",
    "identified",
]
