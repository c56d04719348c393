"""Options that several verbs take, each with its meaning once."""

from pathlib import Path
from typing import Annotated, Final

import typer

from mock_terminal.eye import Cameras

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
StayNumber = Annotated[
    str, typer.Option(help="The site's number of the inpatient stay, for its prepayments and its settlement.")
]
ChronicDisease = Annotated[str, typer.Option(help="Chronic disease that the bill is for, as the insurer names it.")]
BillNumber = Annotated[str, typer.Option(help="The site's number for the bill.")]
Business = Annotated[int, typer.Option(help="Business type, such as 1301 for 01301.")]
Seed = Annotated[
    int | None, typer.Option(help="Makes place, noise and tremor before the camera repeatable; without it, new ones.")
]
CameraChoice = Annotated[Cameras, typer.Option("--camera", help="What looks at the person.")]
CannotMove = Annotated[
    bool, typer.Option("--cannot-move", help="The person cannot move the head, and said so: nothing is asked of them.")
]
Identify = Annotated[
    bool, typer.Option("--identify", help="The person does not say who they are: the platform finds out.")
]
LastFour = Annotated[
    str,
    typer.Option(
        envvar="SHUALIAN_TERMINAL_LAST_FOUR",
        help="Second factor: last four characters of the ID number; better by variable. Empty: asked at the keyboard.",
    ),
]
PhoneLastFour = Annotated[
    str, typer.Option(envvar="SHUALIAN_TERMINAL_PHONE_LAST_FOUR", help="Second factor: last four digits of the phone.")
]
At = Annotated[str, typer.Option("--at", help="Where the terminal stands, degrees north and east: 30.25,120.15.")]
Consents = Annotated[
    bool, typer.Option("--consent/--no-consent", help="Whether the person agrees to the face being looked at.")
]
TransactionId = Annotated[str, typer.Option(help="UUIDv7; made when empty.")]
DEFAULT_STATE: Final = Path("shualian-terminal")
