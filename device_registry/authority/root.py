"""What the root does: it is made once, signs issuing authorities, and stays offline between two of them."""

import secrets
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from device_registry.authority.keys import make_private_key, read_private_key, write_private_key
from device_registry.authority.profiles import BACKDATED_BY, CertificateLifetimes, begun, key_usage, name_from
from device_registry.errors import AuthorityBrokenError, AuthorityMissingError, IssuerCertificateRefusedError

ISSUING_SUBJECT = "Shualian issuing "


class Root:
    """A root with its key: only where an authority is made, and on the machine of who signs the next one."""

    def __init__(self, *, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self.certificate = certificate
        self._key = key

    @classmethod
    def create(cls, folder: Path, *, passphrase: bytes, at: datetime, lifetimes: CertificateLifetimes) -> "Root":
        """Make a root; what signs the next authority is in `folder/root/`, which is to be taken offline."""
        key = make_private_key()
        # Two roots of one name would confuse whoever has to pick one by name.
        name = name_from(f"Shualian root {secrets.token_hex(3)}")
        certificate = _signed_authority(
            subject=name,
            public_key=key.public_key(),
            issuer=name,
            issuer_key=key,
            not_after=at + lifetimes.root,
            path_length=1,
            at=at,
        )
        (folder / "root").mkdir(mode=0o700)
        write_private_key(folder / "root" / "key.pem", key, passphrase=passphrase)
        for path in (folder / "root.pem", folder / "root" / "certificate.pem"):
            path.write_bytes(certificate.public_bytes(Encoding.PEM))
        return cls(certificate=certificate, key=key)

    @classmethod
    def open(cls, folder: Path, *, passphrase: bytes) -> "Root":
        """Open the offline folder, with `certificate.pem` and `key.pem`."""
        certificate = read_certificate(folder / "certificate.pem")
        key = read_private_key(folder / "key.pem", passphrase=passphrase)
        if key.public_key() != certificate.public_key():
            raise AuthorityBrokenError(path=folder, detail="key and certificate are of two roots")
        return cls(certificate=certificate, key=key)

    def sign_issuing(
        self, request: x509.CertificateSigningRequest, *, lifetimes: CertificateLifetimes, at: datetime
    ) -> x509.Certificate:
        """Sign an issuing authority, which may sign certificates and no further authority."""
        public_key = request.public_key()
        if not request.is_signature_valid or not isinstance(public_key, ec.EllipticCurvePublicKey):
            raise IssuerCertificateRefusedError(detail="the request is not signed by the ECDSA key it names")
        return _signed_authority(
            subject=request.subject,
            public_key=public_key,
            issuer=self.certificate.subject,
            issuer_key=self._key,
            not_after=min(at + lifetimes.issuing, self.certificate.not_valid_after_utc),
            path_length=0,
            at=at,
        )


def read_certificate(path: Path) -> x509.Certificate:
    """Return the certificate in a PEM file, or say what is wrong with the file."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        raise AuthorityMissingError(path=path, detail=error.strerror or "unreadable") from error
    except ValueError as error:
        raise AuthorityBrokenError(path=path, detail="no certificate") from error


def issuing_request(key: ec.EllipticCurvePrivateKey, *, issuer_id: str) -> x509.CertificateSigningRequest:
    """Return what the root is asked to sign for a new issuing key."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(name_from(ISSUING_SUBJECT + issuer_id))
    return builder.sign(key, hashes.SHA256())


def refuse_unfit_issuer(
    certificate: x509.Certificate, *, request: x509.CertificateSigningRequest, root: x509.Certificate, now: datetime
) -> None:
    """Check that a certificate makes the key of a request an issuing authority of ours, and nothing more.

    Raises:
        IssuerCertificateRefusedError: it does not.
    """
    refuse_foreign_issuer(certificate, root=root)
    if certificate.public_key() != request.public_key():
        raise IssuerCertificateRefusedError(detail="it is for another key than the one that was prepared")
    if certificate.subject != request.subject:
        raise IssuerCertificateRefusedError(detail="it has another name than the one that was asked for")
    if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
        raise IssuerCertificateRefusedError(detail="it is not valid now")
    if certificate.not_valid_after_utc > root.not_valid_after_utc:
        raise IssuerCertificateRefusedError(detail="it outlives the root")


def refuse_foreign_issuer(certificate: x509.Certificate, *, root: x509.Certificate) -> None:
    """Check that the root signed a certificate, as that of an authority with none below it.

    Raises:
        IssuerCertificateRefusedError: it did not, or as something else.
    """
    try:
        certificate.verify_directly_issued_by(root)
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except (ValueError, TypeError, InvalidSignature) as error:
        raise IssuerCertificateRefusedError(detail="the root did not sign it") from error
    except x509.ExtensionNotFound as error:
        raise IssuerCertificateRefusedError(detail="it does not say what it may be used for") from error
    if not constraints.ca or constraints.path_length != 0:
        raise IssuerCertificateRefusedError(detail="its path length must be 0")
    if not usage.key_cert_sign or not usage.crl_sign:
        raise IssuerCertificateRefusedError(detail="it may not sign certificates and revocation lists")


def _signed_authority(
    *,
    subject: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    not_after: datetime,
    path_length: int,
    at: datetime,
) -> x509.Certificate:
    builder = begun(
        subject=subject,
        public_key=public_key,
        issuer=issuer,
        issuer_key=issuer_key.public_key(),
        not_before=at - BACKDATED_BY,
        not_after=not_after,
    )
    return (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(key_usage(signs_certificates=True), critical=True)
        .sign(issuer_key, hashes.SHA256())
    )
