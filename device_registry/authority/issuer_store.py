"""The questions the registry asks its tables about issuing authorities and what hangs on them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, and_, bindparam, distinct, func, insert, select, update

from device_registry.authority.authority import NOBODY, Authority
from device_registry.authority.issuer_states import IssuerState
from device_registry.errors import IssuerNoneActiveError
from device_registry.model import OPEN_STATUSES, CertificateStatus, TerminalState
from device_registry.tables import certificates, issuers, operator_certificates, terminals

_ALL = select(issuers).order_by(issuers.c.prepared_at, issuers.c.issuer_id)
_ONE = select(issuers).where(issuers.c.issuer_id == bindparam("issuer_id"))
_ACTIVE = select(issuers.c.issuer_id).where(issuers.c.state == IssuerState.ACTIVE)
_ANY = select(issuers.c.issuer_id).limit(1)
_MOVE = (
    update(issuers)
    .where(issuers.c.issuer_id == bindparam("which"))
    .values(state=bindparam("target"), state_since=bindparam("at"), state_reason=bindparam("because"))
)
_INSTALL = (
    update(issuers)
    .where(issuers.c.issuer_id == bindparam("which"))
    .values(
        certificate_der=bindparam("der"),
        fingerprint=bindparam("print"),
        subject_key_id=bindparam("key_id"),
        not_after=bindparam("until"),
    )
)
# Of the terminals that may call, by who signed their newest certificate.
_SHARES = (
    select(certificates.c.issuer_id, func.count().label("terminals"))
    .join(terminals, terminals.c.terminal_id == certificates.c.terminal_id)
    .where(terminals.c.state == TerminalState.ACTIVE, certificates.c.status == CertificateStatus.CURRENT)
    .group_by(certificates.c.issuer_id)
)
# A terminal whose newest certificate comes from another issuer still depends on this one until it has used that. One
# that is out of service has no open certificate.
_DEPENDENTS = (
    select(certificates.c.issuer_id, func.count(distinct(certificates.c.terminal_id)).label("terminals"))
    .where(certificates.c.status.in_(OPEN_STATUSES), certificates.c.good_until > bindparam("at"))
    .group_by(certificates.c.issuer_id)
)
_OPEN_OF_OPERATORS = and_(
    operator_certificates.c.issuer_id == bindparam("whose"), operator_certificates.c.closed_at.is_(None)
)
_OPERATORS = select(func.count(distinct(operator_certificates.c.operator_id))).where(
    _OPEN_OF_OPERATORS, operator_certificates.c.not_after > bindparam("at")
)
_CLOSE_OPERATORS = update(operator_certificates).where(_OPEN_OF_OPERATORS).values(closed_at=bindparam("at"))
_REVOKE_CERTIFICATES = (
    update(certificates)
    .where(certificates.c.issuer_id == bindparam("whose"), certificates.c.status.in_(OPEN_STATUSES))
    .values(status=CertificateStatus.REVOKED, status_since=bindparam("at"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """An issuing authority as the registry remembers it."""

    issuer_id: str
    state: IssuerState
    state_since: datetime
    state_reason: str
    prepared_at: datetime
    key_backend: str
    """Where its key is: `file` or `pkcs11`."""
    signing_request_der: bytes | None = field(repr=False)
    """What the root is asked to sign; None for the one that was made together with the root."""
    certificate_der: bytes | None = field(repr=False)
    """None until it is installed."""
    fingerprint: str | None
    subject_key_id: str | None
    """As the certificates it signs name it in their authority key identifier, hex."""
    not_after: datetime | None


def all_issuers(connection: Connection) -> list[Issuer]:
    """Return every issuer, oldest first."""
    return [Issuer(**row) for row in connection.execute(_ALL).mappings()]


def find_issuer(connection: Connection, issuer_id: str) -> Issuer | None:
    """Return an issuer, None when there is none."""
    row = connection.execute(_ONE, {"issuer_id": issuer_id}).mappings().first()
    return None if row is None else Issuer(**row)


def add_issuer(connection: Connection, issuer: Issuer) -> None:
    """Write a new issuer."""
    connection.execute(insert(issuers), {column.name: getattr(issuer, column.name) for column in issuers.columns})


def move_issuer(connection: Connection, issuer_id: str, *, target: IssuerState, reason: str, at: datetime) -> None:
    """Write an issuer's new state."""
    connection.execute(_MOVE, {"which": issuer_id, "target": target, "because": reason, "at": at})


def install_issuer(
    connection: Connection,
    issuer_id: str,
    *,
    certificate_der: bytes,
    fingerprint: str,
    subject_key_id: str,
    not_after: datetime,
) -> None:
    """Write an issuer's certificate."""
    connection.execute(
        _INSTALL,
        {
            "which": issuer_id,
            "der": certificate_der,
            "print": fingerprint,
            "key_id": subject_key_id,
            "until": not_after,
        },
    )


def shares(connection: Connection) -> Mapping[str | None, int]:
    """Return how many ACTIVE terminals' newest certificate each issuer signed."""
    return {row.issuer_id: row.terminals for row in connection.execute(_SHARES)}


def dependents(connection: Connection, *, now: datetime) -> Mapping[str | None, int]:
    """Return how many terminals in service hold a certificate of each issuer that is still good."""
    return {row.issuer_id: row.terminals for row in connection.execute(_DEPENDENTS, {"at": now})}


def operators_of(connection: Connection, issuer_id: str, *, now: datetime) -> int:
    """Return how many operators hold a certificate of an issuer that is still good."""
    return connection.execute(_OPERATORS, {"whose": issuer_id, "at": now}).scalar_one()


def revoke_certificates_of(connection: Connection, issuer_id: str, *, at: datetime) -> int:
    """Revoke every open certificate an issuer signed, operators' too; return how many of terminals."""
    connection.execute(_CLOSE_OPERATORS, {"whose": issuer_id, "at": at})
    return connection.execute(_REVOKE_CERTIFICATES, {"whose": issuer_id, "at": at}).rowcount


def active_issuer(connection: Connection, authority: Authority) -> str:
    """Return who signs now, by the books, in the caller's transaction; the authority has it at hand afterwards.

    So every replica follows an activation with its next certificate, before any event reaches it. Books in which no
    issuer was ever entered belong to the one that was made together with the root.

    Raises:
        IssuerNoneActiveError: the books have issuers, and none of them may sign.
    """
    active: str | None = connection.execute(_ACTIVE).scalar_one_or_none()
    if active is None:
        if authority.issuer_id == NOBODY or connection.execute(_ANY).first() is not None:
            raise IssuerNoneActiveError
        return authority.issuer_id
    if not authority.knows(active):
        take_over(connection, authority)
    return active


def take_over(connection: Connection, authority: Authority) -> bool:
    """Let an authority follow the books, also where none is active; return whether anything was new to it."""
    known = [issuer for issuer in all_issuers(connection) if issuer.certificate_der is not None]
    if not known:
        return False
    active = next((issuer.issuer_id for issuer in known if issuer.state is IssuerState.ACTIVE), NOBODY)
    return authority.follow(
        {issuer.issuer_id: issuer.certificate_der for issuer in known if issuer.certificate_der is not None},
        active=active,
        trusted=(issuer.issuer_id for issuer in known if issuer.state is not IssuerState.REVOKED),
    )
