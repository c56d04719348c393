"""`shualian face`: what the pipeline sees in one picture, and what is asked of a face by business type and amount."""

from pathlib import Path
from typing import Annotated

import typer

from face_pipeline import Assurance, FacePipeline, FacePolicy, Modality, load_manifest
from server.commands.mistakes import CommandError, ExitCode
from server.commands.options import Json
from server.commands.output import console, plain, print_json, show_list, yuan
from server.commands.session import session_of
from server.faces.errors import CameraInsufficientError, FaceRulesError
from server.faces.loading import face_policy, face_rules
from server.faces.rules import FaceRules
from server.faces.rules_file import BUSINESS_TYPES, FEN_MAX, business_type_of
from shualian.terminal.v1 import face_pb2

app = typer.Typer(name="face", help="Look at one picture; show the rules.", no_args_is_help=True, add_completion=False)


@app.callback()
def face() -> None:
    """Look at one picture; show the rules."""


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


@app.command("rules")
def rules(
    context: typer.Context,
    *,
    business_type: Annotated[
        str, typer.Option("--business-type", metavar="CODE", help="National code, e.g. 01301; what holds for it.")
    ] = "01301",
    amount_fen: Annotated[
        int, typer.Option("--amount-fen", min=0, max=FEN_MAX, help="The bill; 0 when it is not known yet.")
    ] = 0,
    cannot_move: Annotated[
        bool, typer.Option("--cannot-move", help="For somebody who cannot do what a challenge asks.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Print what is asked of a face and what it is good for, by camera: as configured, for one business and amount."""
    config = session_of(context).config
    policy = face_policy(config)
    held = face_rules(config, policy)
    rows = [
        _shown(held, _business_type(business_type), amount_fen, cannot_move=cannot_move, assurance=assurance)
        for assurance in (Assurance.COLOUR, Assurance.SOLID)
    ]
    if as_json:
        print_json({"version": held.version, "policy": policy.version, "cameras": rows})
        return
    columns = ("camera", "band", "turns", "extras", "similarity_min", "pays_up_to", "pin_above", "staff", "refused")
    show_list("cameras", [_for_people(row) for row in rows], columns=columns, as_json=False, empty="")
    console().print(f"rules {held.version}, thresholds {policy.version}", style="dim")


def _business_type(code: str) -> int:
    try:
        return business_type_of(code)
    except FaceRulesError as error:
        message = f"{code} is no business type."
        raise CommandError(message, next=f"One of: {', '.join(BUSINESS_TYPES)}.", code=ExitCode.USAGE) from error


def _shown(
    held: FaceRules, business_type: int, amount_fen: int, *, cannot_move: bool, assurance: Assurance
) -> dict[str, object]:
    """Return what holds before one camera; a refusal in the place of numbers when it is not enough."""
    beside = frozenset(Modality) if assurance is Assurance.SOLID else frozenset[Modality]()
    row: dict[str, object] = {
        "camera": "with infrared and depth" if beside else "colour alone", "band": None, "turns": None, "extras": None,
        "similarity_min": None, "amount_limit_fen": None, "pin_free_limit_fen": None, "staff_may_confirm": None,
        "refused": None,
    }  # fmt: skip
    try:
        rule = held.for_start(
            business_type=business_type,
            amount_fen=amount_fen,
            beside=beside,
            cannot_move=cannot_move,
            purpose=face_pb2.PURPOSE_VERIFY,
        )
    except CameraInsufficientError as refusal:
        return {**row, "refused": f"{refusal.reason}: needs {refusal.needed}"}
    limits = rule.limits(assurance)
    asked = {"turns": rule.plan.turns, "extras": rule.plan.extras, "similarity_min": rule.similarity_min}
    return {**row, "band": rule.band, **asked, **plain(limits)}


def _for_people(row: dict[str, object]) -> dict[str, object]:
    pays, free = row["amount_limit_fen"], row["pin_free_limit_fen"]
    return {
        **row,
        "pays_up_to": yuan(pays) if isinstance(pays, int) else None,
        "pin_above": yuan(free) if isinstance(free, int) else None,
        "staff": "may confirm" if row["staff_may_confirm"] else None,
    }
