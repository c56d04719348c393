"""Operators of every kind, with real certificates and a real way to the admin port."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from device_registry import Authority, CertificateLifetimes
from device_registry.authority.keys import make_private_key
from device_registry.operators.roles import Role
from tests.support.platform import ACTOR, RunningPlatform, signing_request


@dataclass(frozen=True, kw_only=True)
class EnrolledOperator:
    """An operator with a certificate."""

    running: RunningPlatform
    name: str
    key: ec.EllipticCurvePrivateKey
    chain_pem: bytes

    def channel(self) -> grpc.aio.Channel:
        """Return a new connection to the admin port; close it by using it as a context."""
        return admin_channel(self.running, key=self.key, chain_pem=self.chain_pem)


async def an_operator(running: RunningPlatform, role: Role = Role.SECURITY, *, name: str = "lin") -> EnrolledOperator:
    """Add an operator as the security team would."""
    key = make_private_key()
    _, issued = await running.write(
        lambda connection: running.domain.operators.add(
            connection, name=name, role=role, signing_request_der=signing_request(key), actor=ACTOR
        )
    )
    return EnrolledOperator(running=running, name=name, key=key, chain_pem=pem_of(issued.certificate_chain_der))


def an_unknown_operator(running: RunningPlatform) -> EnrolledOperator:
    """Return one whose certificate the authority signed, and whom nobody has added."""
    return _signed_by(running.domain.authority, running)


def a_lapsed_operator(running: RunningPlatform) -> EnrolledOperator:
    """Return one whose certificate ended a minute ago."""
    config = running.domain.config
    authority = Authority.open(
        config.authority_dir,
        passphrase=config.ca_passphrase.read_bytes(),
        lifetimes=CertificateLifetimes(operator=timedelta(minutes=-1)),
    )
    return _signed_by(authority, running)


def _signed_by(authority: Authority, running: RunningPlatform) -> EnrolledOperator:
    key = make_private_key()
    issued = authority.issue_operator(name="nobody", public_key=key.public_key(), now=running.domain.now())
    return EnrolledOperator(running=running, name="nobody", key=key, chain_pem=pem_of(issued.certificate_chain_der))


def admin_channel(
    running: RunningPlatform, *, key: ec.EllipticCurvePrivateKey | None, chain_pem: bytes | None
) -> grpc.aio.Channel:
    """Return a new connection to the admin port with this key and chain, or with none."""
    credentials = grpc.ssl_channel_credentials(
        root_certificates=running.root_pem,
        private_key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) if key else None,
        certificate_chain=chain_pem,
    )
    # A pool of its own: else gRPC would hand the next channel a connection that is already open.
    return grpc.aio.secure_channel(running.ready.admin, credentials, options=[("grpc.use_local_subchannel_pool", 1)])


def pem_of(chain_der: Sequence[bytes]) -> bytes:
    """Return a chain in PEM, leaf first."""
    return b"".join(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in chain_der)
