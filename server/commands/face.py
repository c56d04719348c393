"""`shualian face`: what the pipeline sees in one picture; for makers of terminals and for enrolling."""

from pathlib import Path
from typing import Annotated

import typer

from face_pipeline import FacePipeline, FacePolicy, load_manifest
from server.commands.options import Json
from server.commands.output import console, print_json
from server.commands.session import session_of

app = typer.Typer(name="face", help="Look at one picture.", no_args_is_help=True, add_completion=False)


@app.callback()
def face() -> None:
    """Look at one picture."""


@app.command("landmarks")
def landmarks(
    context: typer.Context,
    *,
    picture: Annotated[Path, typer.Argument(metavar="FILE", help="A JPEG with one face.", dir_okay=False)],
    as_json: Json = False,
) -> None:
    """Print where eyes, nose and mouth corners are, in pixels; the mock terminal's camera needs them."""
    config = session_of(context).config
    manifest = load_manifest(config.models_manifest)
    pipeline = FacePipeline.load(manifest=manifest, models_dir=config.models_dir, policy=FacePolicy())
    found = pipeline.landmarks(picture.read_bytes())
    points = {
        "right_eye": found.right_eye,
        "left_eye": found.left_eye,
        "nose": found.nose,
        "right_mouth": found.right_mouth,
        "left_mouth": found.left_mouth,
    }
    if as_json:
        size = {"image_width": found.image_width, "image_height": found.image_height}
        print_json({"points": [[round(x, 2), round(y, 2)] for x, y in points.values()], **size})
        return
    for name, (x, y) in points.items():
        console().print(f"{name.replace('_', ' '):12} {x:8.1f} {y:8.1f}")
