"""Terminals by the thousand, made through the registry in one transaction: keys, certificates, first use."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import AttributeOID
from sqlalchemy import Connection

from bench.deployment import Deployment
from device_registry import SiteKind, TerminalClass
from server.wiring import Domain

ACTOR = "operator:bench"
TERMINALS_PER_SITE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a terminal shows at the door."""

    terminal_id: str
    key_pem: bytes = field(repr=False)
    chain_pem: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Invited:
    """A terminal that may enroll."""

    serial_number: str
    token: str = field(repr=False)


def enrolled(deployment: Deployment, count: int) -> list[Identity]:
    """Make terminals that have used their certificate once already, as on the morning after their installation."""
    identities, _ = deployment.write(lambda connection: _enrolled(connection, deployment.domain, count))
    return identities


def invited(deployment: Deployment, count: int, *, prefix: str) -> list[Invited]:
    """Make registered terminals, each with a token."""
    made, _ = deployment.write(
        lambda connection: list(_invited(connection, deployment.domain, count, prefix=prefix).values())
    )
    return made


def signing_request(key: ec.EllipticCurvePrivateKey, nonce: bytes) -> bytes:
    """Return a PKCS#10 request that carries the nonce."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    request = builder.add_attribute(AttributeOID.CHALLENGE_PASSWORD, nonce.hex().encode()).sign(key, SHA256())
    return request.public_bytes(Encoding.DER)


def _enrolled(connection: Connection, domain: Domain, count: int) -> list[Identity]:
    registry, identities = domain.registry, []
    for terminal_id, invitation in _invited(connection, domain, count, prefix="FLEET").items():
        serial_number, key = invitation.serial_number, ec.generate_private_key(ec.SECP256R1())
        challenge = registry.challenge(connection, serial_number=serial_number)
        chain_der = registry.enroll(
            connection,
            serial_number=serial_number,
            token=invitation.token,
            signing_request_der=signing_request(key, challenge.nonce),
            request_id="bench",
        ).certificate_chain_der
        certificates = [x509.load_der_x509_certificate(der) for der in chain_der]
        fingerprint = certificates[0].fingerprint(SHA256()).hex()
        registry.first_use(connection, fingerprint=fingerprint, request_id="bench")
        key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        identities.append(Identity(terminal_id=terminal_id, key_pem=key_pem, chain_pem=_pem(certificates)))
    return identities


def _invited(connection: Connection, domain: Domain, count: int, *, prefix: str) -> dict[str, Invited]:
    registry, found, site_id = domain.registry, {}, ""
    for number in range(count):
        if number % TERMINALS_PER_SITE == 0:
            name = f"{prefix} {number // TERMINALS_PER_SITE}"
            site_id = registry.add_site(
                connection, name=name, region="330100", kind=SiteKind.HOSPITAL, actor=ACTOR
            ).site_id
        terminal = registry.register(
            connection,
            serial_number=f"{prefix}-{number}",
            manufacturer="Maker",
            model="M1",
            terminal_class=TerminalClass.FACE,
            site_id=site_id,
            certification_number="C-1",
            record_number="R-1",
            actor=ACTOR,
        )
        token = registry.issue_token(connection, terminal_id=terminal.terminal_id, actor=ACTOR)
        found[terminal.terminal_id] = Invited(serial_number=terminal.serial_number, token=token.token)
    return found


def _pem(certificates: Sequence[x509.Certificate]) -> bytes:
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)
