"""How revocations survive a restored backup: what the witness has and the database lacks is applied again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from sqlalchemy import Connection, bindparam, update

from device_registry import lifecycle, store
from device_registry.authority import issuer_store
from device_registry.authority.issuer_states import IssuerState
from device_registry.changes import EVERYBODY, TOPIC_AUTHORITY, TOPIC_TERMINAL, Changes
from device_registry.decisions import CLOSING, KINDS
from device_registry.model import OPEN_STATUSES, CertificateStatus, TerminalState
from device_registry.revocation import revocation_entries as log
from device_registry.revocation.revocation_log import TOPIC_REVOCATION, Revocations
from device_registry.revocation.revoked import (
    FIRST_HASH,
    Revocation,
    RevocationKind,
    RevocationReason,
    follows,
    rechained,
)
from device_registry.revocation.testimony import Testimony
from device_registry.revocation.withdrawals import REASON
from device_registry.tables import certificates

Effect = Callable[[Connection, Revocation], None]
"""Makes an entry true again; called for each that the database lacked, in their order."""

_TARGETS: Mapping[str, TerminalState] = MappingProxyType(
    {**{kind: state for state, kind in KINDS.items()}, RevocationKind.UNBAN: TerminalState.RETIRED}
)
_REVOKE = (
    update(certificates)
    .where(
        certificates.c.fingerprint == bindparam("which"),
        certificates.c.status.in_(OPEN_STATUSES),
    )
    .values(status=CertificateStatus.REVOKED, status_since=bindparam("at"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What was done."""

    taken_over: int
    """Entries of the witness that the database lacked."""
    terminals_moved: int
    certificates_revoked: int
    unknown: int
    """Entries about terminals or certificates that the database does not know: they cannot come in anyway."""
    appended_again: int
    """Entries that the database had written since, which now stand after those of the witness."""


