"""A hospital company with an authority of its own: a platform's server certificate may come from it."""

import asyncio
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support.deployment import Box, Deployment, Finished, a_registered_box
from tests.support.factory import Draft, Holder, an_authority_draft, signed

LOOPBACK = IPv4Address("127.0.0.1")


def a_company() -> Holder:
    """Return the authority of a hospital's own, which the platform's certificate is from."""
    draft = an_authority_draft("Lake hospitals root")
    return Holder(certificate=signed(draft, by=None), key=draft.key)


def write_server_certificate(company: Holder, folder: Path, *, life: timedelta) -> None:
    """Write a server certificate and its key into a folder."""
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(LOOPBACK)])
    leaf = company.issue(Draft(subject="pay.example", not_after=datetime.now(UTC) + life, others=((names, False),)))
    folder.mkdir(exist_ok=True)
    key = leaf.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "server.key").write_bytes(key)
    (folder / "server.pem").write_bytes(leaf.certificate.public_bytes(Encoding.PEM))


async def a_box_that_trusts(platform: Deployment, company: Holder) -> Box:
    """Let a terminal enroll that trusts both the company's root and the platform's."""
    box, token = await a_registered_box(platform)
    roots = platform.folder / "roots.pem"
    roots.write_bytes(platform.root_pem + company.certificate.public_bytes(Encoding.PEM))
    done = await enrolled(platform, box, token)
    assert done.code == 0, done.events
    return box


async def enrolled(platform: Deployment, box: Box, token: str) -> Finished:
    """Let a terminal try to enroll, trusting whom the others trust."""
    return await asyncio.to_thread(
        box.verb, "enroll", "--serial", box.serial_number, "--root", str(platform.folder / "roots.pem"),
        "--platform-enroll", platform.ready.enrollment, token=token,
    )  # fmt: skip
