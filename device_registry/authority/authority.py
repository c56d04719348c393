"""The platform's certificate authority: one root, the issuing authorities below it, and what they sign."""

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from device_registry.authority.authority_folder import issuers_in, root_in, write_first, write_issuer
from device_registry.authority.certificates import fingerprint_from_der
from device_registry.authority.profiles import (
    BACKDATED_BY,
    DEFAULT_LIFETIMES,
    OPERATOR_URN,
    TERMINAL_URN,
    CertificateLifetimes,
    begun,
    key_usage,
    name_from,
    server_name,
)
from device_registry.authority.revocation_list import RevokedCertificate, revocation_list
from device_registry.authority.root import issuing_request, refuse_foreign_issuer
from device_registry.authority.signing import Signature, SignaturePurpose, Signer, refuse_foreign_signature
from device_registry.authority.vault import FileKeys, IssuingKeys
from device_registry.errors import (
    AuthorityBrokenError,
    AuthorityExistsError,
    AuthorityExpiredError,
    AuthorityMissingError,
    HsmUnavailableError,
    IssuerCertificateRefusedError,
    IssuerKeyMismatchError,
    IssuerNoneActiveError,
    IssuerUnknownError,
    IssuingKeyMissingError,
    RegistryError,
)
from device_registry.model import IssuedCertificate

__all__ = ["DEFAULT_LIFETIMES", "Authority", "CertificateLifetimes", "RevokedCertificate"]

_CLIENT, _SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH

