"""What the audit log said at a moment, signed: who holds a checkpoint finds entries changed or cut off since.

A checkpoint is a JWS (ES256) over number and hash of the last entry, the time and the platform's root. It is kept in
the database and, beside it, in a file of its own (`witness.py`). The platform signs no log that contradicts the
checkpoint before, unless somebody says why that is in order.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from sqlalchemy import Connection, func, insert, select

from device_registry.audit.log import AuditLog, AuditReport
from device_registry.errors import AuditRolledBackError, CheckpointInvalidError
from device_registry.revocation.witness import Line, WitnessFile
from device_registry.tables import audit_checkpoints, microseconds_from_time, time_from_microseconds

TYPE = "shualian-audit-checkpoint+jwt"
_HEADER = {"alg": "ES256", "typ": TYPE}
_LAST = select(audit_checkpoints).order_by(audit_checkpoints.c.checkpoint_id.desc())
_LAST_NUMBER = select(func.max(audit_checkpoints.c.checkpoint_id))
_FIRST = select(audit_checkpoints).order_by(audit_checkpoints.c.checkpoint_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """One checkpoint."""

    checkpoint_id: int
    entries: int
    head: str
    made_at: int
    """Microseconds since 1970, UTC."""
    token: str
    """The JWS, compact."""

    @property
    def at(self) -> datetime:
        """When it was made."""
        return time_from_microseconds(self.made_at)

    @property
    def report(self) -> AuditReport:
        """What the log said then."""
        return AuditReport(entries=self.entries, head=self.head, broken_at=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Walked:
    """A log that was found whole, and the newest checkpoint that it was compared with."""

    former: Checkpoint | None
    report: AuditReport


class Checkpoints:
    """Makes checkpoints, keeps them in two places, and compares the log with them."""

    def __init__(
        self,
        *,
        now: Callable[[], datetime],
        audit: AuditLog,
        signing_key: ec.EllipticCurvePrivateKey,
        root_fingerprint_sha256: str,
        file: WitnessFile,
    ) -> None:
        self._now = now
        self._audit = audit
        self._key = ECKey.import_key(signing_key)
        self._root = root_fingerprint_sha256
        self._file = file
        self.public_key_pem: bytes = signing_key.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        """What an auditor needs to check a checkpoint without asking us."""

    def walk(self, connection: Connection, *, anew: bool = False) -> Walked:
        """Walk what was written since the newest checkpoint; the checkpoint itself must still be part of the log.

        Reads the file too, which may take long: not for the one writer.

        Args:
            connection: for reading.
            anew: walk all of it, whatever the checkpoint says; see `make`.

        Raises:
            AuditRolledBackError: it is not, or the chain is broken after it.
        """
        former = self.newest(connection)
        if former is None or anew:
            report = self._audit.verify(connection)
        else:
            report = self._audit.verify_since(connection, former.report)
        return Walked(former=former, report=_whole(report, signed_entries=former.entries if former else 0))

    def make(
        self,
        connection: Connection,
        *,
        walked: Walked | None = None,
        reason: str = "",
        actor: str = "",
        request_id: str = "",
        anew: bool = False,
    ) -> Checkpoint:
        """Sign the log as it stands, after walking what came since the checkpoint before.

        Args:
            connection: in a transaction that is committed.
            walked: what was walked a moment ago, on a reader; only the rest is walked then, and no file is read.
            reason: why, where somebody asked for it.
            actor: who asked; empty for the hourly one, which is no entry of its own.
            request_id: of the call.
            anew: sign although the log contradicts the checkpoint before: a backup was restored.

        Raises:
            AuditRolledBackError: it contradicts, and nobody said that this is in order; or it is broken in itself.
        """
        walked = walked or self.walk(connection, anew=anew)
        _whole(self._audit.verify_since(connection, walked.report), signed_entries=walked.report.entries)
        if actor:
            self._audit.append(
                connection,
                actor=actor,
                action="audit.checkpoint_anew" if anew else "audit.checkpoint",
                subject="audit",
                reason=reason,
                request_id=request_id,
            )
        entries, head = self._audit.head(connection)
        # Another replica may have made one meanwhile; one that only the file has was made before a restore.
        last = connection.scalar(_LAST_NUMBER) or 0
        number = max(last, walked.former.checkpoint_id if walked.former else 0) + 1
        return self._signed(connection, entries, head, number=number)

    def is_due(self, connection: Connection, *, every: timedelta) -> bool:
        """Return whether something was written that is not signed, and the last time was not a moment ago."""
        former = self.newest(connection)
        entries, _ = self._audit.head(connection)
        if former is None:
            return entries > 0
        return former.entries != entries and abs(self._now() - former.at) >= every  # the clock may have been set back

    def keep(self, connection: Connection) -> int:
        """Copy to the file what it does not have yet; return how many checkpoints that were.

        Raises:
            WitnessError: the file is broken or cannot be written.
        """
        if not self._file.exists():
            self._file.create()

        def following(last: Line | None) -> list[Line]:
            known = int(last["checkpoint_id"]) if last is not None else 0
            rows = connection.execute(_FIRST.where(audit_checkpoints.c.checkpoint_id > known))
            return [asdict(_checkpoint(row._mapping)) for row in rows]  # noqa: SLF001 - as SQLAlchemy names it

        return self._file.append(following)

    def newest(self, connection: Connection) -> Checkpoint | None:
        """Return the newest checkpoint of database and file; a database that was set back does not hide it.

        Raises:
            CheckpointInvalidError: it is not signed by the audit key.
        """
        row = connection.execute(_LAST.limit(1)).first()
        found = [_checkpoint(row._mapping)] if row is not None else []  # noqa: SLF001 - as above
        last = self._file.last() if self._file.exists() else None
        if last is not None:
            found.append(_checkpoint(last))
        if not found:
            return None
        newest = max(found, key=lambda checkpoint: (checkpoint.checkpoint_id, checkpoint.made_at))
        return _agreeing(newest, read_token(newest.token, self._key))

    def all(self, connection: Connection, *, limit: int) -> list[Checkpoint]:
        """Return the checkpoints in the database, newest first."""
        return [_checkpoint(row._mapping) for row in connection.execute(_LAST.limit(limit))]  # noqa: SLF001 - as above

    def verify(self, connection: Connection, *, token: str | None = None) -> tuple[AuditReport, Checkpoint | None]:
        """Walk the whole log and compare it with a checkpoint: the newest, or one that an auditor brings.

        Raises:
            CheckpointInvalidError: the checkpoint is not signed by the audit key.
        """
        known = read_token(token, self._key) if token is not None else self.newest(connection)
        return self._audit.verify(connection, known=known.report if known else None), known

    def _signed(self, connection: Connection, entries: int, head: str, *, number: int) -> Checkpoint:
        made_at = microseconds_from_time(self._now())
        claims = {
            "checkpoint_id": number,
            "entries": entries,
            "head": head,
            "made_at": made_at,
            "root_sha256": self._root,
        }
        token = jws.serialize_compact(_HEADER, json.dumps(claims, separators=(",", ":")), self._key)
        checkpoint = Checkpoint(checkpoint_id=number, entries=entries, head=head, made_at=made_at, token=token)
        connection.execute(insert(audit_checkpoints), asdict(checkpoint))
        return checkpoint


def checkpoint_from_token(token: str, public_key_pem: bytes) -> Checkpoint:
    """Return the checkpoint in a JWS that was signed by this key; for an auditor, without database or platform.

    Raises:
        CheckpointInvalidError: it was not, or it is no checkpoint.
    """
    try:
        key = ECKey.import_key(public_key_pem)
    except (ValueError, TypeError, JoseError) as error:
        raise CheckpointInvalidError(detail="that is no public key in PEM") from error
    return read_token(token, key)


def read_token(token: str, key: ECKey) -> Checkpoint:
    """Return the checkpoint in a JWS; see `checkpoint_from_token`."""
    try:
        found = jws.deserialize_compact(token.strip(), key, algorithms=["ES256"])
        claims = json.loads(found.payload)
        names = ("checkpoint_id", "entries", "head", "made_at")
        fields: dict[str, Any] = {name: claims[name] for name in names}
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise CheckpointInvalidError(detail="not signed by the audit key, or changed since") from error
    if found.headers().get("typ") != TYPE:
        raise CheckpointInvalidError(detail="signed for something else")
    return Checkpoint(**fields, token=token.strip())


def _whole(report: AuditReport, *, signed_entries: int) -> AuditReport:
    """Return a report that found nothing wrong."""
    if report.broken_at is not None:
        raise AuditRolledBackError(signed_entries=signed_entries, detail=f"entry {report.broken_at}: {report.detail}")
    return report


def _agreeing(stored: Checkpoint, signed: Checkpoint) -> Checkpoint:
    """Return a checkpoint whose columns say what is signed."""
    if stored != signed:
        raise CheckpointInvalidError(
            detail=f"checkpoint {stored.checkpoint_id} is stored with other values than signed"
        )
    return signed


def _checkpoint(fields: Mapping[Any, Any]) -> Checkpoint:
    try:
        return Checkpoint(**fields)
    except TypeError as error:
        raise CheckpointInvalidError(detail="a line of the checkpoint file is no checkpoint") from error
