"""How the fleet moves from one issuing authority to the next: prepare, install, activate, taint, revoke."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection

from device_registry.audit.log import AuditLog
from device_registry.authority import issuer_store
from device_registry.authority.authority import Authority
from device_registry.authority.authority_folder import new_issuer_id
from device_registry.authority.certificates import fingerprint_from_der
from device_registry.authority.issuer_states import IssuerState, refuse_illegal
from device_registry.authority.issuer_store import Issuer
from device_registry.authority.root import refuse_unfit_issuer
from device_registry.changes import EVERYBODY, TOPIC_AUTHORITY, TOPIC_TERMINAL, Announce, Changes
from device_registry.errors import (
    IssuerCertificateRefusedError,
    IssuerInUseError,
    IssuerNotInstalledError,
    IssuerPendingError,
    IssuerTransitionError,
    IssuerUnknownError,
)
from device_registry.revocation.revocation_log import Revocations
from device_registry.revocation.revoked import RevocationKind


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerUse:
    """An issuing authority and what hangs on it."""

    issuer: Issuer
    terminals: int
    """ACTIVE terminals whose newest certificate it signed."""
    dependents: int
    """Terminals in service that hold a certificate of it that is still good; revoking locks them out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerOverview:
    """All issuing authorities, oldest first, and the fleet they share."""

    uses: tuple[IssuerUse, ...]
    terminals: int
    """ACTIVE terminals with a certificate, whoever signed it."""


