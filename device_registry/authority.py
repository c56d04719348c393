"""The platform's certificate authority: an offline root, and an issuing key for terminals and servers."""

import ipaddress
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from device_registry.certificates import fingerprint_from_der
from device_registry.errors import (
    AuthorityBrokenError,
    AuthorityExistsError,
    AuthorityExpiredError,
    AuthorityMissingError,
    FieldInvalidError,
)
from device_registry.keys import make_private_key, read_private_key, write_private_key
from device_registry.model import IssuedCertificate

# A terminal's clock may run behind ours: a certificate that begins now would be "not yet valid" there.
BACKDATED_BY = timedelta(minutes=5)
TERMINAL_URN = "urn:shualian:terminal:"  # DESIGN 4
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOSTNAME = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*")
_HOSTNAME_LENGTH_MAX = 253  # RFC 1035


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateLifetimes:
    """How long each kind of certificate lives; none outlives the one that signed it."""

    root: timedelta = timedelta(days=20 * 365)
    issuing: timedelta = timedelta(days=5 * 365)
    terminal: timedelta = timedelta(days=30)
    """DESIGN 4."""
    server: timedelta = timedelta(days=90)


DEFAULT_LIFETIMES = CertificateLifetimes()


class Authority:
    """Signs certificates with the issuing key; the root's key is needed only to make it."""

    def __init__(
        self,
        *,
        root: x509.Certificate,
        issuing: x509.Certificate,
        issuing_key: ec.EllipticCurvePrivateKey,
        lifetimes: CertificateLifetimes,
    ) -> None:
        self._issuing = issuing
        self._issuing_key = issuing_key
        self._lifetimes = lifetimes
        issuing_der = issuing.public_bytes(Encoding.DER)
        root_der = root.public_bytes(Encoding.DER)
        self._chain_above_leaf = (issuing_der,)
        self.root_certificates_der: tuple[bytes, ...] = (root_der,)
        self.root_fingerprint_sha256: str = fingerprint_from_der(root_der)
        self.trust_bundle_pem: bytes = root.public_bytes(Encoding.PEM) + issuing.public_bytes(Encoding.PEM)
        self.not_after: datetime = issuing.not_valid_after_utc

    @classmethod
    def create(
        cls,
        folder: Path,
        *,
        passphrase: bytes,
        now: Callable[[], datetime],
        lifetimes: CertificateLifetimes = DEFAULT_LIFETIMES,
    ) -> Self:
        """Make a root and an issuing authority in a new folder; all of it appears at once or not at all."""
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise AuthorityExistsError(path=folder, detail="not empty")
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))  # mode 0700
        try:
            _write_authority(draft, passphrase=passphrase, at=now(), lifetimes=lifetimes)
            draft.rename(folder)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        return cls.open(folder, passphrase=passphrase, lifetimes=lifetimes)

    @classmethod
    def open(cls, folder: Path, *, passphrase: bytes, lifetimes: CertificateLifetimes = DEFAULT_LIFETIMES) -> Self:
        """Open what `create` made; `folder/root/` may be gone, its key belongs in a safe."""
        root = _read_certificate(folder / "root.pem")
        issuing = _read_certificate(folder / "issuing" / "certificate.pem")
        key = read_private_key(folder / "issuing" / "key.pem", passphrase=passphrase)
        if issuing.public_key() != key.public_key():
            raise AuthorityBrokenError(path=folder, detail="the issuing key belongs to another certificate")
        try:
            issuing.verify_directly_issued_by(root)
        except (ValueError, TypeError, InvalidSignature) as error:
            raise AuthorityBrokenError(path=folder, detail="the root did not sign the issuing certificate") from error
        return cls(root=root, issuing=issuing, issuing_key=key, lifetimes=lifetimes)

    def issue_terminal(
        self, *, terminal_id: str, public_key: ec.EllipticCurvePublicKey, now: datetime
    ) -> IssuedCertificate:
        """Sign a terminal's operational certificate (LDevID)."""
        return self._issue(
            common_name=terminal_id,
            alternative_names=[x509.UniformResourceIdentifier(TERMINAL_URN + terminal_id)],
            usage=ExtendedKeyUsageOID.CLIENT_AUTH,
            public_key=public_key,
            lifetime=self._lifetimes.terminal,
            now=now,
        )

    def issue_server(
        self, *, hostnames: Sequence[str], public_key: ec.EllipticCurvePublicKey, now: datetime
    ) -> IssuedCertificate:
        """Sign a listener's certificate for names and addresses; those of the machine itself are always in it."""
        names = list(dict.fromkeys([*hostnames, "localhost", "127.0.0.1", "::1"]))
        return self._issue(
            common_name="Shualian platform",
            alternative_names=[_server_name(name) for name in names],
            usage=ExtendedKeyUsageOID.SERVER_AUTH,
            public_key=public_key,
            lifetime=self._lifetimes.server,
            now=now,
        )

    def _issue(
        self,
        *,
        common_name: str,
        alternative_names: Sequence[x509.GeneralName],
        usage: x509.ObjectIdentifier,
        public_key: ec.EllipticCurvePublicKey,
        lifetime: timedelta,
        now: datetime,
    ) -> IssuedCertificate:
        if now >= self.not_after:
            raise AuthorityExpiredError(not_after=self.not_after)
        builder = _builder(
            subject=_name(common_name),
            issuer=self._issuing.subject,
            public_key=public_key,
            issuer_key=self._issuing_key.public_key(),
            not_before=max(now - BACKDATED_BY, self._issuing.not_valid_before_utc),
            not_after=min(now + lifetime, self.not_after),
        )
        leaf = (
            builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectAlternativeName(alternative_names), critical=False)
            .sign(self._issuing_key, hashes.SHA256())
        )
        der = leaf.public_bytes(Encoding.DER)
        return IssuedCertificate(
            certificate_chain_der=(der, *self._chain_above_leaf),
            certificate_serial=f"{leaf.serial_number:x}",
            fingerprint=fingerprint_from_der(der),
            issued_at=now,
            not_before=leaf.not_valid_before_utc,
            not_after=leaf.not_valid_after_utc,
        )