NOBODY = ""
"""Takes the place of an issuing authority's id where none may sign."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """The issuing authorities as this process knows them; replaced as a whole, never changed."""

    active: str
    certificates: Mapping[str, x509.Certificate]
    trusted: frozenset[str]


class Authority:
    """Signs with the issuing key that is active; the root's key is not here."""

    def __init__(
        self,
        *,
        folder: Path,
        root: x509.Certificate,
        issuers: Mapping[str, x509.Certificate],
        active: str,
        keys: IssuingKeys,
        lifetimes: CertificateLifetimes,
    ) -> None:
        self._folder = folder
        self._keys = keys
        self._lifetimes = lifetimes
        self._signer = Signer(keys=keys)
        self._following = threading.Lock()
        self._known = _Known(active=active, certificates=dict(issuers), trusted=frozenset(issuers))
        self.root: x509.Certificate = root
        root_der = root.public_bytes(Encoding.DER)
        self.root_certificates_der: tuple[bytes, ...] = (root_der,)
        self.root_fingerprint_sha256: str = fingerprint_from_der(root_der)

    @classmethod
    def create(
        cls,
        folder: Path,
        *,
        passphrase: bytes,
        now: Callable[[], datetime],
        lifetimes: CertificateLifetimes = DEFAULT_LIFETIMES,
        keys: IssuingKeys | None = None,
    ) -> Self:
        """Make a root and a first issuing authority in a new folder; all of it appears at once or not at all.

        Args:
            folder: where root certificate, root key and issuing certificates go.
            passphrase: encrypts the root's key, and the issuing key when that is in a file.
            now: the clock.
            lifetimes: how long what is signed lives.
            keys: where the issuing key is to be, files in the folder when not given.
        """
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise AuthorityExistsError(path=folder, detail="not empty")
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))  # mode 0700
        try:
            write_first(draft, passphrase=passphrase, keys=keys, at=now(), lifetimes=lifetimes)
            draft.rename(folder)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        return cls.open(folder, passphrase=passphrase, lifetimes=lifetimes, keys=keys)

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        passphrase: bytes,
        lifetimes: CertificateLifetimes = DEFAULT_LIFETIMES,
        keys: IssuingKeys | None = None,
    ) -> Self:
        """Open what `create` made; `folder/root/` may be gone, its key belongs in a safe.

        A lone issuing authority counts as active until `follow` says what the registry decided; of several nobody but
        the registry knows which may sign. A folder that lost all of them gets its certificates back from there; the
        keys are gone.
        """
        root, issuers = root_in(folder), issuers_in(folder)
        authority = cls(
            folder=folder,
            root=root,
            issuers=issuers,
            active=next(iter(issuers)) if len(issuers) == 1 else NOBODY,
            keys=keys or FileKeys(folder / "issuing", passphrase=passphrase),
            lifetimes=lifetimes,
        )
        authority._refuse_what_does_not_fit()
        return authority

    # What is there ---------------------------------------------------------------------------------

    @property
    def issuer_id(self) -> str:
        """The issuing authority that is active, as this process knows; empty where none is."""
        return self._known.active

    @property
    def issuing_certificate(self) -> x509.Certificate:
        """The certificate of the active issuing authority.

        Raises:
            IssuerNoneActiveError: there are some, and none of them is active.
            AuthorityMissingError: folder and books have none.
        """
        known = self._known
        if self.is_undecided:
            raise IssuerNoneActiveError
        if known.active not in known.certificates:
            raise AuthorityMissingError(path=self._folder / "issuing", detail="no issuing certificate")
        return known.certificates[known.active]

    @property
    def is_undecided(self) -> bool:
        """Whether there are issuing authorities of which none is known to be active."""
        return bool(self._known.certificates) and self._known.active == NOBODY

    @property
    def not_after(self) -> datetime:
        """When the active issuing certificate ends."""
        return self.issuing_certificate.not_valid_after_utc

    @property
    def trust_bundle_pem(self) -> bytes:
        """The root, and each issuing authority that is not revoked."""
        known = self._known
        trusted = (known.certificates[issuer_id] for issuer_id in sorted(known.trusted))
        return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in (self.root, *trusted))

    @property
    def key_backend(self) -> str:
        """Where issuing keys are: `file` or `pkcs11`."""
        return self._keys.backend

    def knows(self, issuer_id: str) -> bool:
        """Return whether an issuing authority's certificate is here."""
        return issuer_id in self._known.certificates

    def follow(self, issuers_der: Mapping[str, bytes], *, active: str, trusted: Iterable[str]) -> bool:
        """Take over what the registry says of the issuing authorities; return whether anything was new.

        Raises:
            AuthorityBrokenError: the registry names one that this root did not sign.
        """
        with self._following:
            known = self._known
            certificates = {
                issuer_id: known.certificates.get(issuer_id) or x509.load_der_x509_certificate(der)
                for issuer_id, der in issuers_der.items()
            }
            following = _Known(active=active, certificates=certificates, trusted=frozenset(trusted))
            if following == known:
                return False
            for issuer_id in certificates.keys() - known.certificates.keys():
                self._refuse_foreign(issuer_id, certificates[issuer_id])
                write_issuer(self._folder, issuer_id, certificates[issuer_id])
            self._known = following
            return True

    def can_sign(self) -> bool:
        """Return whether the active issuing key is at hand, and the right one; see `what_prevents_signing`."""
        return self.what_prevents_signing() is None

    def what_prevents_signing(self) -> RegistryError | None:
        """Return what is wrong with the active issuing key, if anything is; a token that was away is asked again."""
        try:
            self._signer.prove(self.issuer_id, self.issuing_certificate, probing=True)
        except RegistryError as error:  # missing, out of reach, another one: each time nothing can be signed
            return error
        return None

    def prove(self, issuer_id: str, certificate: x509.Certificate) -> None:
        """Check that an issuing authority's key is at hand and signs for its certificate; see `Signer.prove`."""
        self._signer.prove(issuer_id, certificate, probing=True)

    def watch(self, on_signature: Callable[[Signature], None]) -> None:
        """Tell somebody of each signature from now on, made or failed."""
        self._signer.watch(on_signature)

    # What is signed --------------------------------------------------------------------------------

    def make_issuer(self, issuer_id: str) -> x509.CertificateSigningRequest:
        """Make the key of a new issuing authority and return what the root is to sign."""
        self._keys.make(issuer_id)
        return self._signer.signed(
            SignaturePurpose.REQUEST, issuer_id, lambda key: issuing_request(key, issuer_id=issuer_id)
        )

    def issue_terminal(
        self, *, terminal_id: str, public_key: ec.EllipticCurvePublicKey, now: datetime, issuer_id: str | None = None
    ) -> IssuedCertificate:
        """Sign a terminal's operational certificate (LDevID)."""
        return self._issue(
            SignaturePurpose.TERMINAL,
            issuer_id=issuer_id,
            common_name=terminal_id,
            alternative_names=[x509.UniformResourceIdentifier(TERMINAL_URN + terminal_id)],
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
            SignaturePurpose.SERVER,
            issuer_id=None,
            common_name="Shualian platform",
            alternative_names=[server_name(name) for name in names],
            public_key=public_key,
            lifetime=self._lifetimes.server,
            now=now,
        )

    def issue_operator(
        self, *, name: str, public_key: ec.EllipticCurvePublicKey, now: datetime, issuer_id: str | None = None
    ) -> IssuedCertificate:
        """Sign an operator's certificate for the admin port."""
        return self._issue(
            SignaturePurpose.OPERATOR,
            issuer_id=issuer_id,
            common_name=name,
            alternative_names=[x509.UniformResourceIdentifier(OPERATOR_URN + name)],
            public_key=public_key,
            lifetime=self._lifetimes.operator,
            now=now,
        )

    def sign_crl(
        self,
        issuer_id: str,
        revoked: Iterable[RevokedCertificate],
        number: int,
        now: datetime,
        next_update: datetime,
    ) -> bytes:
        """Sign an issuing authority's revocation list; return its DER.

        Args:
            issuer_id: whose list it is; it holds certificates of that one alone.
            revoked: its revoked certificates.
            number: rises with each list.
            now: the list's own time.
            next_update: when the next list is there at the latest.
        """
        certificate = self._certificate(issuer_id)
        builder = revocation_list(certificate, revoked, number=number, now=now, next_update=next_update)
        return self._signer.signed(
            SignaturePurpose.CRL,
            issuer_id,
            lambda key: builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER),
            certificate,
        )

    def _issue(
        self,
        purpose: SignaturePurpose,
        *,
        issuer_id: str | None,
        common_name: str,
        alternative_names: Sequence[x509.GeneralName],
        public_key: ec.EllipticCurvePublicKey,
        lifetime: timedelta,
        now: datetime,
    ) -> IssuedCertificate:
        issuing = self._certificate(issuer_id) if issuer_id else self.issuing_certificate
        issuer_id = issuer_id or self.issuer_id
        not_after = issuing.not_valid_after_utc
        if now >= not_after:
            raise AuthorityExpiredError(not_after=not_after)
        builder = begun(
            subject=name_from(common_name),
            public_key=public_key,
            issuer=issuing.subject,
            issuer_key=_ecdsa_key(issuing),
            not_before=max(now - BACKDATED_BY, issuing.not_valid_before_utc),
            not_after=min(now + lifetime, not_after),
        )
        usage = _SERVER if purpose is SignaturePurpose.SERVER else _CLIENT
        profiled = (
            builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectAlternativeName(alternative_names), critical=False)
        )

        def signed(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
            leaf = profiled.sign(key, hashes.SHA256())
            refuse_foreign_signature(leaf, issuer=issuing, issuer_id=issuer_id)
            return leaf

        leaf = self._signer.signed(purpose, issuer_id, signed, issuing)
        der = leaf.public_bytes(Encoding.DER)
        return IssuedCertificate(
            certificate_chain_der=(der, issuing.public_bytes(Encoding.DER)),
            certificate_serial=f"{leaf.serial_number:x}",
            fingerprint=fingerprint_from_der(der),
            issuer_id=issuer_id,
            issued_at=now,
            not_before=leaf.not_valid_before_utc,
            not_after=leaf.not_valid_after_utc,
        )

    def _certificate(self, issuer_id: str) -> x509.Certificate:
        try:
            return self._known.certificates[issuer_id]
        except KeyError:
            raise IssuerUnknownError(issuer_id=issuer_id) from None

    def _refuse_what_does_not_fit(self) -> None:
        """Check the files: each certificate is below our root, and each key that is here fits.

        A key that is not here is no reason to stay closed: a lost one is replaced with the platform open, and terminals
        that have a certificate are let in meanwhile. What must be signed fails, and readiness tells.
        """
        for issuer_id, certificate in self._known.certificates.items():
            self._refuse_foreign(issuer_id, certificate)
            try:
                self._signer.prove(issuer_id, certificate)
            except (IssuingKeyMissingError, HsmUnavailableError):
                continue
            except IssuerKeyMismatchError as error:
                detail = "the issuing key belongs to another certificate"
                raise AuthorityBrokenError(path=self._folder / "issuing" / issuer_id, detail=detail) from error

    def _refuse_foreign(self, issuer_id: str, certificate: x509.Certificate) -> None:
        try:
            refuse_foreign_issuer(certificate, root=self.root)
        except IssuerCertificateRefusedError as error:
            raise AuthorityBrokenError(path=self._folder / "issuing" / issuer_id, detail=error.detail) from error


def _ecdsa_key(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    """Return a certificate's key; what an issuing certificate holds was checked when it came in."""
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise IssuerCertificateRefusedError(detail="its key is not ECDSA")
    return key