class Issuers:
    """The issuing authorities below the root, their states, and who still depends on which."""

    def __init__(
        self,
        *,
        now: Callable[[], datetime],
        authority: Authority,
        audit: AuditLog,
        announce: Announce,
        revocations: Revocations,
    ) -> None:
        self._now = now
        self._revocations = revocations
        self._authority = authority
        self._changes = Changes(audit=audit, announce=announce)

    def is_entered(self, connection: Connection) -> bool:
        """Return whether the books have any issuer yet."""
        return bool(issuer_store.all_issuers(connection))

    def adopt(self, connection: Connection) -> None:
        """Enter the issuer that was made together with the root, when the books have none yet.

        A folder with several is not the one of new books: which of them may sign is not guessed. Books from before
        there were issuers: all their certificates come from this one, and what they revoked is written into the log.
        """
        if self.is_entered(connection) or self._authority.is_undecided:
            return
        certificate, now = self._authority.issuing_certificate, self._now()
        issuer_id = self._authority.issuer_id
        issuer_store.add_issuer(connection, _prepared(issuer_id, self._authority.key_backend, None, now))
        self._write_certificate(connection, issuer_id, certificate)
        issuer_store.move_issuer(connection, issuer_id, target=IssuerState.ACTIVE, reason="made with the root", at=now)
        inherited = self._revocations.inherit(connection, issuer_id=issuer_id)
        self._note(
            connection,
            "adopted",
            issuer_id,
            reason="made with the root",
            actor="platform",
            request_id="",
            certificates=inherited.certificates,
            revocations=inherited.revocations,
        )

    def follow(self, connection: Connection) -> bool:
        """Bring the authority of this process up to date; return whether anything was new to it."""
        return issuer_store.take_over(connection, self._authority)

    def issuer(self, connection: Connection, issuer_id: str) -> Issuer:
        """Return an issuer."""
        found = issuer_store.find_issuer(connection, issuer_id)
        if found is None:
            raise IssuerUnknownError(issuer_id=issuer_id)
        return found

    def overview(self, connection: Connection) -> IssuerOverview:
        """Return all issuers with their share of the fleet."""
        shares = issuer_store.shares(connection)
        dependents = issuer_store.dependents(connection, now=self._now())
        return IssuerOverview(
            uses=tuple(
                IssuerUse(
                    issuer=issuer,
                    terminals=shares.get(issuer.issuer_id, 0),
                    dependents=dependents.get(issuer.issuer_id, 0),
                )
                for issuer in issuer_store.all_issuers(connection)
            ),
            terminals=sum(shares.values()),
        )

    def prepare(self, connection: Connection, *, reason: str, actor: str, request_id: str = "") -> Issuer:
        """Make the key of a next issuer. Safe to repeat: one that waits for its certificate is returned again.

        Raises:
            IssuerPendingError: one that has its certificate waits to be activated.
        """
        for issuer in issuer_store.all_issuers(connection):
            if issuer.state is IssuerState.PREPARED and issuer.certificate_der is not None:
                raise IssuerPendingError(issuer_id=issuer.issuer_id)
            if issuer.state is IssuerState.PREPARED:
                return issuer
        issuer_id = new_issuer_id()
        request = self._authority.make_issuer(issuer_id)
        prepared = _prepared(
            issuer_id, self._authority.key_backend, request.public_bytes(Encoding.DER), self._now(), reason
        )
        issuer_store.add_issuer(connection, prepared)
        self._note(connection, "prepared", issuer_id, reason=reason, actor=actor, request_id=request_id)
        return prepared

    def install(
        self, connection: Connection, *, issuer_id: str, certificate_der: bytes, actor: str, request_id: str = ""
    ) -> Issuer:
        """Take the certificate that the root signed for a prepared issuer; the same one again changes nothing."""
        issuer = self.issuer(connection, issuer_id)
        if issuer.certificate_der == certificate_der:
            return issuer
        if issuer.state is not IssuerState.PREPARED or issuer.signing_request_der is None:
            raise IssuerTransitionError(issuer_id=issuer_id, state=issuer.state, wanted=IssuerState.PREPARED)
        refuse_unfit_issuer(
            _certificate_from_der(certificate_der),
            request=x509.load_der_x509_csr(issuer.signing_request_der),
            root=self._authority.root,
            now=self._now(),
        )
        self._write_certificate(connection, issuer_id, _certificate_from_der(certificate_der))
        self._note(connection, "installed", issuer_id, reason="", actor=actor, request_id=request_id)
        return self.issuer(connection, issuer_id)

    def activate(
        self,
        connection: Connection,
        *,
        issuer_id: str,
        reason: str,
        actor: str,
        even_without_key: bool = False,
        request_id: str = "",
    ) -> Issuer:
        """Let new certificates come from an issuer; the one that was active is OUTGOING.

        Raises:
            IssuerTransitionError, IssuerNotInstalledError: it is not at that point.
            IssuingKeyMissingError, HsmUnavailableError, IssuerKeyMismatchError: its key does not sign here, so nothing
                could be issued, and it was not said that this may be so.
        """
        issuer = self.issuer(connection, issuer_id)
        refuse_illegal(issuer_id, origin=issuer.state, target=IssuerState.ACTIVE)
        if issuer.certificate_der is None:
            raise IssuerNotInstalledError(issuer_id=issuer_id)
        if not even_without_key:
            self._authority.prove(issuer_id, _certificate_from_der(issuer.certificate_der))
        for other in issuer_store.all_issuers(connection):
            if other.state is IssuerState.ACTIVE:
                self._move(
                    connection,
                    other,
                    IssuerState.OUTGOING,
                    reason=f"{issuer_id} took over",
                    actor=actor,
                    request_id=request_id,
                )
        return self._move(connection, issuer, IssuerState.ACTIVE, reason=reason, actor=actor, request_id=request_id)

    def taint(self, connection: Connection, *, issuer_id: str, reason: str, actor: str, request_id: str = "") -> Issuer:
        """Make every certificate of an issuer due for renewal; they stay good."""
        issuer = self.issuer(connection, issuer_id)
        tainted = self._move(connection, issuer, IssuerState.TAINTED, reason=reason, actor=actor, request_id=request_id)
        self._changes.announce(connection, TOPIC_TERMINAL, EVERYBODY)
        return tainted

    def revoke(
        self,
        connection: Connection,
        *,
        issuer_id: str,
        reason: str,
        even_if_in_use: bool,
        actor: str,
        request_id: str = "",
    ) -> Issuer:
        """Withdraw an issuer and every certificate it signed, in this transaction; live streams are cut.

        Raises:
            IssuerTransitionError: it is ACTIVE, or was not tainted first.
            IssuerInUseError: terminals depend on it, and it was not said that they may be locked out.
        """
        issuer = self.issuer(connection, issuer_id)
        refuse_illegal(issuer_id, origin=issuer.state, target=IssuerState.REVOKED)
        now = self._now()
        dependents = issuer_store.dependents(connection, now=now).get(issuer_id, 0)
        operators = issuer_store.operators_of(connection, issuer_id, now=now)
        if (dependents or operators) and not even_if_in_use:
            raise IssuerInUseError(issuer_id=issuer_id, terminals=dependents, operators=operators)
        self._revocations.note_revoked(
            connection,
            kind=RevocationKind.ISSUER,
            subject=issuer_id,
            issuer_id=issuer_id,
            fingerprint=issuer.fingerprint or "",
            not_after=issuer.not_after,
        )
        closed = issuer_store.revoke_certificates_of(connection, issuer_id, at=now)
        revoked = self._move(
            connection,
            issuer,
            IssuerState.REVOKED,
            reason=reason,
            actor=actor,
            request_id=request_id,
            certificates_revoked=closed,
            terminals_locked_out=dependents,
            operators_locked_out=operators,
        )
        self._changes.announce(connection, TOPIC_TERMINAL, EVERYBODY)
        return revoked

    # Steps -----------------------------------------------------------------------------------------

    def _move(
        self,
        connection: Connection,
        issuer: Issuer,
        target: IssuerState,
        *,
        reason: str,
        actor: str,
        request_id: str,
        **details: int,
    ) -> Issuer:
        """Change an issuer's state if that is legal, write it down, and return the issuer as it is then."""
        refuse_illegal(issuer.issuer_id, origin=issuer.state, target=target)
        told: dict[str, str | int] = {"from": issuer.state.value, **details}
        issuer_store.move_issuer(connection, issuer.issuer_id, target=target, reason=reason, at=self._now())
        self._note(
            connection,
            target.lower(),
            issuer.issuer_id,
            reason=reason,
            actor=actor,
            request_id=request_id,
            **told,
        )
        return self.issuer(connection, issuer.issuer_id)

    def _write_certificate(self, connection: Connection, issuer_id: str, certificate: x509.Certificate) -> None:
        der = certificate.public_bytes(Encoding.DER)
        key_id = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        issuer_store.install_issuer(
            connection,
            issuer_id,
            certificate_der=der,
            fingerprint=fingerprint_from_der(der),
            subject_key_id=key_id.hex(),
            not_after=certificate.not_valid_after_utc,
        )

    def _note(
        self,
        connection: Connection,
        what: str,
        issuer_id: str,
        *,
        reason: str,
        actor: str,
        request_id: str,
        **details: str | int,
    ) -> None:
        self._changes.note(
            connection,
            actor=actor,
            action=f"issuer.{what}",
            subject=issuer_id,
            reason=reason,
            request_id=request_id,
            details=details,
        )
        self._changes.announce(connection, TOPIC_AUTHORITY, issuer_id)


def _prepared(
    issuer_id: str, key_backend: str, signing_request_der: bytes | None, now: datetime, reason: str = ""
) -> Issuer:
    return Issuer(
        issuer_id=issuer_id,
        state=IssuerState.PREPARED,
        state_since=now,
        state_reason=reason,
        prepared_at=now,
        key_backend=key_backend,
        signing_request_der=signing_request_der,
        certificate_der=None,
        fingerprint=None,
        subject_key_id=None,
        not_after=None,
    )


def _certificate_from_der(der: bytes) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError as error:
        raise IssuerCertificateRefusedError(detail="no X.509 certificate in DER") from error
