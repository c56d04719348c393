"""Arguments and options that several verbs share, told in the same words everywhere."""

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it stands in the audit trail. Nothing personal.")]
TerminalId = Annotated[str, typer.Argument(metavar="TERMINAL", help="Id of the terminal, or its serial number.")]
