"""Which operator is it, and may they come in now? The database is asked at every call: nobody's yes is remembered."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from time import monotonic

from cryptography import x509
from sqlalchemy import Connection

from device_registry.authority.certificates import fingerprint_from_pem
from device_registry.authority.profiles import TERMINAL_URN
from device_registry.errors import (
    OperatorRefusedError,
    OperatorRevokedError,
    OperatorUnknownError,
    RevocationsRolledBackError,
)
from device_registry.operators.forgotten import forgotten_operators
from device_registry.operators.operators import AdmittedOperator, Operators
from device_registry.revocation.testimony import Testimony
from server.administration.caller import OperatorCaller
from server.caller import current_request_id
from server.interceptors.chain import Context
from server.interceptors.limits import Buckets, Rate
from server.refusals import CertificateMissingError, RateLimitedError, TerminalCertificateError
from server.store import UnitOfWork

REFUSALS = Rate(per_second=1, burst=20)
"""Refusals a certificate is told in full; after that it only hears when to come back (I11)."""
LOOKUPS_MAX = 8
"""Certificates looked up at once; they must not crowd out the reads of everybody else."""
REFUSED_MAX = 4_096
REFUSED_FOR = timedelta(seconds=1)
"""How long the database's no to a certificate is good; who asks more often costs it nothing."""

Found = tuple[AdmittedOperator, RevocationsRolledBackError | None]
"""Who it is, and what is wrong with the database that says so."""


class Admission:
    """Lets operators in by their certificate."""

    def __init__(
        self,
        *,
        unit_of_work: UnitOfWork,
        operators: Operators,
        testimony: Testimony | None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._unit_of_work = unit_of_work
        self._operators = operators
        self._testimony = testimony
        self._clock = clock
        self._refusals = Buckets(REFUSALS, clock=clock)
        self._refused_lately: dict[str, tuple[float, OperatorRefusedError]] = {}
        self._lookups = asyncio.Semaphore(LOOKUPS_MAX)

    async def of(self, context: Context) -> OperatorCaller:
        """Return the operator who calls.

        Raises:
            CertificateMissingError: the connection carries no certificate.
            TerminalCertificateError: it is a terminal's.
            OperatorRefusedError: it is nobody's, or its holder may not come in.
        """
        pems = list(context.auth_context().get("x509_pem_cert", ()))
        if not pems:
            raise CertificateMissingError
        pem = bytes(pems[0])
        fingerprint = fingerprint_from_pem(pem)
        try:
            admitted, rolled_back = await self._admitted(fingerprint)
        except OperatorRefusedError as refusal:
            if wait := self._refusals.take(fingerprint):  # one that does not take no for an answer
                raise RateLimitedError(retry_after=timedelta(seconds=wait)) from refusal
            if isinstance(refusal, OperatorUnknownError) and _is_terminals(pem):
                raise TerminalCertificateError from refusal
            raise
        return OperatorCaller(
            name=admitted.operator.name,
            role=admitted.operator.role,
            request_id=current_request_id(),
            certificate_not_after=admitted.not_after,
            rolled_back=rolled_back,
        )

    async def _admitted(self, fingerprint: str) -> Found:
        found = await self._looked_up(fingerprint)
        if found[0].first_use_pending:
            request_id = current_request_id()  # here, for the writer's thread does not know whose call it works for
            await self._unit_of_work.write(
                lambda connection: self._operators.first_use(connection, fingerprint=fingerprint, request_id=request_id)
            )
            found = await self._looked_up(fingerprint)  # another one of theirs may have come first, and closed this
        return found

    async def _looked_up(self, fingerprint: str) -> Found:
        """Ask the database; a certificate it does not let in is asked about at most once a second."""
        asked_until, refusal = self._refused_lately.get(fingerprint, (0.0, None))
        if refusal is not None and self._clock() < asked_until:
            raise refusal.with_traceback(None)
        try:
            async with self._lookups:
                found = await self._unit_of_work.read(lambda connection: self._found(connection, fingerprint))
        except OperatorRefusedError as refused:
            if len(self._refused_lately) >= REFUSED_MAX:
                self._refused_lately.clear()
            self._refused_lately[fingerprint] = (self._clock() + REFUSED_FOR.total_seconds(), refused)
            raise
        self._refused_lately.pop(fingerprint, None)
        return found

    def _found(self, connection: Connection, fingerprint: str) -> Found:
        """Return who it is; a database that was set back is not believed where the witness knows better."""
        rolled_back = self._rolled_back(connection)
        admitted = self._operators.admit(connection, fingerprint)
        if rolled_back is not None and self._testimony is not None:
            name = admitted.operator.name
            if name in forgotten_operators(connection, self._testimony):
                raise OperatorRevokedError(name=name)
        return admitted, rolled_back

    def _rolled_back(self, connection: Connection) -> RevocationsRolledBackError | None:
        """Return what is wrong with the database, if it lacks what the witness had at the last look.

        The file itself is not touched: a disk that does not answer must not keep operators out.
        """
        if self._testimony is None:
            return None
        try:
            self._testimony.refuse_fork(connection)
        except RevocationsRolledBackError as error:
            return error
        return None


def _is_terminals(pem: bytes) -> bool:
    """Return whether the platform issued the certificate to a terminal; TLS has verified it before."""
    certificate = x509.load_pem_x509_certificate(pem)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    return any(uri.startswith(TERMINAL_URN) for uri in names.get_values_for_type(x509.UniformResourceIdentifier))
