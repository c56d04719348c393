"""Factories that make terminals: a root, authorities below it, and an identity for each device; honest or not."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from sqlalchemy import Connection

from device_registry import TerminalClass
from device_registry.enrollment.factory import FACTORY_CONTEXT, FactoryProof, to_be_signed
from device_registry.makers.approvals import DeviceModel, Manufacturer
from device_registry.makers.makers import Makers
from device_registry.makers.manifests import MANIFEST_CONTEXT

MADE_AT = datetime(2026, 1, 5, tzinfo=UTC)
FOR_EVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # IEEE 802.1AR: an IDevID has no end
SECURITY = "operator:qiu"

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def an_ec_key(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    """Return a new key, on P-256 unless told otherwise."""
    return ec.generate_private_key(curve or ec.SECP256R1())


def key_usage(*, signs_certificates: bool, digital_signature: bool = True) -> x509.KeyUsage:
    """Return a key usage: for an authority, or for a device."""
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What a certificate is to say; tests change a field to make a bad one."""

    subject: str
    key: Key = field(default_factory=an_ec_key)
    serial_numbers: tuple[str, ...] = ()
    not_before: datetime = MADE_AT
    not_after: datetime = FOR_EVER
    is_authority: bool | None = False
    """None leaves basicConstraints out."""
    path_length: int | None = None
    usage: x509.KeyUsage | None = None
    others: tuple[tuple[x509.ExtensionType, bool], ...] = ()
    """Further extensions, and whether each is critical."""
    hash: hashes.SHA256 | hashes.SHA224 = field(default_factory=hashes.SHA256)
    issuer_name: str | None = None
    """Another issuer's name than that of who signs."""


@dataclass(frozen=True, kw_only=True)
class Holder:
    """A certificate and the key that belongs to it."""

    certificate: x509.Certificate
    key: Key

    @property
    def der(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(Encoding.DER)

    def issue(self, draft: Draft) -> "Holder":
        """Sign a certificate, whatever it says."""
        return Holder(certificate=signed(draft, by=self), key=draft.key)


def name(common: str, serial_numbers: Sequence[str] = ()) -> x509.Name:
    """Return a subject."""
    numbers = [x509.NameAttribute(NameOID.SERIAL_NUMBER, number) for number in serial_numbers]
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common), *numbers])


def signed(draft: Draft, *, by: Holder | None) -> x509.Certificate:
    """Return the certificate a draft describes, signed by its holder or by itself."""
    issuer = by.certificate.subject if by is not None else name(draft.subject)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(draft.subject, draft.serial_numbers))
        .issuer_name(name(draft.issuer_name) if draft.issuer_name is not None else issuer)
        .public_key(draft.key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(draft.not_before)
        .not_valid_after(draft.not_after)
    )
    if draft.is_authority is not None:
        constraints = x509.BasicConstraints(ca=draft.is_authority, path_length=draft.path_length)
        builder = builder.add_extension(constraints, critical=True)
    if draft.usage is not None:
        builder = builder.add_extension(draft.usage, critical=True)
    for extension, critical in draft.others:
        builder = builder.add_extension(extension, critical=critical)
    key: Any = by.key if by is not None else draft.key
    return builder.sign(key, draft.hash)


def an_authority_draft(subject: str, **changes: Any) -> Draft:  # noqa: ANN401 - fields of a draft
    """Describe an authority."""
    draft = Draft(subject=subject, is_authority=True, usage=key_usage(signs_certificates=True))
    return replace(draft, **changes)


def a_device_draft(serial_number: str, **changes: Any) -> Draft:  # noqa: ANN401 - fields of a draft
    """Describe a device's factory identity (IDevID)."""
    draft = Draft(subject="Heron HD-3", serial_numbers=(serial_number,), usage=key_usage(signs_certificates=False))
    return replace(draft, **changes)


