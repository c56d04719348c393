"""What this process does when the issuing authorities change: take them over, and show a certificate of the new one."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

import structlog

from device_registry import Authority, Issuers
from device_registry.authority.signing import Signature
from device_registry.errors import RegistryError
from monitoring.metrics import Metrics
from server.store import StoreError, UnitOfWork
from server.tls import ServerTls, TlsMaterial, TlsMaterialError

log = structlog.get_logger()


class AuthorityWatch:
    """Keeps the authority of this process at what the registry says; live connections are not touched."""

    def __init__(self, *, unit_of_work: UnitOfWork, issuers: Issuers, authority: Authority, tls: ServerTls) -> None:
        self._unit_of_work = unit_of_work
        self._issuers = issuers
        self._authority = authority
        self._tls = tls
        self._following: set[asyncio.Task[None]] = set()
        self._is_behind = False

    def wake(self) -> None:
        """Follow soon, in a task of its own: a token that does not answer holds up no one."""
        self._is_behind = True  # also for the task under way, which may have read before this came
        if not self._following:
            task = asyncio.create_task(self._catch_up())
            self._following.add(task)
            task.add_done_callback(self._following.discard)

    async def follow(self) -> None:
        """Take over what changed, and let new handshakes see it.

        Raises:
            RegistryError: the new issuer's key is not at this server; the certificate that is shown stays.
            TlsMaterialError: a configured file cannot be used; likewise.
        """
        if await self._unit_of_work.read(self._issuers.follow):
            log.info("issuers_followed", active=self._authority.issuer_id)
        await asyncio.to_thread(self._tls.reload_if_due)

    async def _catch_up(self) -> None:
        while self._is_behind:
            self._is_behind = False
            try:
                await self.follow()
            except (RegistryError, StoreError, TlsMaterialError) as error:  # the job tries again, and is seen to fail
                log.warning("issuers_not_followed", reason=error.reason, detail=str(error))


def trust_check(tls: ServerTls, authority: Authority, now: Callable[[], datetime]) -> Callable[[], Awaitable[bool]]:
    """Return a check that neither the certificate that is shown nor the issuing one has lapsed."""

    async def current() -> bool:
        if authority.is_undecided:  # terminals of the other issuers are served on; `signing` tells
            return now() < tls.material.not_after
        return now() < min(tls.material.not_after, authority.not_after)

    return current


def count_authority(authority: Authority, metrics: Metrics) -> None:
    """Let each use of an issuing key be counted and timed, and the end of the active certificate be seen."""

    def count(signature: Signature) -> None:
        if signature.refusal:
            metrics.ca_signature_failures.labels(signature.purpose.value, signature.refusal).inc()
            return
        metrics.ca_signatures.labels(signature.purpose.value).inc()
        metrics.ca_signature_seconds.observe(signature.seconds)

    authority.watch(count)
    metrics.issuing_certificate_expiry.set_function(
        lambda: 0.0 if authority.is_undecided else authority.not_after.timestamp()
    )


def counted_material(metrics: Metrics) -> Callable[[TlsMaterial], None]:
    """Return what tells when the certificate that is shown ends."""
    return lambda material: metrics.server_certificate_expiry.set(material.not_after.timestamp())


def signing_check(authority: Authority) -> Callable[[], Awaitable[bool]]:
    """Return a check that the active issuing key is at hand; a token is asked, which may take a moment.

    Why it is not is logged once, with the token's own words: calls that find it resting do not know them.
    """
    known = ""

    async def can_sign() -> bool:
        nonlocal known
        problem = await asyncio.to_thread(authority.what_prevents_signing)
        found = problem.reason if problem else ""
        if found and found != known:
            log.warning("issuing_key_out_of_reach", reason=found, error=str(problem))
        elif known and not found:
            log.info("issuing_key_at_hand")
        known = found
        return problem is None

    return can_sign
