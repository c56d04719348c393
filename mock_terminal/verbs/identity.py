"""Verbs of identity: enroll, stay connected, renew."""

import asyncio
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from mock_terminal.birth import FactoryIdentity
from mock_terminal.client import root_with_fingerprint
from mock_terminal.connection import Connection
from mock_terminal.errors import InputError
from mock_terminal.folder import Folder
from mock_terminal.inputs import position_from, roots_from
from mock_terminal.leaving import Exit, leave
from mock_terminal.options import DEFAULT_STATE, Json, Platform, State
from mock_terminal.recovery import renew_by_any_door
from mock_terminal.report import Reporter
from mock_terminal.terminal import enroll as enroll_terminal
from shualian.terminal.v1 import enrollment_pb2


def enroll(
    *,
    platform_enroll: Annotated[str, typer.Option(help="Enrollment port of the platform, host:port.")],
    serial: Annotated[str, typer.Option(help="Serial number on the terminal; empty: the factory identity's.")] = "",
    token: Annotated[
        str,
        typer.Option(
            envvar="SHUALIAN_TERMINAL_TOKEN", help="One-time token; better by variable. Empty: the factory identity."
        ),
    ] = "",
    ticket: Annotated[
        str,
        typer.Option(
            envvar="SHUALIAN_TERMINAL_TICKET", help="Installer's ticket, for a terminal that nobody registered."
        ),
    ] = "",
    site: Annotated[str, typer.Option(help="With a ticket: id of the site where the terminal stands.")] = "",
    model: Annotated[str, typer.Option(help="With a ticket: the maker's name of the model.")] = "",
    root_fingerprint: Annotated[
        str, typer.Option(help="SHA-256 of the platform's root, as the installer was given.")
    ] = "",
    root: Annotated[Path | None, typer.Option(help="The platform's root certificate, PEM, instead.")] = None,
    state: State = DEFAULT_STATE,
    as_json: Json = False,
) -> None:
    """Make a key and trade the token, or the factory identity, for a certificate."""
    report = Reporter(as_json=as_json)

    async def work() -> Exit:
        if root is None and not root_fingerprint:
            raise InputError("give --root-fingerprint or --root: without one anybody could pose as the platform")
        if token and not serial:
            raise InputError("a token is for one serial number: give --serial")
        serial_number = serial or FactoryIdentity.read(state).serial_number
        installer = _installer(ticket, site, model) if ticket else None
        roots_pem = roots_from(root) if root else root_with_fingerprint(platform_enroll, root_fingerprint)
        identity = await enroll_terminal(
            Folder(path=state),
            address=platform_enroll,
            serial_number=serial_number,
            token=token,
            installer=installer,
            roots_pem=roots_pem,
        )
        report.event(
            "enrolled",
            terminal_id=identity.terminal_id,
            not_after=identity.not_after.isoformat(),
            renew_after=identity.renew_after.isoformat(),
        )
        return Exit.OK

    leave(work, report)


def run(
    *,
    platform: Platform,
    fail_commands: Annotated[
        str, typer.Option(help="Test aid: fail these commands on purpose, such as restart,offer-firmware.")
    ] = "",
    position: Annotated[
        str, typer.Option(help="Where the terminal stands, degrees north and east, such as 30.25,120.15.")
    ] = "",
    state: State = DEFAULT_STATE,
    as_json: Json = False,
) -> None:
    """Keep the control stream open until stopped; renew when it is time, obey commands, come back when it breaks."""
    report = Reporter(as_json=as_json)
    fails = frozenset(fail_commands.lower().replace("-", "_").split(",")) - {""}

    async def work() -> Exit:
        connection = Connection(
            Folder(path=state),
            address=platform,
            report=report,
            now=_now,
            fails=fails,
            position=position_from(position),
        )
        running = asyncio.create_task(connection.run())
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, running.cancel)
        try:
            raise await running
        except asyncio.CancelledError:
            report.event("stopped")
            return Exit.OK

    leave(work, report)


def renew(
    *,
    platform: Platform,
    platform_enroll: Annotated[
        str, typer.Option(help="Enrollment port, for a certificate that has lapsed; empty: where it was enrolled.")
    ] = "",
    state: State = DEFAULT_STATE,
    as_json: Json = False,
) -> None:
    """Renew the certificate now, with a new key; one that has lapsed by its old key, or else by the factory's."""
    report = Reporter(as_json=as_json)

    async def work() -> Exit:
        identity = await renew_by_any_door(
            Folder(path=state), platform=platform, enrollment=platform_enroll, report=report, now=_now
        )
        report.event("renewed", not_after=identity.not_after.isoformat())
        return Exit.OK

    leave(work, report)


def _installer(ticket: str, site: str, model: str) -> enrollment_pb2.Installer:
    if not site or not model:
        raise InputError("a ticket registers the terminal: give --site and --model")
    return enrollment_pb2.Installer(ticket=ticket, site_id=site, model=model)


def _now() -> datetime:
    return datetime.now(UTC)