@dataclass(frozen=True, kw_only=True)
class Device:
    """A terminal with the identity its factory gave it."""

    serial_number: str
    holder: Holder
    above: tuple[bytes, ...]

    @property
    def chain_der(self) -> tuple[bytes, ...]:
        """Leaf first, root left out."""
        return (self.holder.der, *self.above)

    @property
    def key_sha256(self) -> str:
        """What the platform pins."""
        digest = hashes.Hash(hashes.SHA256())
        spki = self.holder.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        digest.update(spki)
        return digest.finalize().hex()

    def sign(self, content: bytes) -> bytes:
        """Sign with the factory key."""
        if isinstance(self.holder.key, rsa.RSAPrivateKey):
            return self.holder.key.sign(content, padding.PKCS1v15(), hashes.SHA256())
        return self.holder.key.sign(content, ec.ECDSA(hashes.SHA256()))

    def proof(self, *, nonce: bytes, signing_request_der: bytes, context: bytes = FACTORY_CONTEXT) -> FactoryProof:
        """Prove itself."""
        content = to_be_signed(context=context, nonce=nonce, signing_request_der=signing_request_der)
        return FactoryProof(certificate_chain_der=self.chain_der, signature=self.sign(content))


class Factory:
    """A manufacturer's plant: an offline root, an authority on the line, and a key that signs firmware."""

    def __init__(self, *, maker: str = "Heron Devices") -> None:
        self.maker = maker
        draft = an_authority_draft(f"{maker} root", path_length=1)
        self.root = Holder(certificate=signed(draft, by=None), key=draft.key)
        self.line = self.root.issue(an_authority_draft(f"{maker} line 1", path_length=0))
        self.firmware_key = an_ec_key()

    @property
    def firmware_key_der(self) -> bytes:
        """What the platform is given of the firmware key."""
        return self.firmware_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def renewed_root(self, **changes: Any) -> Holder:  # noqa: ANN401 - fields of a draft
        """Return another certificate of the root's key and name, as a root is renewed."""
        draft = an_authority_draft(f"{self.maker} root", path_length=1, key=self.root.key, **changes)
        return Holder(certificate=signed(draft, by=None), key=draft.key)

    def make(self, serial_number: str, **changes: Any) -> Device:  # noqa: ANN401 - fields of a draft
        """Make a terminal."""
        holder = self.line.issue(a_device_draft(serial_number, **changes))
        return Device(serial_number=serial_number, holder=holder, above=(self.line.der,))

    def manifest(self, **changes: object) -> bytes:
        """Describe a firmware image."""
        said = {
            "manufacturer": self.maker,
            "model": "HD-3",
            "version": "2.4.1",
            "sha256": "5f" * 32,
            "size_bytes": 1_048_576,
        }
        return json.dumps({**said, **changes}).encode()

    def sign_manifest(self, manifest: bytes) -> bytes:
        """Sign a manifest with the firmware key."""
        return self.firmware_key.sign(MANIFEST_CONTEXT + manifest, ec.ECDSA(hashes.SHA256()))


def an_approved_maker(connection: Connection, makers: Makers, factory: Factory) -> Manufacturer:
    """Approve a factory's manufacturer."""
    return makers.add_manufacturer(
        connection,
        name=factory.maker,
        root_certificates_der=[factory.root.der],
        firmware_key_der=factory.firmware_key_der,
        actor=SECURITY,
        reason="audited in Ningbo",
    )


def an_approved_model(
    connection: Connection,
    makers: Makers,
    maker: Manufacturer,
    *,
    name: str = "HD-3",
    terminal_class: TerminalClass = TerminalClass.FACE,
    expires_on: date = date(2027, 12, 31),
) -> DeviceModel:
    """Approve a model."""
    return makers.add_model(
        connection,
        manufacturer_id=maker.manufacturer_id,
        name=name,
        terminal_class=terminal_class,
        certification_number="CERT-2026-001",
        certification_expires_on=expires_on,
        actor=SECURITY,
        reason="certified",
    )
