"""What is asked of the admin API: options of the command line as the contract's messages."""

from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from device_registry.model import Presence, TerminalClass, TerminalState
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
        state=pb.TerminalState.Value(f"TERMINAL_STATE_{state.name if state else 'UNSPECIFIED'}"),
        presence=pb.Presence.Value(f"PRESENCE_{presence.name if presence else 'UNSPECIFIED'}"),
        region=region,
        site_id=site_id,
        terminal_class=pb.TerminalClass.Value(
            f"TERMINAL_CLASS_{terminal_class.name if terminal_class else 'UNSPECIFIED'}"
        ),
        manufacturer=manufacturer,
        model=model,
        firmware_version=firmware,
        issuer_id=issuer,
        expiring_before=_timestamp(min(ends)) if ends else None,
    )


def _timestamp(moment: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(moment)
    return message
