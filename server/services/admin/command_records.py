"""How do commands look in the admin API, and an operator's order in the domain?"""

from datetime import datetime, timedelta

from device_registry.commands.command_parameters import FIRMWARE_ID, HEARTBEAT_INTERVAL, URL, Parameters
from device_registry.commands.command_records import TERMINALS_WORD, Command, CommandAction
from server import convert as common
from server.refusals import FieldViolation, InvalidRequestError
from server.services.admin import convert
from shualian.admin.v1 import command_pb2 as pb

_MILLISECOND = timedelta(milliseconds=1)
_TAKES = {
    pb.COMMAND_ACTION_SET_CONFIGURATION: {"heartbeat_interval"},
    pb.COMMAND_ACTION_OFFER_FIRMWARE: {"firmware_id", "url"},
}


def action_of(order: pb.Order) -> CommandAction:
    """Return what is to be done."""
    return CommandAction[pb.CommandAction.Name(order.action).removeprefix("COMMAND_ACTION_")]


def parameters_of(order: pb.Order) -> Parameters:
    """Return what the action needs.

    Raises:
        InvalidRequestError: the order lacks something its action needs, or has something it does not take.
    """
    given = {name for name in ("firmware_id", "url") if getattr(order, name)}
    if order.HasField("heartbeat_interval"):
        given.add("heartbeat_interval")
    wanted = _TAKES.get(order.action, set())
    if given != wanted:
        rule = "is needed for this action"
        fields = sorted(wanted - given) or sorted(given - wanted)
        if not wanted - given:
            rule = "does not belong to this action"
        raise InvalidRequestError(violations=tuple(FieldViolation(field=f"order.{it}", rule=rule) for it in fields))
    match order.action:
        case pb.COMMAND_ACTION_SET_CONFIGURATION:
            return {HEARTBEAT_INTERVAL: order.heartbeat_interval.ToTimedelta() // _MILLISECOND}
        case pb.COMMAND_ACTION_OFFER_FIRMWARE:
            return {FIRMWARE_ID: order.firmware_id, URL: order.url}
        case _:
            return {}


def lifetime_of(order: pb.Order) -> timedelta | None:
    """Return for how long it is worth doing, None when nobody said."""
    return order.lifetime.ToTimedelta() if order.HasField("lifetime") else None


def order(action: CommandAction, parameters: Parameters, lifetime: timedelta | None) -> pb.Order:
    """Return an action with what it needs as the contract writes it."""
    message = pb.Order(
        action=convert.enum_of(pb.CommandAction, "COMMAND_ACTION", action),
        firmware_id=str(parameters.get(FIRMWARE_ID, "")),
        url=str(parameters.get(URL, "")),
    )
    if HEARTBEAT_INTERVAL in parameters:
        message.heartbeat_interval.FromTimedelta(int(parameters[HEARTBEAT_INTERVAL]) * _MILLISECOND)
    if lifetime is not None:
        message.lifetime.CopyFrom(common.duration(lifetime))
    return message


def command(record: Command, now: datetime) -> pb.Command:
    """Return a command as the contract writes it."""
    answer = record.late_outcome or (record.outcome if record.outcome in TERMINALS_WORD else None)
    return pb.Command(
        command_id=record.command_id,
        terminal_id=record.terminal_id,
        order=order(record.action, record.parameters, record.expires_at - record.queued_at),
        state=convert.enum_of(pb.CommandState, "COMMAND_STATE", record.state(now)),
        answer=convert.enum_of(pb.CommandAnswer, "COMMAND_ANSWER", answer),
        detail=record.detail,
        queued_by=record.queued_by,
        queued_at=convert.when(record.queued_at),
        expires_at=convert.when(record.expires_at),
        sent_at=convert.when(record.sent_at),
        times_sent=record.times_sent,
        answered_at=convert.when(record.answered_at),
        closed_at=convert.when(record.closed_at),
    )
