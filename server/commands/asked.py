"""What is asked of the admin API: options of the command line as the contract's messages."""

from datetime import UTC, datetime, timedelta

from device_registry.model import Presence, TerminalClass, TerminalState
from server.services.admin.convert import enum_of, when
from shualian.admin.v1 import registry_pb2 as pb


def terminal_filter(
    *,
    state: TerminalState | None = None,
    presence: Presence | None = None,
    region: str = "",
    site_id: str = "",
    terminal_class: TerminalClass | None = None,
    manufacturer: str = "",
    model: str = "",
    firmware: str = "",
    issuer: str = "",
    expiring_within: timedelta | None = None,
    expiring_before: datetime | None = None,
) -> pb.TerminalFilter:
    """Return which terminals are meant; of two times the earlier one counts."""
    ends = [] if expiring_within is None else [datetime.now(UTC) + expiring_within]
    ends += [] if expiring_before is None else [expiring_before.replace(tzinfo=UTC)]
    return pb.TerminalFilter(
        state=enum_of(pb.TerminalState, "TERMINAL_STATE", state),
        presence=enum_of(pb.Presence, "PRESENCE", presence),
        region=region,
        site_id=site_id,
        terminal_class=enum_of(pb.TerminalClass, "TERMINAL_CLASS", terminal_class),
        manufacturer=manufacturer,
        model=model,
        firmware_version=firmware,
        issuer_id=issuer,
        expiring_before=when(min(ends, default=None)),
    )
