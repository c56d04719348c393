"""The questions asked of the outbox to the terminals, and what its commands need to know of a terminal."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping, bindparam, exists, func, insert, or_, select, update

from device_registry.commands.command_records import Command, CommandAction, CommandOutcome
from device_registry.health import recent_connects
from device_registry.tables import certificates, commands, vitals

DETAIL_LENGTH_MAX = 1000  # device.proto
ANSWER_WITHIN = timedelta(minutes=1)
"""How long after its renewal a terminal's own answer is waited for."""

_ADD = insert(commands)
_OF_TERMINAL = (
    select(commands)
    .where(commands.c.terminal_id == bindparam("terminal_id"))
    .order_by(commands.c.queued_at.desc(), commands.c.command_id.desc())
    .limit(bindparam("limit"))
)
_OPEN = (
    select(commands)
    .where(commands.c.terminal_id == bindparam("terminal_id"), commands.c.outcome.is_(None))
    .order_by(commands.c.queued_at, commands.c.command_id)
)
_ONE = select(commands).where(commands.c.command_id == bindparam("command_id"))
_BY_KEY = select(commands).where(commands.c.idempotency_key == bindparam("idempotency_key"))
_RENEWED_SINCE = exists().where(
    certificates.c.terminal_id == commands.c.terminal_id,
    certificates.c.issued_at > commands.c.queued_at,
    certificates.c.issued_at <= bindparam("calm"),
)
_WITH_SOMETHING_OVER = (
    select(commands.c.terminal_id)
    .distinct()
    .where(
        commands.c.outcome.is_(None),
        or_(
            commands.c.expires_at <= bindparam("now"),
            (commands.c.action == CommandAction.RENEW_CERTIFICATE) & _RENEWED_SINCE,
        ),
    )
    .limit(bindparam("limit"))
)
_SENT = (
    update(commands)
    .where(commands.c.command_id == bindparam("which"), commands.c.outcome.is_(None))
    .values(sent_at=bindparam("at"), times_sent=commands.c.times_sent + 1)
)
_ANSWERED = (
    update(commands)
    .where(commands.c.command_id == bindparam("which"), commands.c.outcome.is_(None))
    .values(answered_at=bindparam("at"), outcome=bindparam("how"), detail=bindparam("text"))
)
_ANSWERED_LATE = (
    update(commands)
    .where(commands.c.command_id == bindparam("which"), commands.c.answered_at.is_(None))
    .values(answered_at=bindparam("at"), late_outcome=bindparam("how"), detail=bindparam("text"))
)
_CLOSED = (
    update(commands)
    .where(commands.c.command_id == bindparam("which"), commands.c.outcome.is_(None))
    .values(closed_at=bindparam("at"), outcome=bindparam("how"), detail=bindparam("text"))
)
_ISSUED_AT = select(func.max(certificates.c.issued_at)).where(certificates.c.terminal_id == bindparam("terminal_id"))
_REPORTED = select(vitals.c.recent_connects, vitals.c.firmware_version).where(
    vitals.c.terminal_id == bindparam("terminal_id")
)


def add(connection: Connection, command: Command) -> None:
    """Write a new command down."""
    values = {column.name: getattr(command, column.name) for column in commands.columns}
    connection.execute(_ADD, {**values, "parameters": json.dumps(command.parameters, sort_keys=True)})


def find(connection: Connection, command_id: str) -> Command | None:
    """Return a command, None when there is none."""
    return _command(connection.execute(_ONE, {"command_id": command_id}).mappings().first())


def find_by_key(connection: Connection, idempotency_key: str) -> Command | None:
    """Return the command that was queued under a key."""
    return _command(connection.execute(_BY_KEY, {"idempotency_key": idempotency_key}).mappings().first())


def open_commands(connection: Connection, terminal_id: str) -> list[Command]:
    """Return the commands of a terminal that nobody answered or closed, oldest first."""
    return _commands(connection.execute(_OPEN, {"terminal_id": terminal_id}).mappings().all())


def history(connection: Connection, terminal_id: str, *, limit: int) -> list[Command]:
    """Return a terminal's last commands, newest first."""
    rows = connection.execute(_OF_TERMINAL, {"terminal_id": terminal_id, "limit": limit}).mappings()
    return _commands(rows.all())


def terminals_to_look_at(connection: Connection, *, now: datetime, limit: int) -> list[str]:
    """Return terminals with an open command whose time is over, or that have renewed since they were told to."""
    return list(connection.scalars(_WITH_SOMETHING_OVER, {"now": now, "calm": now - ANSWER_WITHIN, "limit": limit}))


def sent(connection: Connection, command_id: str, *, at: datetime) -> bool:
    """Note that a command is put on a stream; return False when it is over and must not be."""
    return connection.execute(_SENT, {"which": command_id, "at": at}).rowcount == 1


def answer(
    connection: Connection, command: Command, *, outcome: CommandOutcome, detail: str, at: datetime
) -> Command | None:
    """Note a terminal's answer, as information when the command is over; None for one that was answered before."""
    text = detail[:DETAIL_LENGTH_MAX]
    values = {"which": command.command_id, "at": at, "how": outcome, "text": text}
    if connection.execute(_ANSWERED, values).rowcount == 1:
        return replace(command, answered_at=at, outcome=outcome, detail=text)
    told = f"{command.detail}; answered late: {text}"[:DETAIL_LENGTH_MAX]
    if connection.execute(_ANSWERED_LATE, {**values, "text": told}).rowcount == 1:
        return replace(command, answered_at=at, late_outcome=outcome, detail=told)
    return None


def close(connection: Connection, command: Command, *, outcome: CommandOutcome, detail: str, at: datetime) -> Command:
    """End a command on the platform's own decision."""
    connection.execute(_CLOSED, {"which": command.command_id, "at": at, "how": outcome, "text": detail})
    return replace(command, closed_at=at, outcome=outcome, detail=detail)


def newest_certificate_issued_at(connection: Connection, terminal_id: str) -> datetime | None:
    """Return when a terminal got its newest certificate."""
    moment: datetime | None = connection.execute(_ISSUED_AT, {"terminal_id": terminal_id}).scalar_one()
    return moment


def reported(connection: Connection, terminal_id: str) -> tuple[datetime | None, str | None]:
    """Return when a terminal last connected, and with which firmware."""
    row = connection.execute(_REPORTED, {"terminal_id": terminal_id}).first()
    if row is None:
        return None, None
    return next(iter(recent_connects(row.recent_connects)), None), row.firmware_version


def _commands(rows: Sequence[RowMapping]) -> list[Command]:
    return [command for row in rows if (command := _command(row)) is not None]


def _command(row: RowMapping | None) -> Command | None:
    return None if row is None else Command(**{**row, "parameters": json.loads(row["parameters"])})
