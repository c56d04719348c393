"""What a terminal has from its factory (IDevID): a key that is never changed, and the chain that says whose it is."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mock_terminal.disk import make_private, write_private
from mock_terminal.errors import StateError
from shualian.terminal.v1 import enrollment_pb2

FACTORY_CONTEXT: Final = b"shualian-factory-enroll-v1\0"
GRACE_CONTEXT: Final = b"shualian-renew-expired-v1\0"
"""What is signed begins with one of these; enrollment.proto has the bytes."""


def to_be_signed(*, context: bytes, nonce: bytes, signing_request_der: bytes) -> bytes:
    """Return what a key other than that of the signing request signs."""
    return context + nonce + hashlib.sha256(signing_request_der).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class FactoryIdentity:
    """A terminal's factory identity."""

    serial_number: str
    chain_der: tuple[bytes, ...]
    """Leaf first, root left out."""
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def burn(cls, state: Path, *, key_pem: bytes, chain_pem: bytes, firmware_key_pem: bytes) -> "FactoryIdentity":
        """Write an identity, and the key that its maker signs firmware with, into a terminal's state folder, for good.

        Raises:
            StateError: it has one already.
        """
        folder = state / "factory"
        if (folder / "chain.pem").exists():
            raise StateError(f"the terminal in {state} has a factory identity already")
        make_private(state)
        make_private(folder)
        write_private(folder / "key.pem", key_pem)
        write_private(folder / "firmware.pub.pem", firmware_key_pem)
        write_private(folder / "chain.pem", chain_pem)  # last: now it has one
        return cls.read(state)

    @classmethod
    def read(cls, state: Path) -> "FactoryIdentity":
        """Return the identity of the terminal with this state folder.

        Raises:
            StateError: it has none, or its files are damaged.
        """
        folder = state / "factory"
        try:
            chain = x509.load_pem_x509_certificates((folder / "chain.pem").read_bytes())
            key = serialization.load_pem_private_key((folder / "key.pem").read_bytes(), password=None)
        except FileNotFoundError as error:
            raise StateError(f"no factory identity in {state}: give --token, or let a factory make it") from error
        except ValueError as error:
            raise StateError(f"the factory identity in {state} is damaged") from error
        named = chain[0].subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not named:
            raise StateError(f"the factory identity in {state} is damaged")
        return cls(
            serial_number=str(named[0].value),
            chain_der=tuple(certificate.public_bytes(serialization.Encoding.DER) for certificate in chain),
            key=key,
        )

    def proof(self, *, nonce: bytes, signing_request_der: bytes) -> enrollment_pb2.FactoryProof:
        """Return what stands in an Enroll in the place of a token."""
        content = to_be_signed(context=FACTORY_CONTEXT, nonce=nonce, signing_request_der=signing_request_der)
        return enrollment_pb2.FactoryProof(
            certificate_chain_der=self.chain_der, signature=self.key.sign(content, ec.ECDSA(hashes.SHA256()))
        )
