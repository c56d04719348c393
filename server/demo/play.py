"""Who plays the steps, keeps the time, and makes sure that no process and no folder is left behind?"""

import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from server.demo.narrator import Narrator
from server.demo.stage import Stage
from server.demo.story import Step
from server.programs import StepFailedError


def play(
    steps: Sequence[Step],
    narrator: Narrator,
    *,
    models_dir: Path,
    models_manifest: Path | None = None,
    keep: Path | None = None,
) -> bool:
    """Play the steps in order up to the first that fails; tell whether none did.

    Args:
        steps: the story.
        narrator: whom it is told to.
        models_dir: where the models are installed.
        models_manifest: the user's own manifest, if there is one.
        keep: folder that keeps everything; without it a temporary one is used and removed.
    """
    folder = keep or Path(tempfile.mkdtemp(prefix="shualian-demo-"))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    stage = Stage(folder=folder.absolute(), models_dir=models_dir, models_manifest=models_manifest)
    started = time.monotonic()
    try:
        narrator.begin()
        failed = _first_failed(steps, narrator, stage)
    finally:
        stage.close()
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    summary: dict[str, Any] = {"ok": failed is None, "steps": len(steps), "ms": _since(started)}
    if failed is not None:
        summary["failed"] = failed
    if keep is not None:
        summary["kept"] = str(keep)
    narrator.end(summary)
    return failed is None


def _first_failed(steps: Sequence[Step], narrator: Narrator, stage: Stage) -> str | None:
    chapter = ""
    for step in steps:
        if step.chapter != chapter:
            chapter = step.chapter
            narrator.chapter(chapter)
        narrator.starting(step.title)
        started = time.monotonic()
        try:
            for begin in step.beside:
                begin(stage)
            told = step.play(stage)
        except StepFailedError as error:
            narrator.failed(step.name, step.title, str(error), ms=_since(started))
            return step.name
        except (KeyError, OSError, TypeError, ValueError) as error:  # an answer of another shape than expected
            why = f"unexpected answer ({type(error).__name__}: {error})"
            narrator.failed(step.name, step.title, why, ms=_since(started))
            return step.name
        narrator.done(step.name, step.title, told, ms=_since(started))
    return None


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
