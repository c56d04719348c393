"""Who may use the admin API: operators, their roles and their certificates.

The certificate says who somebody is; role and state stand in the database and are read at every call, so that a change
holds for the next one. The key is made on the operator's own machine: what comes here is a signing request.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import uuid_utils
from sqlalchemy import Connection, RowMapping, insert

from device_registry import store
from device_registry.audit.log import AuditLog
from device_registry.authority.authority import Authority
from device_registry.authority.certificates import signing_request_from_der
from device_registry.authority.issuer_store import active_issuer
from device_registry.errors import (
    FieldInvalidError,
    KeyReusedError,
    OperatorCertificateRetiredError,
    OperatorExistsError,
    OperatorExpiredError,
    OperatorNotFoundError,
    OperatorRenewedOftenError,
    OperatorRevokedError,
    OperatorUnknownError,
)
from device_registry.model import IssuedCertificate
from device_registry.operators import operator_rows as rows
from device_registry.operators.roles import OperatorState, Role
from device_registry.revocation.revocation_log import Revocations
from device_registry.revocation.revoked import Revocation, RevocationKind, RevocationReason
from device_registry.tables import operators
from device_registry.wording import refuse_actor

_NAME = re.compile(r"[a-z][a-z0-9._-]{0,63}")  # operator.proto

CERTIFICATES_PER_DAY_MAX = 12
"""Certificates an operator gets in a day; a renewal is due once in months."""
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """Somebody who may use the admin API."""

    operator_id: str
    name: str
    role: Role
    state: OperatorState
    added_by: str
    added_at: datetime
    changed_at: datetime

    @property
    def actor(self) -> str:
        """Return how the audit log names them."""
        return f"operator:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorCertificate:
    """What the registry remembers of an operator's certificate that is open."""

    fingerprint: str
    operator_id: str
    not_after: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmittedOperator:
    """An operator whose certificate is good right now."""

    operator: Operator
    fingerprint: str
    not_after: datetime
    first_use_pending: bool
    """True until `Operators.first_use`, which whoever lets the caller in must call then."""


