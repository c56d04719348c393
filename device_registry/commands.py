"""The outbox to the terminals: written before it is sent, sent until it is answered, void after its time."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import uuid_utils
from sqlalchemy import Connection, RowMapping, bindparam, insert, select, update

from device_registry.errors import CommandInvalidError, CommandUnknownError, TooManyCommandsError
from device_registry.model import Command, CommandAction, CommandOutcome, RegistryPolicy
from device_registry.tables import commands

HEARTBEAT_INTERVAL = "heartbeat_interval_ms"
DETAIL_LENGTH_MAX = 1000  # device.proto
_INTERVAL_MIN = timedelta(seconds=1)
_INTERVAL_MAX = timedelta(hours=1)
_MILLISECOND = timedelta(milliseconds=1)

_OF_TERMINAL = (
    select(commands)
    .where(commands.c.terminal_id == bindparam("terminal_id"))
    .order_by(commands.c.queued_at.desc(), commands.c.command_id.desc())
    .limit(bindparam("limit"))
)
_PENDING = (
    select(commands)
    .where(
        commands.c.terminal_id == bindparam("terminal_id"),
        commands.c.answered_at.is_(None),
        commands.c.expires_at > bindparam("now"),
    )
    .order_by(commands.c.queued_at, commands.c.command_id)
)
_ONE = select(commands).where(
    commands.c.command_id == bindparam("command_id"), commands.c.terminal_id == bindparam("terminal_id")
)
_SENT = (
    update(commands)
    .where(commands.c.command_id == bindparam("which"))
    .values(sent_at=bindparam("at"), times_sent=commands.c.times_sent + 1)
)
_ANSWERED = (
    update(commands)
    .where(commands.c.command_id == bindparam("which"), commands.c.answered_at.is_(None))
    .values(answered_at=bindparam("at"), outcome=bindparam("how"), detail=bindparam("text"))
)


def queue(
    connection: Connection,
    *,
    terminal_id: str,
    action: CommandAction,
    parameters: Mapping[str, str | int],
    actor: str,
    now: datetime,
    policy: RegistryPolicy,
) -> Command:
    """Write a command down; whoever follows the events sends it."""
    _refuse_parameters(action, parameters)
    if len(pending(connection, terminal_id, now=now)) >= policy.commands_open_max:
        raise TooManyCommandsError(terminal_id=terminal_id, commands_open_max=policy.commands_open_max)
    command = Command(
        command_id=str(uuid_utils.uuid7()),
        terminal_id=terminal_id,
        action=action,
        parameters=dict(parameters),
        queued_by=actor,
        queued_at=now,
        expires_at=now + policy.command_lifetime,
        sent_at=None,
        times_sent=0,
        answered_at=None,
        outcome=None,
        detail="",
    )
    values = {column.name: getattr(command, column.name) for column in commands.columns}
    connection.execute(insert(commands), {**values, "parameters": json.dumps(command.parameters, sort_keys=True)})
    return command


def pending(connection: Connection, terminal_id: str, *, now: datetime) -> list[Command]:
    """Return what a terminal still has to do, oldest first, what was sent and not answered included."""
    rows = connection.execute(_PENDING, {"terminal_id": terminal_id, "now": now}).mappings()
    return [_command(row) for row in rows]


def history(connection: Connection, terminal_id: str, *, limit: int) -> list[Command]:
    """Return a terminal's last commands, newest first."""
    rows = connection.execute(_OF_TERMINAL, {"terminal_id": terminal_id, "limit": limit}).mappings()
    return [_command(row) for row in rows]


def sent(connection: Connection, command_id: str, *, now: datetime) -> None:
    """Note that a command was put on a stream."""
    if connection.execute(_SENT, {"which": command_id, "at": now}).rowcount != 1:
        raise CommandUnknownError(command_id=command_id)


def answered(
    connection: Connection, *, terminal_id: str, command_id: str, outcome: CommandOutcome, detail: str, now: datetime
) -> Command | None:
    """Note a terminal's answer, a late one too; return None for a repeated one, of which the first counts."""
    row = connection.execute(_ONE, {"command_id": command_id, "terminal_id": terminal_id}).mappings().first()
    if row is None:  # another terminal's command is as unknown as one that never was
        raise CommandUnknownError(command_id=command_id)
    text = detail[:DETAIL_LENGTH_MAX]
    values = {"which": command_id, "at": now, "how": outcome, "text": text}
    if connection.execute(_ANSWERED, values).rowcount != 1:
        return None
    return replace(_command(row), answered_at=now, outcome=outcome, detail=text)


def _refuse_parameters(action: CommandAction, parameters: Mapping[str, str | int]) -> None:
    wanted = {HEARTBEAT_INTERVAL} if action is CommandAction.SET_CONFIGURATION else set()
    if parameters.keys() != wanted:
        raise CommandInvalidError(action=action, detail=f"wants {sorted(wanted) or 'no parameters'}")
    interval = parameters.get(HEARTBEAT_INTERVAL)
    if interval is None:
        return
    if not isinstance(interval, int) or not _INTERVAL_MIN <= interval * _MILLISECOND <= _INTERVAL_MAX:
        raise CommandInvalidError(action=action, detail=f"{HEARTBEAT_INTERVAL} from {_INTERVAL_MIN} to {_INTERVAL_MAX}")


def _command(row: RowMapping) -> Command:
    return Command(**{**row, "parameters": json.loads(row["parameters"])})
