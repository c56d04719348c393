"""How a terminal gets its first certificate, or one after it was off for too long, as gRPC asks for it."""

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection

from device_registry import Authority, Registry
from device_registry.authority.certificates import SigningRequest, signing_request_from_der
from device_registry.enrollment.enrollment import use_up_nonce
from device_registry.enrollment.factory import FactoryAttempt, FactoryEnrollments, FactoryProof, InstallerVisit
from device_registry.enrollment.grace import GraceRenewals, LateAttempt, prove_holder
from device_registry.errors import (
    FactoryProofRefusedError,
    RegistryError,
    RenewalProofRefusedError,
    SuspiciousEnrollmentError,
    TooManyChallengesError,
)
from device_registry.fleet.finding import Severity
from device_registry.fleet.findings import Findings
from device_registry.model import Enrollment
from monitoring.metrics import Metrics
from server import convert
from server.caller import current_request_id
from server.interceptors.chain import Context
from server.interceptors.limits import Buckets, by_address
from server.proof_checks import ProofChecks
from server.store import UnitOfWork
from shualian.terminal.v1 import enrollment_pb2, enrollment_pb2_grpc

log = structlog.get_logger()


class EnrollmentService(enrollment_pb2_grpc.EnrollmentServiceServicer):
    """EnrollmentService; the one service that strangers can reach."""

    def __init__(
        self,
        *,
        unit_of_work: UnitOfWork,
        registry: Registry,
        factory: FactoryEnrollments,
        grace: GraceRenewals,
        findings: Findings,
        authority: Authority,
        metrics: Metrics,
        now: Callable[[], datetime],
        challenges: Buckets,
    ) -> None:
        """Take what it works with; `challenges` keeps one address from using up all open nonces (I11)."""
        self._unit_of_work = unit_of_work
        self._registry = registry
        self._factory = factory
        self._grace = grace
        self._findings = findings
        self._authority = authority
        self._metrics = metrics
        self._now = now
        self._challenges = challenges
        self._checks = ProofChecks()

    def close(self) -> None:
        """End the thread that checks proofs."""
        self._checks.close()

    async def GetChallenge(
        self, request: enrollment_pb2.GetChallengeRequest, context: Context
    ) -> enrollment_pb2.GetChallengeResponse:
        """Hand out a nonce."""
        if wait := self._challenges.take(by_address(context)):
            raise TooManyChallengesError(retry_after=timedelta(seconds=wait))
        challenge = await self._unit_of_work.write(
            lambda connection: self._registry.challenge(connection, serial_number=request.serial_number)
        )
        return enrollment_pb2.GetChallengeResponse(
            nonce=challenge.nonce,
            expires_at=convert.timestamp(challenge.expires_at),
            platform_time=convert.timestamp(self._now()),
        )

    async def Enroll(self, request: enrollment_pb2.EnrollRequest, _context: Context) -> enrollment_pb2.EnrollResponse:
        """Exchange token or factory identity, and signing request, for a certificate."""
        by_factory = request.HasField("factory_proof")
        try:
            enrollment = await (self._by_factory(request) if by_factory else self._by_token(request))
        except RegistryError:
            self._metrics.enrollments.labels("REFUSED").inc()
            raise
        self._metrics.enrollments.labels("ENROLLED").inc()
        self._metrics.certificates_issued.labels("FACTORY" if by_factory else "ENROLLMENT").inc()
        return enrollment_pb2.EnrollResponse(
            terminal_id=enrollment.terminal_id,
            certificate_chain_der=enrollment.certificate_chain_der,
            renew_after=convert.timestamp(enrollment.renew_after),
        )

    async def RenewExpired(
        self, request: enrollment_pb2.RenewExpiredRequest, _context: Context
    ) -> enrollment_pb2.RenewExpiredResponse:
        """Exchange a lapsed certificate for a new one."""
        request_id = current_request_id()
        signing_request = await self._signing_request(request.signing_request_der)
        attempt = await self._unit_of_work.read(
            lambda connection: self._grace.attempt(
                connection, certificate_der=request.certificate_der, request=signing_request
            )
        )
        try:
            holder = await self._checks.run(lambda: prove_holder(attempt, request.signature))
        except RenewalProofRefusedError:
            await self._use_up(attempt)
            raise
        renewed = await self._unit_of_work.write(
            lambda connection: self._grace.renew(connection, holder=holder, request_id=request_id)
        )
        self._metrics.certificates_issued.labels("GRACE").inc()
        return enrollment_pb2.RenewExpiredResponse(
            certificate_chain_der=renewed.certificate_chain_der, renew_after=convert.timestamp(renewed.renew_after)
        )

    async def GetTrustBundle(
        self, _request: enrollment_pb2.GetTrustBundleRequest, _context: Context
    ) -> enrollment_pb2.GetTrustBundleResponse:
        """Return the roots."""
        return enrollment_pb2.GetTrustBundleResponse(root_certificates_der=self._authority.root_certificates_der)

    async def _by_token(self, request: enrollment_pb2.EnrollRequest) -> Enrollment:
        request_id = current_request_id()  # here, for the writer's thread does not know whose call it works for
        return await self._unit_of_work.write(
            lambda connection: self._registry.enroll(
                connection,
                serial_number=request.serial_number,
                token=request.token,
                signing_request_der=request.signing_request_der,
                request_id=request_id,
            )
        )

    async def _by_factory(self, request: enrollment_pb2.EnrollRequest) -> Enrollment:
        """Enroll by factory identity; what looks like a clone is refused, and kept as a finding.

        Only a proof that holds gets to the one writer. One that does not costs its nonce; a mistake in model, maker or
        ticket does not, for the device is genuine.
        """
        proof = FactoryProof(
            certificate_chain_der=tuple(request.factory_proof.certificate_chain_der),
            signature=request.factory_proof.signature,
        )
        visit = _visit(request.installer) if request.HasField("installer") else None
        request_id = current_request_id()
        signing_request = await self._signing_request(request.signing_request_der)
        attempt = await self._unit_of_work.read(
            lambda connection: self._factory.attempt(
                connection, serial_number=request.serial_number, request=signing_request
            )
        )
        try:
            device = await self._checks.run(lambda: self._factory.prove(attempt, proof))
            return await self._unit_of_work.write(
                lambda connection: self._factory.enroll(connection, device=device, visit=visit, request_id=request_id)
            )
        except FactoryProofRefusedError:
            await self._use_up(attempt)
            raise
        except SuspiciousEnrollmentError as refusal:
            await self._keep(refusal, attempt, request_id)
            raise

    async def _signing_request(self, der: bytes) -> SigningRequest:
        return await self._checks.run(lambda: signing_request_from_der(der))

    async def _use_up(self, attempt: FactoryAttempt | LateAttempt) -> None:
        """Use up a refused proof's nonce, so that one challenge is one try."""
        now = self._now()
        await self._unit_of_work.write(
            lambda connection: use_up_nonce(
                connection, serial_number=attempt.serial_number, nonce=attempt.nonce, now=now
            )
        )

    async def _keep(self, refusal: SuspiciousEnrollmentError, attempt: FactoryAttempt, request_id: str) -> None:
        """Write the finding in a transaction of its own: the refusal rolled back the one it was made in."""
        log.warning("enrollment_suspicious", reason=refusal.reason, terminal_id=refusal.terminal_id)
        now = self._now()

        def keep(connection: Connection) -> None:
            use_up_nonce(connection, serial_number=attempt.serial_number, nonce=attempt.nonce, now=now)
            self._findings.report(
                connection,
                kind=refusal.kind,
                terminal_id=refusal.terminal_id,
                severity=Severity.CRITICAL,
                details={
                    "serial_number": refusal.serial_number,
                    "seen": refusal.detail,
                    "request_id": request_id,
                },
            )

        await self._unit_of_work.write(keep)


def _visit(installer: enrollment_pb2.Installer) -> InstallerVisit:
    return InstallerVisit(
        ticket=installer.ticket,
        site_id=installer.site_id,
        model=installer.model,
        record_number=installer.record_number,
    )
