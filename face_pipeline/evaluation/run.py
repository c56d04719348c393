"""What is measured, with which models, and how far is it?"""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from face_pipeline.evaluation.folders import Presentation
from face_pipeline.evaluation.pictures import Failure, Shot, System, Tick, each
from face_pipeline.frames import Embedding


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to measure, and with which draw."""

    all_pairs: bool = False
    """Verification: compare every two pictures of different persons, not the listed impostor pairs alone."""
    rolled_degrees: float = 0.0
    """Verification: turn one picture of each genuine pair by so much, to a side that is drawn."""
    enrolled_share: float = 0.5
    """Identification: of the people."""
    limit: int | None = None
    """At most so many pairs of each kind, pictures of each kind, or people."""
    seed: int = 1
    threads: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One folder under one or several systems; all of them look at the same pictures."""

    folder: Path
    systems: tuple[System, ...]
    """The first one is what the policy's thresholds were made for."""
    options: Options
    tick: Tick

    def draw(self) -> random.Random:
        """Return a source of draws that is the same for the same seed."""
        return random.Random(self.options.seed)  # noqa: S311 - a repeatable draw, no secret

    def policy_applies(self, system: System, job: str) -> bool:
        """Return whether this system does the job by the models that the policy's thresholds were made for."""
        return system.pipeline.model_versions[job] == self.systems[0].pipeline.model_versions[job]

    def embeddings(self, system: System, shots: Iterable[Shot]) -> dict[Shot, Embedding | Failure]:
        """Return what the system makes of each shot."""
        return each(
            lambda shot: system.embedding(self.folder, shot),
            shots,
            name=system.name,
            tick=self.tick,
            threads=self.options.threads,
        )

    def probabilities(self, system: System, shown: Iterable[Presentation]) -> dict[Presentation, float | Failure]:
        """Return what the system's passive model says of each picture."""
        return each(
            lambda presentation: system.live_probability(self.folder, Shot(file=presentation.file)),
            shown,
            name=system.name,
            tick=self.tick,
            threads=self.options.threads,
        )
