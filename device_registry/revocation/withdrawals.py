"""Approvals, tickets and roles that were taken back, taken back again in a restored database; see restoration.py.

Each only takes: what the database meanwhile took by itself stays as it is, and nothing is given to anybody.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from sqlalchemy import Connection, bindparam, select, update

from device_registry.makers.approvals import MakerState
from device_registry.operators.roles import Role
from device_registry.revocation.revoked import Revocation, RevocationKind
from device_registry.tables import device_models, installer_tickets, manufacturers, operators

REASON = "applied again after a restore"

_WITHDRAWN = {"state": MakerState.WITHDRAWN, "state_reason": REASON, "state_since": bindparam("at")}
_WITHDRAW_MAKER = (
    update(manufacturers)
    .where(manufacturers.c.manufacturer_id == bindparam("which"), manufacturers.c.state == MakerState.APPROVED)
    .values(**_WITHDRAWN)
)
_WITHDRAW_MODEL = (
    update(device_models)
    .where(device_models.c.model_id == bindparam("which"), device_models.c.state == MakerState.APPROVED)
    .values(**_WITHDRAWN)
)
_REVOKE_TICKET = (
    update(installer_tickets)
    .where(installer_tickets.c.ticket_id == bindparam("which"), installer_tickets.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("at"))
)
_ROLE = select(operators.c.role).where(operators.c.name == bindparam("which"))
_LOWER = update(operators).where(operators.c.name == bindparam("which")).values(role=bindparam("left"))


def withdraw_maker_again(connection: Connection, entry: Revocation) -> None:
    """Take a manufacturer's approval back."""
    connection.execute(_WITHDRAW_MAKER, {"which": entry.subject, "at": entry.at})


def withdraw_model_again(connection: Connection, entry: Revocation) -> None:
    """Take a model's approval back."""
    connection.execute(_WITHDRAW_MODEL, {"which": entry.subject, "at": entry.at})


def revoke_ticket_again(connection: Connection, entry: Revocation) -> None:
    """End a ticket's life."""
    connection.execute(_REVOKE_TICKET, {"which": entry.subject, "at": entry.at})


def lower_role_again(connection: Connection, entry: Revocation) -> None:
    """Leave an operator the role that the entry left them; one that has less by now keeps that."""
    role, left = connection.scalar(_ROLE, {"which": entry.subject}), Role(entry.code)
    if role is not None and not left.covers(role):
        connection.execute(_LOWER, {"which": entry.subject, "left": left})


TAKEN_AGAIN: Mapping[RevocationKind, Callable[[Connection, Revocation], None]] = MappingProxyType(
    {
        RevocationKind.MAKER: withdraw_maker_again,
        RevocationKind.MODEL: withdraw_model_again,
        RevocationKind.TICKET: revoke_ticket_again,
        RevocationKind.ROLE: lower_role_again,
    }
)
