"""The server's certificate and whom it trusts: issued or read at start, renewed and re-read without a restart."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import ClassVar

import grpc
import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from device_registry import Authority
from server.config import Config

log = structlog.get_logger()

RENEW_AFTER_FRACTION = 2 / 3  # DESIGN 4, as for terminals


class TlsMaterialError(Exception):
    """The configured certificate, key or trust bundle cannot be used."""

    reason: ClassVar[str] = "TLS_MATERIAL_UNUSABLE"

    def __init__(self, *, path: Path, detail: str) -> None:
        self.path = path
        self.detail = detail
        super().__init__(f"{path}: {detail}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsMaterial:
    """What a handshake needs."""

    private_key_pem: bytes
    chain_pem: bytes
    trust_pem: bytes
    not_after: datetime
    renew_after: datetime


class ServerTls:
    """Keeps the material for new handshakes; connections that stand are not touched."""

    def __init__(
        self,
        *,
        config: Config,
        authority: Authority,
        now: Callable[[], datetime],
        on_material: Callable[[TlsMaterial], None],
    ) -> None:
        self._config = config
        self._authority = authority
        self._now = now
        self._on_material = on_material
        self._seen = self._chain_marks()
        self.material = self._made()
        on_material(self.material)

    def credentials(self, *, require_client: bool) -> grpc.ServerCredentials:
        """Return credentials that follow the material.

        The fetcher runs at every handshake, in a thread of gRPC's. It must answer None unless something changed: a
        configuration at every handshake crashed the process (grpc#36693).
        """
        given = self.material

        def fetch() -> grpc.ServerCertificateConfiguration | None:
            nonlocal given
            if given is self.material:
                return None
            given = self.material
            return _configuration(given, require_client=require_client)

        return grpc.dynamic_ssl_server_credentials(
            _configuration(given, require_client=require_client),
            fetch,  # type: ignore[arg-type]  # grpc-stubs forgot None, which gRPC documents
            require_client_authentication=require_client,
        )

    def reload_if_due(self) -> bool:
        """Make or read the material again if something changed or the certificate is due; return whether it was.

        What may change: the configured files, the issuing authority that is active, and those that are trusted.

        Raises:
            TlsMaterialError: what is there now cannot be used; the old material goes on.
            RegistryError: the authority cannot sign now; likewise.
        """
        marks, trust = self._chain_marks(), self._trust()
        is_due = self._config.tls.certificate is None and self._now() >= self.material.renew_after
        if marks == self._seen and trust == self.material.trust_pem and not is_due:
            return False
        is_new_chain = marks != self._seen or is_due
        # First, and at once: whom we trust does not wait for a chain that may not be made now.
        self.material = replace(self.material, trust_pem=trust)
        if is_new_chain:
            self.material = self._made()
        self._seen = marks
        self._on_material(self.material)
        log.info("tls_reloaded", not_after=self.material.not_after.isoformat())
        return True

    def _made(self) -> TlsMaterial:
        trust, tls = self._trust(), self._config.tls
        if tls.certificate is not None and tls.private_key is not None:
            chain, key = _certificates_in(tls.certificate), _read(tls.private_key)
            _refuse_foreign_key(tls.private_key, key, chain)
            not_after = x509.load_pem_x509_certificate(chain).not_valid_after_utc
            return TlsMaterial(
                private_key_pem=key,
                chain_pem=chain,
                trust_pem=trust,
                not_after=not_after,
                renew_after=not_after,
            )
        return self._issued(trust)

    def _issued(self, trust: bytes) -> TlsMaterial:
        """Have the authority issue a certificate for a new key, which lives in memory alone."""
        key = ec.generate_private_key(ec.SECP256R1())
        issued = self._authority.issue_server(
            hostnames=self._config.tls.hostnames, public_key=key.public_key(), now=self._now()
        )
        # The root comes last: a terminal that knows only its fingerprint finds it in the handshake.
        certificates = (*issued.certificate_chain_der, *self._authority.root_certificates_der)
        chain = b"".join(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in certificates)
        return TlsMaterial(
            private_key_pem=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            chain_pem=chain,
            trust_pem=trust,
            not_after=issued.not_after,
            renew_after=issued.issued_at + (issued.not_after - issued.issued_at) * RENEW_AFTER_FRACTION,
        )

    def _trust(self) -> bytes:
        """Return whom a handshake trusts: our own authorities, and `ca/trust/*.pem`, e.g. a former platform's."""
        paths = sorted((self._config.authority_dir / "trust").glob("*.pem"))
        return self._authority.trust_bundle_pem + b"".join(_certificates_in(path) for path in paths)

    def _chain_marks(self) -> tuple[object, ...]:
        """Return what the certificate that is shown depends on; with other marks another one is due."""
        files = (self._config.tls.certificate, self._config.tls.private_key)
        stamps = tuple(path.stat().st_mtime_ns if path.exists() else 0 for path in files if path is not None)
        return self._authority.issuer_id, stamps


def _configuration(material: TlsMaterial, *, require_client: bool) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(material.private_key_pem, material.chain_pem)],
        root_certificates=material.trust_pem if require_client else None,
    )


def _certificates_in(path: Path) -> bytes:
    pem = _read(path)
    try:
        x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise TlsMaterialError(path=path, detail="no certificate in PEM") from error
    return pem


def _refuse_foreign_key(path: Path, key_pem: bytes, chain: bytes) -> None:
    """Refuse a key of another certificate: two files are not replaced in one moment, and half of both serves nobody."""
    try:
        key = load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise TlsMaterialError(path=path, detail="no unencrypted private key in PEM") from error
    if key.public_key() != x509.load_pem_x509_certificate(chain).public_key():
        raise TlsMaterialError(path=path, detail="the key is not that of the certificate")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TlsMaterialError(path=path, detail=error.strerror or "unreadable") from error