class Restoration:
    """Brings a restored database to where the witness is."""

    def __init__(
        self,
        *,
        now: Callable[[], datetime],
        revocations: Revocations,
        changes: Changes,
        effects: Mapping[RevocationKind, Effect],
    ) -> None:
        """Take what it works with; `effects` are those of issuers and operators, which live elsewhere."""
        self._now = now
        self._revocations = revocations
        self._changes = changes
        self._effects = effects

    def witnessed(self) -> list[Revocation]:
        """Read the witness, for `reapply`; beside the writer, for nobody knows how long a file keeps one waiting.

        Raises:
            WitnessError: there is no whole witness to go by.
        """
        return list(self._testimony().entries())

    def reapply(
        self, connection: Connection, witnessed: list[Revocation], *, reason: str, actor: str, request_id: str = ""
    ) -> Restored:
        """Take over what the witness has, and make it true again.

        Entries that the database wrote by itself meanwhile keep their effect and come after those of the witness.
        """
        agreed, strays = self._parting(connection, witnessed)
        lacking = witnessed[agreed:]
        log.cut(connection, after=agreed)
        written = [*lacking]
        for stray in strays:
            before = written[-1] if written else (witnessed[agreed - 1] if agreed else None)
            written.append(rechained(before, stray))
        if written:
            log.add(connection, written)
        moved, revoked, unknown = self._applied(connection, lacking, reason=reason, actor=actor, request_id=request_id)
        # What the database wrote by itself holds already. But where the witness speaks of the same terminal too, it
        # comes again: it stands after that in the log, and the last word counts.
        spoken_of = {entry.subject for entry in lacking if entry.kind in _TARGETS}
        again = [stray for stray in strays if stray.subject in spoken_of and stray.kind in _TARGETS]
        self._applied(connection, again, reason=reason, actor=actor, request_id=request_id)
        restored = Restored(
            taken_over=len(lacking),
            terminals_moved=moved,
            certificates_revoked=revoked,
            unknown=unknown,
            appended_again=len(strays),
        )
        self._changes.note(
            connection,
            actor=actor,
            action="revocations.reapplied",
            subject="revocations",
            reason=reason,
            request_id=request_id,
            details={"taken_over": len(lacking), "moved": moved, "revoked": revoked, "appended_again": len(strays)},
        )
        self._changes.announce(connection, TOPIC_REVOCATION, str(log.head(connection)[0]))
        return restored

    def note_rebuild(self, connection: Connection, *, reason: str, actor: str, request_id: str = "") -> None:
        """Write down who has a lost or damaged witness written anew, and why; before `rebuild_witness` does it."""
        self._changes.note(
            connection,
            actor=actor,
            action="revocations.witness_rebuilt",
            subject="revocations",
            reason=reason,
            request_id=request_id,
            details={"entries": log.head(connection)[0]},
        )

    def rebuild_witness(self, connection: Connection) -> int:
        """Write the witness anew from the database, beside the writer; return how many revocations it has then.

        The former file is kept beside it. To be used by somebody who is sure that the database was not set back.
        """
        return self._testimony().rebuild(connection, aside=f"{self._now():%Y%m%dT%H%M%SZ}")

    def _testimony(self) -> Testimony:
        testimony = self._revocations.testimony
        if testimony is None:
            raise RuntimeError("a platform keeps a witness")
        return testimony

    def _parting(self, connection: Connection, witnessed: list[Revocation]) -> tuple[int, list[Revocation]]:
        """Return how many entries both have alike, and those whole ones that only the database has."""
        agreed, strays, previous = 0, [], FIRST_HASH
        seen = {entry.entry_hash for entry in witnessed}
        for entry in log.all_after(connection, 0):
            if agreed == entry.entry_id - 1 and agreed < len(witnessed) and entry == witnessed[agreed]:
                agreed += 1
            elif entry.entry_hash not in seen and follows(entry, entry.entry_id, previous):
                strays.append(entry)
            previous = entry.entry_hash
        return agreed, strays

    def _applied(
        self, connection: Connection, entries: list[Revocation], *, reason: str, actor: str, request_id: str
    ) -> tuple[int, int, int]:
        """Make entries true again in the order of the log, so that each terminal ends where its last one says."""
        moved = revoked = unknown = 0
        closed: dict[str, RevocationReason] = {}
        for entry in entries:
            if entry.kind == RevocationKind.CERTIFICATE:
                found = connection.execute(_REVOKE, {"which": entry.fingerprint, "at": entry.at}).rowcount
                revoked, unknown = revoked + found, unknown + (not found)
            elif (target := _TARGETS.get(entry.kind)) is not None:
                is_moved = self._move(connection, entry.subject, target, reason, actor=actor, request_id=request_id)
                moved, unknown = moved + is_moved, unknown + (not is_moved)
                if is_moved and target in CLOSING:
                    closed[entry.subject] = RevocationReason(entry.code)
            elif effect := self._effects.get(RevocationKind(entry.kind)):
                effect(connection, entry)
        for terminal_id, code in closed.items():
            # What the log does not name: open in the backup, replaced before the revocation. Named from now on.
            self._revocations.close_certificates(connection, terminal_id=terminal_id, code=code, at=self._now())
            store.close_tokens(connection, terminal_id=terminal_id, at=self._now())
        for entry in entries:
            self._announce(connection, entry)
        return moved, revoked, unknown

    def _announce(self, connection: Connection, entry: Revocation) -> None:
        """Have every replica look again at whom an entry is about."""
        if entry.kind == RevocationKind.ISSUER:
            self._changes.announce(connection, TOPIC_TERMINAL, EVERYBODY)
            self._changes.announce(connection, TOPIC_AUTHORITY, entry.subject)
        elif entry.kind == RevocationKind.CERTIFICATE or entry.kind in _TARGETS:
            self._changes.announce(connection, TOPIC_TERMINAL, entry.subject)

    def _move(
        self,
        connection: Connection,
        terminal_id: str,
        target: TerminalState,
        reason: str,
        *,
        actor: str,
        request_id: str,
    ) -> bool:
        """Bring a terminal to where the log says it was; False where it is unknown, or has nothing to lose there."""
        terminal = store.find_terminal(connection, terminal_id)
        if terminal is None or not lifecycle.is_legal(terminal.state, target):
            return False
        change = lifecycle.transition(terminal, target, reason=reason, actor=actor, at=self._now())
        self._changes.move(connection, change, request_id=request_id, details={"reapplied": 1})
        return True


def revoke_issuer_again(connection: Connection, entry: Revocation) -> None:
    """Withdraw an issuing authority and what it signed; one that the database does not know signed nothing here."""
    issuer_store.revoke_certificates_of(connection, entry.subject, at=entry.at)
    issuer_store.move_issuer(connection, entry.subject, target=IssuerState.REVOKED, reason=REASON, at=entry.at)