def _write_authority(folder: Path, *, passphrase: bytes, at: datetime, lifetimes: CertificateLifetimes) -> None:
    """Write root.pem, root/key.pem (to be taken offline), issuing/key.pem and issuing/certificate.pem."""
    mark = secrets.token_hex(3)  # two authorities of one name confuse whoever has to pick by name
    root_key, issuing_key = make_private_key(), make_private_key()
    root = _sign_authority(
        subject=_name(f"Shualian root {mark}"),
        public_key=root_key.public_key(),
        issuer=_name(f"Shualian root {mark}"),
        issuer_key=root_key,
        not_after=at + lifetimes.root,
        path_length=1,
        at=at,
    )
    issuing = _sign_authority(
        subject=_name(f"Shualian issuing {mark}"),
        public_key=issuing_key.public_key(),
        issuer=root.subject,
        issuer_key=root_key,
        not_after=min(at + lifetimes.issuing, root.not_valid_after_utc),
        path_length=0,
        at=at,
    )
    (folder / "root").mkdir(mode=0o700)
    (folder / "issuing").mkdir(mode=0o700)
    write_private_key(folder / "root" / "key.pem", root_key, passphrase=passphrase)
    write_private_key(folder / "issuing" / "key.pem", issuing_key, passphrase=passphrase)
    (folder / "root.pem").write_bytes(root.public_bytes(Encoding.PEM))
    (folder / "issuing" / "certificate.pem").write_bytes(issuing.public_bytes(Encoding.PEM))


def _sign_authority(
    *,
    subject: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    not_after: datetime,
    path_length: int,
    at: datetime,
) -> x509.Certificate:
    return (
        _builder(
            subject=subject,
            issuer=issuer,
            public_key=public_key,
            issuer_key=issuer_key.public_key(),
            not_before=at - BACKDATED_BY,
            not_after=not_after,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(issuer_key, hashes.SHA256())
    )


def _builder(
    *,
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePublicKey,
    not_before: datetime,
    not_after: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before.replace(microsecond=0))
        .not_valid_after(not_after.replace(microsecond=0))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _server_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        if len(name) > _HOSTNAME_LENGTH_MAX or not _HOSTNAME.fullmatch(name):
            raise FieldInvalidError(field="hostname", detail="neither a host name nor an address") from None
        return x509.DNSName(name)


def _read_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        raise AuthorityMissingError(path=path, detail=error.strerror or "unreadable") from error
    except ValueError as error:
        raise AuthorityBrokenError(path=path, detail="no certificate") from error
