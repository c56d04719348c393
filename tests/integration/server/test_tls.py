"""The server's own certificate: renewed in time, used by new connections, no trouble for those that stand."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import Connection

from device_registry import Authority, CertificateLifetimes
from device_registry.errors import IssuerNoneActiveError
from device_registry.revocation.restoration import revoke_issuer_again
from device_registry.revocation.revoked import RevocationKind
from server.tls import TlsMaterialError
from tests.support.authority import an_authority
from tests.support.clock import Clock
from tests.support.deployment import eventually
from tests.support.platform import RunningPlatform, a_platform, an_enrolled_terminal, refusal
from tests.support.questions import looked_up

LIFETIME = timedelta(hours=1)


async def shown_certificate(running: RunningPlatform) -> x509.Certificate:
    """Return what a new handshake on the enrollment port shows."""
    host, _, port = running.ready.enrollment.rpartition(":")
    pem = await asyncio.to_thread(ssl.get_server_certificate, (host, int(port)), timeout=30)
    return x509.load_pem_x509_certificate(pem.encode())


async def test_the_servers_own_certificate_is_renewed_when_due_and_new_handshakes_use_it() -> None:
    clock = Clock(datetime.now(UTC) - LIFETIME * 0.7)  # so that both certificates are good by the terminal's clock
    quick = {"server_lifetime": LIFETIME, "reload_interval": timedelta(milliseconds=100)}
    async with a_platform(now=clock.now, tls=quick) as running:
        tls, first = running.platform.tls, await shown_certificate(running)
        terminal = await an_enrolled_terminal(running)
        async with terminal.channel() as standing:
            assert refusal(await looked_up(standing)).reason == "SETTLEMENT_NOT_FOUND"
            clock.advance(LIFETIME * 0.6)
            await asyncio.sleep(0.3)
            not_yet_due = await shown_certificate(running)

            clock.advance(LIFETIME * 0.1)
            async with asyncio.timeout(30):
                while tls.material.not_after < clock.now() + LIFETIME * 0.9:  # noqa: ASYNC110  # the job has no event
                    await asyncio.sleep(0.02)
            second = await shown_certificate(running)

            assert first == not_yet_due
            assert second.serial_number != first.serial_number
            assert second.public_key() != first.public_key()
            assert second.not_valid_after_utc - first.not_valid_after_utc == LIFETIME * 0.7
            assert refusal(await looked_up(standing)).reason == "SETTLEMENT_NOT_FOUND"
            async with terminal.channel() as new:
                assert refusal(await looked_up(new)).reason == "SETTLEMENT_NOT_FOUND"
        expiry = running.counted("server_certificate_expiry_timestamp_seconds")
        assert expiry == second.not_valid_after_utc.timestamp()


async def test_material_that_cannot_be_used_changes_nothing_and_is_noticed() -> None:
    async with a_platform(tls={"reload_interval": timedelta(milliseconds=100)}) as running:
        before = await shown_certificate(running)
        trust = running.platform.config.authority_dir / "trust"
        trust.mkdir()
        (trust / "broken.pem").write_bytes(b"no certificate")

        def went_well_at() -> float:
            return running.counted("last_success_timestamp_seconds", task="SERVER_CERTIFICATE")

        await eventually(lambda: running.domain.now().timestamp() - went_well_at() > 0.5)
        assert await shown_certificate(running) == before


async def test_i02_a_revoked_issuer_leaves_the_handshakes_trust_though_no_other_can_sign_a_chain() -> None:
    async with a_platform(tls={"reload_interval": timedelta(milliseconds=100)}) as running:
        domain, tls = running.domain, running.platform.tls
        issuing, first = domain.authority.issuing_certificate, await shown_certificate(running)
        issuer_id = domain.authority.issuer_id

        def revoke_the_active_one(connection: Connection) -> None:  # as after a restore
            entry = domain.revocations.note_revoked(
                connection, kind=RevocationKind.ISSUER, subject=issuer_id, issuer_id=issuer_id
            )
            revoke_issuer_again(connection, entry)

        await running.write(revoke_the_active_one)

        async with asyncio.timeout(30):
            while issuing.public_bytes(Encoding.PEM) in tls.material.trust_pem:  # noqa: ASYNC110  # no event
                await asyncio.sleep(0.02)
        assert await shown_certificate(running) == first
        assert isinstance(domain.authority.what_prevents_signing(), IssuerNoneActiveError)
        assert running.counted("issuing_certificate_expiry_timestamp_seconds") == 0


async def test_a_configured_certificate_that_lapses_is_noticed_and_replaced_without_a_restart(tmp_path: Path) -> None:
    clock = Clock(datetime.now(UTC))
    elsewhere = an_authority(tmp_path, clock, CertificateLifetimes(server=LIFETIME))
    files = {"certificate": tmp_path / "server.pem", "private_key": tmp_path / "server.key"}
    written_by(elsewhere, clock, **files)
    quick = {**files, "reload_interval": timedelta(milliseconds=100)}
    async with a_platform(now=clock.now, tls=quick) as running:
        fresh = await running.platform.health.readiness()
        expiry = running.counted("server_certificate_expiry_timestamp_seconds")

        clock.advance(LIFETIME + timedelta(minutes=1))
        lapsed = await running.platform.health.readiness()
        shown_lapsed = running.counted("ready", check="trust")
        written_by(elsewhere, clock, **files)
        async with asyncio.timeout(30):
            while not (await running.platform.health.readiness()).checks["trust"]:  # noqa: ASYNC110  # the job has no event
                await asyncio.sleep(0.02)

        assert fresh.checks["trust"]
        assert expiry == (clock.now() - timedelta(minutes=1)).replace(microsecond=0).timestamp()
        assert not lapsed.checks["trust"]
        assert not lapsed.is_ready
        assert shown_lapsed == 0
        assert running.counted("server_certificate_expiry_timestamp_seconds") > clock.now().timestamp()


async def test_a_new_certificate_is_not_shown_before_its_key_is_there(tmp_path: Path) -> None:
    clock = Clock(datetime.now(UTC))
    elsewhere = an_authority(tmp_path, clock, CertificateLifetimes(server=LIFETIME))
    files = {"certificate": tmp_path / "server.pem", "private_key": tmp_path / "server.key"}
    written_by(elsewhere, clock, **files)
    async with a_platform(now=clock.now, tls={**files, "reload_interval": timedelta(milliseconds=100)}) as running:
        tls, first = running.platform.tls, await shown_certificate(running)
        former_key = files["private_key"].read_bytes()
        written_by(elsewhere, clock, **files)
        new_key = files["private_key"].read_bytes()
        files["private_key"].write_bytes(former_key)
        with pytest.raises(TlsMaterialError, match="the key is not that of the certificate"):
            tls.reload_if_due()
        between = await shown_certificate(running)
        files["private_key"].write_bytes(new_key)
        async with asyncio.timeout(30):
            while await shown_certificate(running) == first:  # noqa: ASYNC110  # the job has no event
                await asyncio.sleep(0.02)

    assert between == first


def written_by(authority: Authority, clock: Clock, *, certificate: Path, private_key: Path) -> None:
    """Write a server certificate and its key into the files that a platform is configured with."""
    key = ec.generate_private_key(ec.SECP256R1())
    issued = authority.issue_server(hostnames=["localhost"], public_key=key.public_key(), now=clock.now())
    chain = (x509.load_der_x509_certificate(der) for der in issued.certificate_chain_der)
    private_key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    certificate.write_bytes(b"".join(it.public_bytes(Encoding.PEM) for it in chain))
