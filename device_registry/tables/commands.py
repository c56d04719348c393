"""Columns of the outbox to the terminals."""

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, Text

from device_registry.commands.command_records import CommandAction, CommandOutcome
from device_registry.tables.columns import UtcTime, Uuid, metadata, word
from device_registry.tables.terminals import terminals

commands = Table(
    "commands",
    metadata,
    Column("command_id", Uuid, primary_key=True),
    Column("terminal_id", Uuid, ForeignKey(terminals.c.terminal_id), nullable=False),
    Column("action", word(CommandAction), nullable=False),
    Column("parameters", Text, nullable=False),
    Column("queued_by", String(128), nullable=False),
    Column("queued_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("sent_at", UtcTime),
    Column("times_sent", Integer, nullable=False),
    Column("answered_at", UtcTime),
    Column("outcome", word(CommandOutcome)),
    Column("detail", Text, nullable=False),
    Column("idempotency_key", String(64)),
    Column("closed_at", UtcTime),
    Column("late_outcome", word(CommandOutcome)),
    Index("ix_commands_terminal_id_outcome", "terminal_id", "outcome"),
    Index("ix_commands_outcome_expires_at", "outcome", "expires_at"),
    Index("uq_commands_idempotency_key", "idempotency_key", unique=True),
)
