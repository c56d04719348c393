"""Which operator is it, and may they come in now? The database is asked at every call: nothing is remembered."""

import asyncio
from datetime import timedelta

from cryptography import x509

from device_registry.authority.certificates import fingerprint_from_pem
from device_registry.authority.profiles import TERMINAL_URN
from device_registry.errors import OperatorRefusedError, OperatorUnknownError
from device_registry.operators.operators import AdmittedOperator, Operators
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


class Admission:
    """Lets operators in by their certificate."""

    def __init__(self, *, unit_of_work: UnitOfWork, operators: Operators) -> None:
        self._unit_of_work = unit_of_work
        self._operators = operators
        self._refusals = Buckets(REFUSALS)
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
            admitted = await self._looked_up(fingerprint)
        except OperatorRefusedError as refusal:
            if wait := self._refusals.take(fingerprint):  # one that does not take no for an answer
                raise RateLimitedError(retry_after=timedelta(seconds=wait)) from refusal
            if isinstance(refusal, OperatorUnknownError) and _is_terminals(pem):
                raise TerminalCertificateError from refusal
            raise
        if admitted.first_use_pending:
            request_id = current_request_id()  # here, for the writer's thread does not know whose call it works for
            await self._unit_of_work.write(
                lambda connection: self._operators.first_use(connection, fingerprint=fingerprint, request_id=request_id)
            )
        return OperatorCaller(
            name=admitted.operator.name,
            role=admitted.operator.role,
            request_id=current_request_id(),
            certificate_not_after=admitted.not_after,
        )

    async def _looked_up(self, fingerprint: str) -> AdmittedOperator:
        async with self._lookups:
            return await self._unit_of_work.read(lambda connection: self._operators.admit(connection, fingerprint))


def _is_terminals(pem: bytes) -> bool:
    """Return whether the platform issued the certificate to a terminal; TLS has verified it before."""
    certificate = x509.load_pem_x509_certificate(pem)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    return any(uri.startswith(TERMINAL_URN) for uri in names.get_values_for_type(x509.UniformResourceIdentifier))
