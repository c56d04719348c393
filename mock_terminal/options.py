"""Options that several verbs take, each with its meaning once."""

from pathlib import Path
from typing import Annotated, Final

import typer

State = Annotated[Path, typer.Option(help="Folder of this terminal's keys and journal.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line for each event.")]
Platform = Annotated[str, typer.Option(help="Terminal port of the platform, host:port.")]
PortraitFile = Annotated[Path | None, typer.Option("--portrait", help="Picture of who is before the camera.")]
LandmarksFile = Annotated[
    Path | None, typer.Option("--landmarks", help="Its five points, as `shualian face landmarks --json` prints them.")
]
ClaimFile = Annotated[Path | None, typer.Option("--claim", help='JSON {"id_number", "name"}; - is standard input.')]
Total = Annotated[int, typer.Option(help="Whole bill, fen.")]
NotCovered = Annotated[int, typer.Option(help="Part outside the insurance catalogue, fen.")]
BillNumber = Annotated[str, typer.Option(help="The site's number for the bill.")]
Business = Annotated[int, typer.Option(help="Business type, such as 1301 for 01301.")]
Seed = Annotated[int, typer.Option(help="Makes the camera's noise and tremor repeatable.")]
TransactionId = Annotated[str, typer.Option(help="UUIDv7; made when empty.")]
DEFAULT_STATE: Final = Path("shualian-terminal")
