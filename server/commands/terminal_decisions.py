"""`shualian terminal suspend|resume|...`: what operators decide about one terminal."""

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

import typer

from server.commands.options import Json, Reason, TerminalId
from server.commands.output import show_record
from server.commands.remote import admin
from server.commands.session import session_of
from server.commands.shown import shown
from shualian.admin.v1 import registry_pb2 as pb
from shualian.admin.v1.registry_pb2_grpc import RegistryServiceStub


class Code(StrEnum):
    """Why certificates are withdrawn, for the revocation list (RFC 5280)."""

    KEY_COMPROMISE = "key_compromise"
    AFFILIATION_CHANGED = "affiliation_changed"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessation_of_operation"
    PRIVILEGE_WITHDRAWN = "privilege_withdrawn"


CodeOption = Annotated[
    Code | None, typer.Option("--code", case_sensitive=False, help="Why, for the revocation list (RFC 5280).")
]


def add_to(app: typer.Typer) -> None:
    """Add the verbs to `shualian terminal`."""
    for verb in (suspend, resume, quarantine, evict, revoke, ban, unban, retire):
        app.command(verb.__name__)(verb)


def suspend(context: typer.Context, *, terminal: TerminalId, reason: Reason, as_json: Json = False) -> None:
    """Lock a terminal out for now; its streams end within a second."""
    asked = pb.SuspendTerminalRequest(terminal=terminal, reason=reason)
    _decide(context, lambda api: api.SuspendTerminal(asked), as_json=as_json)


def resume(context: typer.Context, *, terminal: TerminalId, reason: Reason, as_json: Json = False) -> None:
    """Let a suspended or quarantined terminal in again."""
    asked = pb.ResumeTerminalRequest(terminal=terminal, reason=reason)
    _decide(context, lambda api: api.ResumeTerminal(asked), as_json=as_json)


def quarantine(context: typer.Context, *, terminal: TerminalId, reason: Reason, as_json: Json = False) -> None:
    """Keep a terminal out on suspicion until somebody has looked and resumes it."""
    asked = pb.QuarantineTerminalRequest(terminal=terminal, reason=reason)
    _decide(context, lambda api: api.QuarantineTerminal(asked), as_json=as_json)


def evict(
    context: typer.Context, *, terminal: TerminalId, reason: Reason, code: CodeOption = None, as_json: Json = False
) -> None:
    """End a terminal's certificates; it must enroll again."""
    asked = pb.EvictTerminalRequest(terminal=terminal, reason=reason, code=_code(code))
    _decide(context, lambda api: api.EvictTerminal(asked), as_json=as_json)


def revoke(
    context: typer.Context, *, terminal: TerminalId, reason: Reason, code: CodeOption = None, as_json: Json = False
) -> None:
    """Withdraw a terminal's certificates for good; its streams end within a second."""
    asked = pb.RevokeTerminalRequest(terminal=terminal, reason=reason, code=_code(code))
    _decide(context, lambda api: api.RevokeTerminal(asked), as_json=as_json)


def ban(
    context: typer.Context, *, terminal: TerminalId, reason: Reason, code: CodeOption = None, as_json: Json = False
) -> None:
    """Refuse a device under any registration, by serial number and factory key."""
    asked = pb.BanTerminalRequest(terminal=terminal, reason=reason, code=_code(code))
    _decide(context, lambda api: api.BanTerminal(asked), as_json=as_json)


def unban(context: typer.Context, *, terminal: TerminalId, reason: Reason, as_json: Json = False) -> None:
    """Lift a ban; the terminal is retired, and its device may be registered anew."""
    asked = pb.UnbanTerminalRequest(terminal=terminal, reason=reason)
    _decide(context, lambda api: api.UnbanTerminal(asked), as_json=as_json)


def retire(context: typer.Context, *, terminal: TerminalId, reason: Reason, as_json: Json = False) -> None:
    """Close the file of a revoked terminal; its serial number is free again."""
    asked = pb.RetireTerminalRequest(terminal=terminal, reason=reason)
    _decide(context, lambda api: api.RetireTerminal(asked), as_json=as_json)


def _decide(context: typer.Context, decide: Callable[[RegistryServiceStub], Any], *, as_json: bool) -> None:
    with admin(session_of(context)) as api:
        changed = shown(decide(RegistryServiceStub(api)).terminal)
    show_record(changed, as_json=as_json, title=f"Terminal {changed['serial_number']} is {changed['state']}")


def _code(code: Code | None) -> "pb.RevocationCode.ValueType":
    return pb.RevocationCode.Value(f"REVOCATION_CODE_{code.name if code else 'UNSPECIFIED'}")
