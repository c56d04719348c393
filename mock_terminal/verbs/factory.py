"""Verbs of a maker in software: found a plant, make terminals, sign firmware. For tests and demos."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from mock_terminal.disk import write_private
from mock_terminal.leaving import Exit, leave
from mock_terminal.options import DEFAULT_STATE, Json, State
from mock_terminal.plant import Plant
from mock_terminal.report import Reporter

app = typer.Typer(
    name="factory",
    help="A maker of terminals in software, for tests and demos.",
    no_args_is_help=True,
    add_completion=False,
)

PlantFolder = Annotated[Path, typer.Option("--folder", help="Folder of the maker's keys.")]


@app.command()
def init(
    *,
    folder: PlantFolder,
    maker: Annotated[str, typer.Option(help="Name of the maker, in its certificates.")] = "Heron Devices",
    as_json: Json = False,
) -> None:
    """Make root, line and firmware key of a maker; `root.pem` and `firmware.pub.pem` are for the platform."""
    report = Reporter(as_json=as_json)

    async def work() -> Exit:
        Plant(folder=folder).found(maker=maker, now=datetime.now(UTC))
        report.event(
            "founded", maker=maker, root=str(folder / "root.pem"), firmware_key=str(folder / "firmware.pub.pem")
        )
        return Exit.OK

    leave(work, report)


@app.command()
def make(
    *,
    folder: PlantFolder,
    serial: Annotated[str, typer.Option(help="Serial number of the new terminal.")],
    state: State = DEFAULT_STATE,
    as_json: Json = False,
) -> None:
    """Burn a factory identity into the state folder of a new terminal."""
    report = Reporter(as_json=as_json)

    async def work() -> Exit:
        made = Plant(folder=folder).make(serial_number=serial, state=state, now=datetime.now(UTC))
        report.event("made", serial=made.serial_number, state=str(state))
        return Exit.OK

    leave(work, report)


@app.command()
def sign(
    *,
    folder: PlantFolder,
    image: Annotated[Path, typer.Option(help="The firmware.")],
    model: Annotated[str, typer.Option(help="The model it is for.")],
    version: Annotated[str, typer.Option(help="Its version.")],
    maker: Annotated[str, typer.Option(help="Name of the maker, as the platform has it.")] = "Heron Devices",
    manifest: Annotated[Path, typer.Option(help="Where the manifest goes; the signature goes beside it, `.sig`.")],
    as_json: Json = False,
) -> None:
    """Write a firmware manifest and its signature."""
    report = Reporter(as_json=as_json)

    async def work() -> Exit:
        facts = {"manufacturer": maker, "model": model, "version": version}
        content, signature = Plant(folder=folder).sign_firmware(image=image, facts=facts)
        signature_path = manifest.with_name(f"{manifest.name}.sig")
        write_private(manifest, content)
        write_private(signature_path, signature)
        report.event("signed", manifest=str(manifest), signature=str(signature_path))
        return Exit.OK

    leave(work, report)
