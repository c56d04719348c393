"""How do rollouts and the forecast look in the admin API, and an operator's plan in the domain?"""

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from enum import StrEnum
from typing import Any

from device_registry import model
from device_registry.rollouts import forecast as domain_forecast
from device_registry.rollouts.rollout_records import Member, MemberState, Progress, Rollout, RolloutPlan, RosterFilter
from server import convert as common
from server.services.admin import command_records, convert, registry_records
from shualian.admin.v1 import registry_pb2
from shualian.admin.v1 import rollout_pb2 as pb


def plan_of(message: pb.RolloutPlan) -> RolloutPlan:
    """Return what an operator decided; what was left open is ours to choose."""
    chosen: dict[str, Any] = {
        "groups": tuple(message.groups),
        "pace_per_minute": message.pace_per_minute,
        "failures_answered_min": message.failures_answered_min,
        "group_done_percent": message.group_done_percent,
    }
    if message.HasField("failures_percent_max"):
        chosen["failures_percent_max"] = message.failures_percent_max
    return RolloutPlan(
        action=command_records.action_of(message.order),
        parameters=command_records.parameters_of(message.order),
        command_lifetime=command_records.lifetime_of(message.order),
        where=registry_records.roster_filter(message.filter),
        failures_max=message.failures_max if message.HasField("failures_max") else None,
        soak=message.soak.ToTimedelta() if message.HasField("soak") else timedelta(0),
        **{name: value for name, value in chosen.items() if value or name == "failures_percent_max"},
    )


def plan(record: RolloutPlan) -> pb.RolloutPlan:
    """Return a plan as the contract writes it."""
    return pb.RolloutPlan(
        order=command_records.order(record.action, record.parameters, record.command_lifetime),
        filter=_filter(record.where),
        groups=record.groups,
        pace_per_minute=record.pace_per_minute,
        failures_percent_max=record.failures_percent_max,
        failures_answered_min=record.failures_answered_min,
        failures_max=record.failures_max,
        group_done_percent=record.group_done_percent,
        soak=common.duration(record.soak),
    )


def rollout(record: Rollout, progress: Progress) -> pb.Rollout:
    """Return a rollout as the contract writes it."""
    return pb.Rollout(
        rollout_id=record.rollout_id,
        plan=plan(record.plan),
        state=convert.enum_of(pb.RolloutState, "ROLLOUT_STATE", record.state),
        state_reason=record.state_reason,
        state_since=convert.when(record.state_since),
        started_by=record.started_by,
        started_at=convert.when(record.started_at),
        members=record.members,
        group_ends=record.group_ends,
        group_now=record.group_now,
        counts=[
            pb.MemberCount(state=convert.enum_of(pb.MemberState, "MEMBER_STATE", state), members=number)
            for state in MemberState
            if (number := progress.count(state))
        ],
        closed_at=convert.when(record.closed_at),
    )


def member(record: Member) -> pb.Member:
    """Return one terminal of a rollout as the contract writes it."""
    return pb.Member(
        terminal_id=record.terminal_id,
        group=record.group_number,
        place=record.place,
        state=convert.enum_of(pb.MemberState, "MEMBER_STATE", record.state),
        detail=record.detail,
        command_id=record.command_id or "",
        queued_at=convert.when(record.queued_at),
        settled_at=convert.when(record.settled_at),
    )


def forecast(record: domain_forecast.Forecast, *, limit: int) -> pb.ForecastResponse:
    """Return a forecast as the contract writes it."""
    return pb.ForecastResponse(
        total=record.total,
        lapsed=record.lapsed,
        by_missing=_shares(record.by_missing),
        by_mend=_shares(record.by_mend),
        by_region=_shares(record.by_region),
        by_site=_shares(record.by_site),
        by_class=_shares(record.by_class),
        laggards=map(_laggard, record.laggards[:limit]),
    )


def _laggard(record: domain_forecast.Laggard) -> pb.Laggard:
    return pb.Laggard(
        terminal_id=record.terminal_id,
        serial_number=record.serial_number,
        site_id=record.site_id,
        region=record.region,
        terminal_class=_class(record.terminal_class),
        last_seen_at=convert.when(record.last_seen_at),
        renew_after=convert.when(record.renew_after),
        not_after=convert.when(record.not_after),
        missing=convert.enum_of(pb.MissingReason, "MISSING_REASON", record.missing),
        mend=convert.enum_of(pb.Mend, "MEND", record.mend),
        mendable_until=convert.when(record.mendable_until),
    )


def _shares(counted: Counter[Any]) -> Iterable[pb.Share]:
    for name, number in counted.most_common():
        yield pb.Share(name=name.value if isinstance(name, StrEnum) else name, terminals=number)


def _class(kind: model.TerminalClass | None) -> Any:  # noqa: ANN401  # the contract's own type of an enum
    return convert.enum_of(registry_pb2.TerminalClass, "TERMINAL_CLASS", kind)


def _filter(where: RosterFilter) -> registry_pb2.TerminalFilter:
    return registry_pb2.TerminalFilter(
        state=convert.enum_of(registry_pb2.TerminalState, "TERMINAL_STATE", where.state),
        region=where.region or "",
        site_id=where.site_id or "",
        terminal_class=_class(where.terminal_class),
        manufacturer=where.manufacturer or "",
        model=where.model or "",
        serial_number=where.serial_number or "",
        firmware_version=where.firmware_version or "",
        expiring_before=convert.when(where.expiring_before),
        issuer_id=where.issuer_id or "",
        presence=convert.enum_of(registry_pb2.Presence, "PRESENCE", where.presence),
    )