class Operators:
    """The operators, their roles and their certificates."""

    def __init__(
        self,
        *,
        now: Callable[[], datetime],
        authority: Authority,
        audit: AuditLog,
        revocations: Revocations | None = None,
    ) -> None:
        """Take what it works with; `revocations` keeps what a restored database must not forget."""
        self._now = now
        self._authority = authority
        self._audit = audit
        self._revocations = revocations

    def all(self, connection: Connection) -> list[Operator]:
        """Return every operator, by name."""
        return [Operator(**row) for row in connection.execute(rows.ALL).mappings()]

    def one(self, connection: Connection, name: str) -> Operator:
        """Return the operator with this name."""
        row = connection.execute(rows.BY_NAME, {"name": name}).mappings().first()
        if row is None:
            raise OperatorNotFoundError(name=name)
        return Operator(**row)

    def open_certificates(self, connection: Connection) -> dict[str, OperatorCertificate]:
        """Return the newest open certificate of each operator that has one, by the operator's id."""
        found = connection.execute(rows.OPEN_CERTIFICATES).mappings()
        return {
            row["operator_id"]: OperatorCertificate(
                fingerprint=row["fingerprint"], operator_id=row["operator_id"], not_after=row["not_after"]
            )
            for row in found
        }

    def add(
        self,
        connection: Connection,
        *,
        name: str,
        role: Role,
        signing_request_der: bytes,
        actor: str,
        request_id: str = "",
    ) -> tuple[Operator, IssuedCertificate]:
        """Add an operator; one who was locked out or let their certificate lapse comes back under the old name."""
        refuse_actor(actor)
        if not _NAME.fullmatch(name):
            raise FieldInvalidError(field="name", detail="1 to 64 of a-z 0-9 . _ -, a letter first")
        row = connection.execute(rows.BY_NAME, {"name": name}).mappings().first()
        former = None if row is None else Operator(**row)
        if former is not None and self._can_call(connection, former):
            raise OperatorExistsError(name=name)
        operator_id = former.operator_id if former is not None else str(uuid_utils.uuid7())
        issued, key_sha256 = self._signed(connection, name, signing_request_der)
        now = self._now()
        if former is None:
            connection.execute(
                insert(operators),
                {
                    "operator_id": operator_id,
                    "name": name,
                    "role": role,
                    "state": OperatorState.ACTIVE,
                    "added_by": actor,
                    "added_at": now,
                    "changed_at": now,
                },
            )
        else:  # what they still hold was given for another role
            connection.execute(rows.CLOSE, {"whose": operator_id, "spared": "", "at": now})
            self._change(connection, former, role=role, state=OperatorState.ACTIVE)
        rows.remember(connection, operator_id, issued, key_sha256)
        self._audit.append(
            connection,
            actor=actor,
            action="operator.added",
            subject=name,
            request_id=request_id,
            details={"role": role, "fingerprint": issued.fingerprint},
        )
        return self.one(connection, name), issued

    def renew(
        self, connection: Connection, *, name: str, signing_request_der: bytes, request_id: str = ""
    ) -> IssuedCertificate:
        """Give an operator a certificate for a new key; the one in use stays good until the new one is used.

        One that was given before and never used is closed: its answer was lost, or somebody collects them.

        Raises:
            OperatorRevokedError: they were locked out.
            OperatorRenewedOftenError: they had as many in a day as one may have.
        """
        operator = self.one(connection, name)
        if operator.state is OperatorState.REVOKED:
            raise OperatorRevokedError(name=name)
        self._refuse_more(connection, operator)
        issued, key_sha256 = self._signed(connection, name, signing_request_der)
        connection.execute(rows.CLOSE_UNUSED, {"whose": operator.operator_id, "at": self._now()})
        rows.remember(connection, operator.operator_id, issued, key_sha256)
        self._audit.append(
            connection,
            actor=operator.actor,
            action="operator.renewed",
            subject=name,
            request_id=request_id,
            details={"fingerprint": issued.fingerprint},
        )
        return issued

    def change_role(
        self, connection: Connection, *, name: str, role: Role, reason: str, actor: str, request_id: str = ""
    ) -> Operator:
        """Give an operator another role; it holds for the next call."""
        refuse_actor(actor)
        operator = self.one(connection, name)
        if operator.state is OperatorState.REVOKED:
            raise OperatorRevokedError(name=name)
        if self._revocations is not None and not role.covers(operator.role):
            self._revocations.note_revoked(connection, kind=RevocationKind.ROLE, subject=name, code=role)
        self._change(connection, operator, role=role, state=operator.state)
        self._audit.append(
            connection,
            actor=actor,
            action="operator.role_changed",
            subject=name,
            reason=reason,
            request_id=request_id,
            details={"from": operator.role, "to": role},
        )
        return self.one(connection, name)

    def revoke(self, connection: Connection, *, name: str, reason: str, actor: str, request_id: str = "") -> Operator:
        """Lock an operator out, with every certificate; once more changes nothing."""
        refuse_actor(actor)
        operator = self.one(connection, name)
        if operator.state is OperatorState.REVOKED:
            return operator
        if self._revocations is not None:
            self._revocations.note_revoked(
                connection,
                kind=RevocationKind.OPERATOR,
                subject=name,
                code=RevocationReason.PRIVILEGE_WITHDRAWN,
            )
        self._change(connection, operator, role=operator.role, state=OperatorState.REVOKED)
        connection.execute(rows.CLOSE, {"whose": operator.operator_id, "spared": "", "at": self._now()})
        self._audit.append(
            connection, actor=actor, action="operator.revoked", subject=name, reason=reason, request_id=request_id
        )
        return self.one(connection, name)

    def revoke_again(self, connection: Connection, entry: Revocation) -> None:
        """Make a revocation true again that a restored database has forgotten; an `Effect` of restoration.py."""
        row = connection.execute(rows.BY_NAME, {"name": entry.subject}).mappings().first()
        if row is None:
            return
        operator = Operator(**row)
        self._change(connection, operator, role=operator.role, state=OperatorState.REVOKED)
        connection.execute(rows.CLOSE, {"whose": operator.operator_id, "spared": "", "at": self._now()})

    # At the door -----------------------------------------------------------------------------------

    def admit(self, connection: Connection, fingerprint: str) -> AdmittedOperator:
        """Return the operator who holds a certificate, when they may come in now.

        Raises:
            OperatorUnknownError: it is nobody's.
            OperatorRevokedError: they were locked out.
            OperatorCertificateRetiredError: they have a newer one in use.
            OperatorExpiredError: its time is over.
        """
        row = connection.execute(rows.BY_FINGERPRINT, {"fingerprint": fingerprint}).mappings().first()
        if row is None:
            raise OperatorUnknownError
        operator = Operator(**{column.name: row[column.name] for column in operators.columns})
        if operator.state is OperatorState.REVOKED:
            raise OperatorRevokedError(name=operator.name)
        if row["closed_at"] is not None:
            raise OperatorCertificateRetiredError(name=operator.name)
        if self._now() >= row["not_after"]:
            raise OperatorExpiredError(name=operator.name)
        return AdmittedOperator(
            operator=operator,
            fingerprint=fingerprint,
            not_after=row["not_after"],
            first_use_pending=row["first_used_at"] is None,
        )

    def first_use(self, connection: Connection, *, fingerprint: str, request_id: str = "") -> None:
        """Note the first use of a certificate: the operator's others are closed.

        One that was closed since it was looked up is not used any more; who lets the caller in asks again.
        """
        row: RowMapping | None = (
            connection.execute(rows.BY_FINGERPRINT, {"fingerprint": fingerprint}).mappings().first()
        )
        now = self._now()
        if row is None or connection.execute(rows.FIRST_USED, {"which": fingerprint, "at": now}).rowcount != 1:
            return
        connection.execute(rows.CLOSE, {"whose": row["operator_id"], "spared": fingerprint, "at": now})
        self._audit.append(
            connection,
            actor=f"operator:{row['name']}",
            action="operator.certificate_used",
            subject=row["name"],
            request_id=request_id,
            details={"fingerprint": fingerprint},
        )

    # Steps -----------------------------------------------------------------------------------------

    def _refuse_more(self, connection: Connection, operator: Operator) -> None:
        """Bound what one operator gets in a day, as for terminals (I11)."""
        now = self._now()
        asked = {"whose": operator.operator_id, "since": now - _DAY}
        count, earliest = connection.execute(rows.ISSUED_SINCE, asked).one()
        if earliest is not None and count >= CERTIFICATES_PER_DAY_MAX:
            raise OperatorRenewedOftenError(name=operator.name, retry_after=earliest + _DAY - now)

    def _can_call(self, connection: Connection, operator: Operator) -> bool:
        """Return whether somebody is let in and has a certificate for it; one whose has lapsed may be added again."""
        certificate = self.open_certificates(connection).get(operator.operator_id)
        is_good = certificate is not None and self._now() < certificate.not_after
        return operator.state is OperatorState.ACTIVE and is_good

    def _signed(self, connection: Connection, name: str, signing_request_der: bytes) -> tuple[IssuedCertificate, str]:
        """Sign a request whose key nobody ever had a certificate for, operator or terminal; return its hash too."""
        request = signing_request_from_der(signing_request_der)
        key_sha256 = request.public_key_sha256
        known = {"public_key_sha256": key_sha256}
        holder = connection.execute(rows.KEY_HOLDER, known).scalar_one_or_none() or store.key_holder(
            connection, key_sha256
        )
        if holder is not None:
            raise KeyReusedError(terminal_id=name, holder_id=holder)
        issued = self._authority.issue_operator(
            name=name,
            public_key=request.public_key,
            now=self._now(),
            issuer_id=active_issuer(connection, self._authority),
        )
        return issued, key_sha256

    def _change(self, connection: Connection, operator: Operator, *, role: Role, state: OperatorState) -> None:
        values = {"which": operator.operator_id, "new_role": role, "new_state": state, "at": self._now()}
        connection.execute(rows.CHANGE, values)
