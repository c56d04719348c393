"""Who calls, and may they? The terminal's certificate is looked up in memory and admitted, on every call (I1, I2)."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from time import monotonic

import structlog

from device_registry import Registry, Standings, admit
from device_registry.authority.certificates import fingerprint_from_pem
from device_registry.errors import CertificateUnknownError, RegistryError
from device_registry.model import CertificateStatus, Standing
from server.caller import Caller, current_request_id, set_caller
from server.gates import class_needed, refuse_class
from server.interceptors.chain import Behaviour, Context, Method
from server.interceptors.limits import Buckets, Rate
from server.live.streams import LiveStreams
from server.refusals import CertificateMissingError, RateLimitedError, StandingStaleError, TerminalClassError
from server.store import UnitOfWork

FINGERPRINTS_MAX = 65_536
"""Certificates whose fingerprint is remembered by their bytes; a look-up costs a tenth of parsing."""
LOOKED_UP_MAX = 4_096
LOOKED_UP_FOR = timedelta(seconds=1)
"""How long the database's answer about an unknown or closed certificate is good."""
CLOSED = frozenset({CertificateStatus.RETIRED, CertificateStatus.REVOKED})
REFUSALS = Rate(per_second=1, burst=20)
"""Refusals a certificate is told in full; after that it only hears when to come back (I11)."""
LOOKUPS_MAX = 8
"""Certificates looked up at once; they must not crowd out the reads of terminals we know."""


class IdentityLayer:
    """Admits a terminal or refuses the call, notes the caller, and keeps the list of live streams."""

    def __init__(
        self,
        *,
        unit_of_work: UnitOfWork,
        registry: Registry,
        standings: Standings,
        streams: LiveStreams,
        now: Callable[[], datetime],
        lag: Callable[[], float],
        lag_max: timedelta,
    ) -> None:
        self._unit_of_work = unit_of_work
        self._registry = registry
        self._standings = standings
        self._streams = streams
        self._now = now
        self._lag = lag
        self._lag_max = lag_max.total_seconds()
        self._fingerprints: dict[bytes, str] = {}
        self._closed_lately: dict[str, tuple[float, Standing | None]] = {}
        self._refusals = Buckets(REFUSALS)
        self._lookups = asyncio.Semaphore(LOOKUPS_MAX)

    def wrap(self, method: Method, inner: Behaviour) -> Behaviour:
        """Return `inner` with the door in front of it."""
        path = f"{method.service}/{method.name}"

        async def admitted(request: object, context: Context) -> object:
            await self._admitted(method, context)
            return await inner(request, context)

        async def admitted_stream(requests: object, context: Context) -> object:
            standing = await self._admitted(method, context)
            with self._streams.opened(standing, path):
                return await inner(requests, context)

        return admitted_stream if method.streams else admitted

    async def _admitted(self, method: Method, context: Context) -> Standing:
        if self._lag() > self._lag_max:
            raise StandingStaleError
        fingerprint = self._fingerprint(context)
        try:
            standing = await self._admitted_standing(fingerprint)
            if needed := class_needed(method.service, method.name):
                refuse_class(standing.terminal_class, needed)
        except (RegistryError, TerminalClassError) as refusal:
            if wait := self._refusals.take(fingerprint):  # one that does not take no for an answer
                raise RateLimitedError(retry_after=timedelta(seconds=wait)) from refusal
            raise
        set_caller(
            Caller(
                terminal_id=standing.terminal_id,
                site_id=standing.site_id,
                region=standing.region,
                terminal_class=standing.terminal_class.value,
                request_id=current_request_id(),
            ),
            standing,
        )
        structlog.contextvars.bind_contextvars(terminal_id=standing.terminal_id)
        return standing

    async def _admitted_standing(self, fingerprint: str) -> Standing:
        """Return the standing of a certificate that may come in, as memory has it when this returns.

        After each wait it is looked at anew: a revocation may have come in between.
        """
        standing = self._standings.of(fingerprint) or await self._looked_up(fingerprint)
        admit(standing, self._now())
        if standing.first_use_pending:
            await self._first_used(standing)
            standing = self._standings.of(fingerprint) or await self._looked_up(fingerprint)
            admit(standing, self._now())
        return standing

    def _fingerprint(self, context: Context) -> str:
        pems = list(context.auth_context().get("x509_pem_cert", ()))
        if not pems:
            raise CertificateMissingError
        pem = bytes(pems[0])
        known = self._fingerprints.get(pem)
        if known is None:
            if len(self._fingerprints) >= FINGERPRINTS_MAX:
                self._fingerprints.clear()  # rare, and filled again by the next call of each terminal
            known = self._fingerprints[pem] = fingerprint_from_pem(pem)
        return known

    async def _looked_up(self, fingerprint: str) -> Standing:
        """Ask the database about a certificate that memory does not have open; a closed one at most once a second."""
        asked_until, closed = self._closed_lately.get(fingerprint, (0.0, None))
        if monotonic() < asked_until:
            found = closed
        else:
            async with self._lookups:
                found = await self._unit_of_work.read_at_once(
                    lambda connection: self._standings.find(connection, fingerprint)
                )
            found = self._standings.of(fingerprint) or found  # memory may have learned more while we asked
            if found is None or found.certificate_status in CLOSED:
                self._remember_closed(fingerprint, found)
        if found is None:
            raise CertificateUnknownError(fingerprint=fingerprint)
        return found

    def _remember_closed(self, fingerprint: str, found: Standing | None) -> None:
        if len(self._closed_lately) >= LOOKED_UP_MAX:
            self._closed_lately.clear()
        self._closed_lately[fingerprint] = (monotonic() + LOOKED_UP_FOR.total_seconds(), found)

    async def _first_used(self, standing: Standing) -> None:
        """Close the predecessor's time: from the first call with the new certificate, the old one is retired."""
        request_id = current_request_id()  # here, for the writer's thread does not know whose call it works for
        await self._unit_of_work.write(
            lambda connection: self._registry.first_use(
                connection, fingerprint=standing.fingerprint, request_id=request_id
            )
        )
        await self._unit_of_work.read_at_once(
            lambda connection: self._standings.refresh(connection, standing.terminal_id)
        )
