"""Columns of rollouts, their members, and who is chosen and no member yet."""

from sqlalchemy import Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text

from device_registry.commands.command_records import CommandAction
from device_registry.rollouts.rollout_states import MemberState, RolloutState
from device_registry.tables.columns import UtcTime, Uuid, metadata, word
from device_registry.tables.commands import commands
from device_registry.tables.terminals import terminals

rollouts = Table(
    "rollouts",
    metadata,
    Column("rollout_id", Uuid, primary_key=True),
    Column("action", word(CommandAction), nullable=False),
    # The plan as it was decided, as JSON: read whole, never searched.
    Column("plan", Text, nullable=False),
    Column("group_ends", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("started_by", String(128), nullable=False),
    Column("started_at", UtcTime, nullable=False),
    Column("members", Integer, nullable=False),
    Column("state", word(RolloutState), nullable=False),
    Column("state_reason", Text, nullable=False),
    Column("state_since", UtcTime, nullable=False),
    Column("group_now", Integer, nullable=False),
    Column("group_well_at", UtcTime),
    Column("watched_since", UtcTime, nullable=False),
    Column("closed_at", UtcTime, index=True),
    Column("idempotency_key", String(64), unique=True),
)

rollout_members = Table(
    "rollout_members",
    metadata,
    Column("rollout_id", Uuid, ForeignKey(rollouts.c.rollout_id), primary_key=True),
    Column("terminal_id", Uuid, ForeignKey(terminals.c.terminal_id), primary_key=True),
    Column("group_number", Integer, nullable=False),
    Column("place", Integer, nullable=False),
    Column("state", word(MemberState), nullable=False),
    Column("detail", String(128), nullable=False),
    Column("command_id", Uuid, ForeignKey(commands.c.command_id)),
    Column("queued_at", UtcTime),
    Column("settled_at", UtcTime),
    Index("ix_rollout_members_rollout_id_state_group_number_place", "rollout_id", "state", "group_number", "place"),
    Index("ix_rollout_members_rollout_id_queued_at", "rollout_id", "queued_at"),
)

# Who was chosen, until all of them are members: after a crash the same terminals are added in the same order.
rollout_choices = Table(
    "rollout_choices",
    metadata,
    Column("rollout_id", Uuid, ForeignKey(rollouts.c.rollout_id), primary_key=True),
    # 16 bytes for each terminal id, in the order of their turns, so that a portion is read without the rest.
    Column("terminal_ids", LargeBinary, nullable=False),
)
