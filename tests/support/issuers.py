"""Issuing authorities in tests: what the one who holds the root does, and a registry that moves between them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection

from device_registry import Authority, Issuer, Issuers
from device_registry.authority.certificates import fingerprint_from_der
from device_registry.authority.profiles import DEFAULT_LIFETIMES, CertificateLifetimes
from device_registry.authority.root import Root
from device_registry.authority.vault import IssuingKeys
from device_registry.model import CertificateStatus, Terminal
from tests.support.authority import PASSPHRASE, a_signing_request, an_authority
from tests.support.builders import OPERATOR, RegistryBench, a_registry, current_fingerprint
from tests.support.clock import Clock

REASON = "planned roll"
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class IssuersBench:
    """A registry, its issuers, and the root's folder."""

    registry: RegistryBench
    issuers: Issuers
    root_folder: Path

    def signed(self, issuer: Issuer, *, life: timedelta = DEFAULT_LIFETIMES.issuing) -> bytes:
        """Return what the root makes of a prepared issuer's request."""
        return signed_by_root(self.root_folder, issuer, at=self.registry.clock.now(), life=life)

    def installed(self, connection: Connection) -> Issuer:
        """Prepare an issuer and install its certificate."""
        prepared = self.issuers.prepare(connection, reason=REASON, actor=OPERATOR)
        return self.issuers.install(
            connection, issuer_id=prepared.issuer_id, certificate_der=self.signed(prepared), actor=OPERATOR
        )

    def rolled(self, connection: Connection) -> Issuer:
        """Let a new issuer take over and return the one that did."""
        installed = self.installed(connection)
        return self.issuers.activate(connection, issuer_id=installed.issuer_id, reason=REASON, actor=OPERATOR)


def signed_by_root(
    folder: Path,
    issuer: Issuer,
    *,
    at: datetime,
    life: timedelta = DEFAULT_LIFETIMES.issuing,
    passphrase: bytes = PASSPHRASE,
) -> bytes:
    """Return the DER of what the root in a folder makes of an issuer's request."""
    assert issuer.signing_request_der is not None
    root = Root.open(folder, passphrase=passphrase)
    request = x509.load_der_x509_csr(issuer.signing_request_der)
    signed = root.sign_issuing(request, lifetimes=CertificateLifetimes(issuing=life), at=at)
    return signed.public_bytes(Encoding.DER)


def issuers_bench(folder: Path, *, keys: IssuingKeys | None = None, authority: Authority | None = None) -> IssuersBench:
    """Return a registry with an authority of its own, which a test may roll."""
    clock = Clock()
    registry = a_registry(folder, clock, authority=authority or an_authority(folder, clock, keys=keys))
    return IssuersBench(
        registry=registry,
        issuers=Issuers(
            now=clock.now,
            authority=registry.authority,
            audit=registry.audit,
            announce=registry.announcements.announce,
            revocations=registry.revocations,
        ),
        root_folder=folder / "authority" / "root",
    )


def renewed(bench: IssuersBench, connection: Connection, terminal: Terminal) -> str:
    """Let a terminal renew and use what it got; return the new certificate's fingerprint."""
    registry = bench.registry.registry
    answer = registry.renew(
        connection,
        terminal_id=terminal.terminal_id,
        fingerprint=current_fingerprint(connection, registry, terminal.terminal_id),
        signing_request_der=a_signing_request(),
        request_id="",
    )
    fingerprint = fingerprint_from_der(answer.certificate_chain_der[0])
    registry.first_use(connection, fingerprint=fingerprint, request_id="")
    return fingerprint


def issuer_of(connection: Connection, bench: IssuersBench, terminal: Terminal) -> str | None:
    """Return who signed a terminal's newest certificate."""
    known = bench.registry.registry.certificates(connection, terminal.terminal_id)
    return next(it.issuer_id for it in known if it.status is CertificateStatus.CURRENT)


def issuers_bench_on(bench: IssuersBench, authority: Authority) -> IssuersBench:
    """Return the same registry as another replica sees it, with an authority of its own."""
    return issuers_bench(bench.root_folder.parent.parent, authority=authority)


def require(value: T | None) -> T:
    """Return what must be there."""
    assert value is not None
    return value
