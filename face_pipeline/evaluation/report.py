"""How does an evaluation become a page that can be handed on, and a document that a program can read?"""

import dataclasses
import json
import os
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

from face_pipeline.evaluation.notice import Figures, notes, notice
from face_pipeline.evaluation.plots import plots
from face_pipeline.evaluation.run import Run
from face_pipeline.evaluation.sheet import sections, thumbnails
from face_pipeline.evaluation.tables import tables

SCHEMA: Final = 1  # of the JSON document; a field that changes its meaning raises it
PRIVATE: Final = 0o600


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was asked, what came out, and how to tell it."""

    kind: str
    run: Run
    figures: Figures

    @property
    def notice(self) -> str:
        """The first line of everything."""
        return notice(self.figures, rolled_degrees=self.run.options.rolled_degrees)

    @property
    def notes(self) -> list[str]:
        """How to read the numbers."""
        return notes(self.figures, all_pairs=self.run.options.all_pairs)

    def document(self) -> dict[str, Any]:
        """Return everything as JSON can hold it; the notice comes first. No picture is in it."""
        options = dataclasses.asdict(self.run.options)
        del options["threads"]  # changes nothing in the figures
        return {
            "notice": self.notice,
            "schema": SCHEMA,
            "kind": self.kind,
            "folder": self.run.folder.resolve().name,
            "options": options,
            "policy_version": self.run.systems[0].pipeline.policy.version,
            "notes": self.notes,
            "figures": dataclasses.asdict(self.figures),
        }

    def html(self, *, with_faces: bool = False) -> str:
        """Return one page that needs nothing beside it: no script, no network, no file.

        Args:
            with_faces: show the worst decisions as thumbnails. The page is personal data then, and says so.
        """
        from jinja2 import Environment, StrictUndefined  # noqa: PLC0415 - only those who want a page wait for it

        source = resources.files("face_pipeline.evaluation").joinpath("report.html.j2").read_text(encoding="utf-8")
        template = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
        worst = sections(self.figures)
        return template.from_string(source).render(
            report=self,
            document=self.document(),
            tables=tables(self.figures),
            plots=plots(self.figures),
            sections=worst,
            faces=thumbnails(self.run.folder, worst, self.run.systems[0].pipeline.policy) if with_faces else {},
            with_faces=with_faces,
        )


def as_json_text(document: dict[str, Any]) -> str:
    """Return a document as a file holds it."""
    return json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def write(path: Path, content: str, *, private: bool) -> None:
    """Write a file whole or not at all; one with faces is for its owner alone."""
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    mode = PRIVATE if private else 0o666  # less what the umask takes away
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        file.write(content)
    beside.replace(path)
