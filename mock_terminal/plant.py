"""A manufacturer in software, for tests and demos: its root, its line, its firmware key, and the devices it makes.

A real one keeps these keys in hardware and burns each device's identity into a secure element. Here all of it is files
that their owner alone can read.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mock_terminal.birth import FactoryIdentity
from mock_terminal.disk import make_private, write_private
from mock_terminal.errors import StateError

MANIFEST_CONTEXT: Final = b"shualian-firmware-manifest-v1\0"
"""What the firmware key signs begins with this; see docs/operations/factory-enrollment.md."""
FOR_EVER: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""IEEE 802.1AR: a factory identity has no end."""
CLOCKS_DIFFER: Final = timedelta(hours=1)
_SERIAL_NUMBER: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """Where terminals are made."""

    folder: Path

    def found(self, *, maker: str, now: datetime) -> None:
        """Make root, line and firmware key.

        Raises:
            StateError: there is a plant already; its keys are not overwritten.
        """
        if (self.folder / "root.pem").exists():
            raise StateError(f"there is a plant in {self.folder} already")
        make_private(self.folder)
        root_key, line_key, firmware_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
        root_name, line_name = _name(f"{maker} root"), _name(f"{maker} line 1")
        root = _authority(root_name, root_key.public_key(), root_name, path_length=1, now=now).sign(
            root_key, hashes.SHA256()
        )
        line = _authority(line_name, line_key.public_key(), root_name, path_length=0, now=now).sign(
            root_key, hashes.SHA256()
        )
        for name, key in (("root", root_key), ("line", line_key), ("firmware", firmware_key)):
            write_private(self.folder / f"{name}.key.pem", _pem_from_key(key))
        write_private(self.folder / "line.pem", line.public_bytes(serialization.Encoding.PEM))
        public = firmware_key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        write_private(self.folder / "firmware.pub.pem", public)
        write_private(self.folder / "root.pem", root.public_bytes(serialization.Encoding.PEM))  # last: it is founded

    def make(self, *, serial_number: str, state: Path, now: datetime) -> FactoryIdentity:
        """Burn an identity into the state folder of a new terminal, for good.

        Raises:
            StateError: there is no plant, that is no serial number, or the terminal has an identity already.
        """
        if not _SERIAL_NUMBER.fullmatch(serial_number):
            raise StateError("a serial number is 1 to 64 of A-Z a-z 0-9 . _ -")
        line, line_key = self.certificate("line"), self._key("line")
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.COMMON_NAME, "Terminal"),
                x509.NameAttribute(NameOID.SERIAL_NUMBER, serial_number),
            ]
        )
        leaf = (
            _begun(subject, key.public_key(), line.subject, now)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(is_authority=False), critical=True)
            .sign(line_key, hashes.SHA256())
        )
        chain = leaf.public_bytes(serialization.Encoding.PEM) + line.public_bytes(serialization.Encoding.PEM)
        return FactoryIdentity.burn(
            state,
            key_pem=_pem_from_key(key),
            chain_pem=chain,
            firmware_key_pem=(self.folder / "firmware.pub.pem").read_bytes(),
        )

    def sign_firmware(self, *, image: Path, facts: Mapping[str, str]) -> tuple[bytes, bytes]:
        """Return a manifest for an image, and its signature.

        Args:
            image: the file.
            facts: manufacturer, model and version.

        Raises:
            StateError: there is no plant.
        """
        content = image.read_bytes()
        said = {**facts, "sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}
        manifest = json.dumps(said, ensure_ascii=False).encode()
        return manifest, self._key("firmware").sign(MANIFEST_CONTEXT + manifest, ec.ECDSA(hashes.SHA256()))

    def _key(self, name: str) -> ec.EllipticCurvePrivateKey:
        try:
            key = serialization.load_pem_private_key((self.folder / f"{name}.key.pem").read_bytes(), password=None)
        except FileNotFoundError as error:
            raise StateError(f"no plant in {self.folder}: run `shualian-terminal factory init` first") from error
        except ValueError as error:
            raise StateError(f"the plant in {self.folder} is damaged") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise StateError(f"the plant in {self.folder} is damaged")
        return key

    def certificate(self, name: str) -> x509.Certificate:
        """Return the certificate of `root` or `line`.

        Raises:
            StateError: there is no plant.
        """
        try:
            return x509.load_pem_x509_certificate((self.folder / f"{name}.pem").read_bytes())
        except FileNotFoundError as error:
            raise StateError(f"no plant in {self.folder}: run `shualian-terminal factory init` first") from error


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _begun(
    subject: x509.Name, key: ec.EllipticCurvePublicKey, issuer: x509.Name, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCKS_DIFFER)
        .not_valid_after(FOR_EVER)
    )


def _authority(
    subject: x509.Name, key: ec.EllipticCurvePublicKey, issuer: x509.Name, *, path_length: int, now: datetime
) -> x509.CertificateBuilder:
    return (
        _begun(subject, key, issuer, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_usage(is_authority=True), critical=True)
    )


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )


def _pem_from_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
