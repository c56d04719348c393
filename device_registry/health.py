"""How the terminals do: vitals from heartbeats, and presence as a derived state with a deadline."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping, and_, bindparam, func, insert, or_, select, update

from device_registry.fleet import whereabouts
from device_registry.fleet.places import Position
from device_registry.model import CertificateStatus, Presence, ReceivedHeartbeat, RegistryPolicy, Vitals
from device_registry.tables import certificates, microseconds_from_time, terminals, time_from_microseconds, vitals

_CERTIFICATE_END = (
    select(func.max(certificates.c.not_after))
    .where(certificates.c.terminal_id == terminals.c.terminal_id, certificates.c.status == CertificateStatus.CURRENT)
    .scalar_subquery()
    .label("certificate_not_after")
)
_ONE = (
    select(vitals, _CERTIFICATE_END)
    .join(terminals, terminals.c.terminal_id == vitals.c.terminal_id)
    .where(vitals.c.terminal_id == bindparam("terminal_id"))
)
_CAME_BEFORE = select(vitals.c.recent_connects, vitals.c.recent_origins, vitals.c.recent_positions).where(
    vitals.c.terminal_id == bindparam("terminal_id")
)
_CONNECTED = (
    update(vitals)
    .where(vitals.c.terminal_id == bindparam("which"))
    .values(
        is_connected=True,
        recent_connects=bindparam("connects"),
        last_seen_at=bindparam("seen_at"),
        firmware_version=bindparam("firmware"),
        clock_skew=bindparam("skew"),
        recent_origins=bindparam("origins"),
        recent_positions=bindparam("positions"),
    )
)
_DISCONNECTED = update(vitals).where(vitals.c.terminal_id == bindparam("which")).values(is_connected=False)
# A heartbeat that was overtaken by a later one changes nothing.
_HEARTBEAT = (
    update(vitals)
    .where(
        and_(
            vitals.c.terminal_id == bindparam("which"),
            or_(vitals.c.last_seen_at.is_(None), vitals.c.last_seen_at <= bindparam("seen_at")),
        )
    )
    .values(
        is_connected=True,
        last_seen_at=bindparam("seen_at"),
        camera_state=bindparam("camera"),
        temperature_celsius=bindparam("temperature"),
        queue_length=bindparam("queue"),
        clock_skew=bindparam("skew"),
    )
)


def presence(
    *,
    is_connected: bool,
    last_seen_at: datetime | None,
    recent_connects: Sequence[datetime],
    now: datetime,
    policy: RegistryPolicy,
) -> tuple[Presence, datetime | None]:
    """Return a terminal's presence, and when it changes by itself unless something is heard.

    Args:
        is_connected: whether the last word on its stream was that it is open.
        last_seen_at: when anything was last heard.
        recent_connects: times of its last connects, newest first.
        now: the platform's clock.
        policy: what overdue and flapping mean.
    """
    if last_seen_at is None:
        return Presence.UNSEEN, None
    overdue_at = last_seen_at + policy.overdue_after
    if now >= overdue_at:
        return Presence.OVERDUE, None
    if len(recent_connects) >= policy.flapping_connects:
        calm_at = recent_connects[policy.flapping_connects - 1] + policy.flapping_window
        if now < calm_at:
            return Presence.FLAPPING, min(calm_at, overdue_at)
    return (Presence.CONNECTED if is_connected else Presence.DISCONNECTED), overdue_at


def recent_connects(column: str) -> list[datetime]:
    """Return the times that the column of that name holds, newest first."""
    return [time_from_microseconds(value) for value in json.loads(column)]


def begin(connection: Connection, terminal_id: str) -> None:
    """Make room for a new terminal's vitals, so that a heartbeat is one UPDATE."""
    connection.execute(insert(vitals), {"terminal_id": terminal_id, "is_connected": False, "recent_connects": "[]"})


def one(connection: Connection, terminal_id: str, *, now: datetime, policy: RegistryPolicy) -> Vitals | None:
    """Return a terminal's vitals, None when there is no such terminal."""
    row = connection.execute(_ONE, {"terminal_id": terminal_id}).mappings().first()
    return None if row is None else _vitals(row, now, policy)


def connected(
    connection: Connection,
    *,
    terminal_id: str,
    firmware_version: str,
    clock_skew: timedelta,
    origin: str,
    position: Position | None,
    now: datetime,
    policy: RegistryPolicy,
) -> None:
    """Note that a control stream was opened, and from where."""
    before = connection.execute(_CAME_BEFORE, {"terminal_id": terminal_id}).first() or ("[]", None, None)
    connects = [microseconds_from_time(now), *json.loads(before[0])][: policy.flapping_connects]
    connection.execute(
        _CONNECTED,
        {
            "which": terminal_id,
            "connects": json.dumps(connects),
            "seen_at": now,
            "firmware": firmware_version,
            "skew": clock_skew,
            "origins": whereabouts.with_origin(before[1], origin, now),
            "positions": whereabouts.with_position(before[2], position, now),
        },
    )


def disconnected(connection: Connection, *, terminal_id: str) -> None:
    """Note that a control stream has ended."""
    connection.execute(_DISCONNECTED, {"which": terminal_id})


def record(connection: Connection, heartbeats: Sequence[ReceivedHeartbeat]) -> None:
    """Write many heartbeats with one prepared statement."""
    if not heartbeats:
        return
    connection.execute(
        _HEARTBEAT,
        [
            {
                "which": heartbeat.terminal_id,
                "seen_at": heartbeat.received_at,
                "camera": heartbeat.report.camera_state,
                "temperature": heartbeat.report.temperature_celsius,
                "queue": heartbeat.report.queue_length,
                "skew": heartbeat.report.terminal_time - heartbeat.received_at,
            }
            for heartbeat in heartbeats
        ],
    )


def _vitals(row: RowMapping, now: datetime, policy: RegistryPolicy) -> Vitals:
    state, until = presence(
        is_connected=row["is_connected"],
        last_seen_at=row["last_seen_at"],
        recent_connects=recent_connects(row["recent_connects"]),
        now=now,
        policy=policy,
    )
    not_after: datetime | None = row["certificate_not_after"]
    return Vitals(
        terminal_id=row["terminal_id"],
        presence=state,
        presence_until=until,
        last_seen_at=row["last_seen_at"],
        firmware_version=row["firmware_version"],
        camera_state=row["camera_state"],
        temperature_celsius=row["temperature_celsius"],
        queue_length=row["queue_length"],
        clock_skew=row["clock_skew"],
        certificate_not_after=not_after,
        certificate_days_left=None if not_after is None else (not_after - now).days,
    )
