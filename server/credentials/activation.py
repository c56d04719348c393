"""Who has an electronic credential (医保码)? One for each person: activated, issued anew after a change, ended.

What depends on it dies with it: its codes, because using one asks for an active credential, and its family bindings,
which are ended here.
"""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, insert, select, update
from uuid_utils import uuid7

from device_registry.audit.log import AuditLog
from server.credentials.errors import CredentialNotActiveError
from server.credentials.sealing import derived_key
from server.store.tables.credentials import credentials, family_bindings

TOKEN_CHARACTERS: Final = 40  # ecToken of the national envelope; DOMAIN 4
_PURPOSE: Final = "credential-token"


class CredentialState(StrEnum):
    """Where a credential stands."""

    ACTIVE = "ACTIVE"
    ENDED = "ENDED"
    """By its holder, or by an operator."""
    REPLACED = "REPLACED"
    """By another one, because name or number had changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """One credential."""

    credential_id: str
    person_id: str
    state: CredentialState
    activated_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Activated:
    """What an activation came to."""

    credential: Credential
    is_new: bool
    """False when this very credential was active before."""
    is_reissued: bool
    """True when an older one died, because name or number had changed."""


_ACTIVE: Final = select(credentials).where(
    credentials.c.person_id == bindparam("person"), credentials.c.state == CredentialState.ACTIVE.value
)


class Credentials:
    """The electronic credentials of this platform's people."""

    def __init__(self, *, now: Callable[[], datetime], data_key: bytes, audit: AuditLog) -> None:
        """Take the key of people's data, from which that of the tokens is derived."""
        self._now: Final = now
        self._token_key: Final = derived_key(data_key, purpose=_PURPOSE)
        self._audit: Final = audit

    def activate(
        self, connection: Connection, *, person_id: str, identity_digest: bytes, actor: str, request_id: str
    ) -> Activated:
        """Return the person's active credential; made, or issued anew, where it must be.

        Args:
            connection: of the transaction.
            person_id: whose.
            identity_digest: keyed hash of name and number as they are now.
            actor: who does it, for the audit.
            request_id: of the call, for the audit.
        """
        row = connection.execute(_ACTIVE, {"person": person_id}).one_or_none()
        if row is not None and hmac.compare_digest(row.identity_digest, identity_digest):
            return Activated(credential=_from(row), is_new=False, is_reissued=False)
        if row is not None:
            self._end(connection, _from(row), CredentialState.REPLACED, actor=actor, request_id=request_id)
        made = Credential(
            credential_id=str(uuid7()),
            person_id=person_id,
            state=CredentialState.ACTIVE,
            activated_at=self._now(),
            ended_at=None,
        )
        connection.execute(
            insert(credentials).values(
                credential_id=made.credential_id,
                person_id=person_id,
                state=made.state.value,
                identity_digest=identity_digest,
                activated_at=made.activated_at,
            )
        )
        self._audit.append(
            connection,
            actor=actor,
            action="credential.activated",
            subject=made.credential_id,
            request_id=request_id,
            details={"person_id": person_id},
        )
        return Activated(credential=made, is_new=True, is_reissued=row is not None)

    def active(self, connection: Connection, person_id: str) -> Credential:
        """Return the person's active credential.

        Raises:
            CredentialNotActiveError: there is none.
        """
        row = connection.execute(_ACTIVE, {"person": person_id}).one_or_none()
        if row is None:
            raise CredentialNotActiveError
        return _from(row)

    def get(self, connection: Connection, credential_id: str) -> Credential | None:
        """Return the credential with an id, None when there is none."""
        row = connection.execute(select(credentials).where(credentials.c.credential_id == credential_id)).one_or_none()
        return None if row is None else _from(row)

    def of(self, connection: Connection, person_id: str) -> list[Credential]:
        """Return all credentials a person has ever had, newest first."""
        mine = select(credentials).where(credentials.c.person_id == person_id)
        return [_from(row) for row in connection.execute(mine.order_by(credentials.c.credential_id.desc()))]

    def end(
        self, connection: Connection, person_id: str, *, actor: str, request_id: str = "", reason: str = ""
    ) -> datetime:
        """End the person's credential, its codes and its bindings; return since when it is dead, now or earlier.

        Raises:
            CredentialNotActiveError: the person never had one.
        """
        row = connection.execute(_ACTIVE, {"person": person_id}).one_or_none()
        if row is not None:  # the active one by its state: ids are ordered by clocks, and clocks are set back
            dies = CredentialState.ENDED
            return self._end(connection, _from(row), dies, actor=actor, request_id=request_id, reason=reason)
        return self.ended_at(connection, person_id)

    def ended_at(self, connection: Connection, person_id: str) -> datetime:
        """Return when a credential of the person last died.

        Raises:
            CredentialNotActiveError: none ever did.
        """
        ended = [credential.ended_at for credential in self.of(connection, person_id) if credential.ended_at]
        if not ended:
            raise CredentialNotActiveError
        return max(ended)

    def token_of(self, connection: Connection, person_id: str) -> str:
        """Return what names the person's active credential to a remote insurer: 40 hex digits, which tell nobody else.

        Raises:
            CredentialNotActiveError: there is none.
        """
        credential_id = self.active(connection, person_id).credential_id
        return hmac.digest(self._token_key, credential_id.encode(), hashlib.sha256).hex()[:TOKEN_CHARACTERS]

    def _end(
        self,
        connection: Connection,
        credential: Credential,
        state: CredentialState,
        *,
        actor: str,
        request_id: str,
        reason: str = "",
    ) -> datetime:
        ended_at = self._now()
        connection.execute(
            update(credentials)
            .where(credentials.c.credential_id == credential.credential_id)
            .values(state=state.value, ended_at=ended_at)
        )
        bound = connection.execute(
            update(family_bindings)
            .where(family_bindings.c.credential_id == credential.credential_id, family_bindings.c.ended_at.is_(None))
            .values(ended_at=ended_at)
        ).rowcount
        self._audit.append(
            connection,
            actor=actor,
            action=f"credential.{state.value.lower()}",
            subject=credential.credential_id,
            reason=reason,
            request_id=request_id,
            details={"person_id": credential.person_id, "bindings_ended": bound},
        )
        return ended_at


def _from(row: Row[*tuple[Any, ...]]) -> Credential:
    return Credential(
        credential_id=row.credential_id,
        person_id=row.person_id,
        state=CredentialState(row.state),
        activated_at=row.activated_at,
        ended_at=row.ended_at,
    )
