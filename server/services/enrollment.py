"""How a terminal gets its first certificate, as gRPC asks for it."""

from datetime import timedelta

from device_registry import Authority, Registry
from device_registry.errors import RegistryError, TooManyChallengesError
from monitoring.metrics import Metrics
from server import convert
from server.caller import current_request_id
from server.interceptors.chain import Context
from server.interceptors.limits import Buckets, by_address
from server.store import UnitOfWork
from shualian.terminal.v1 import enrollment_pb2, enrollment_pb2_grpc


class EnrollmentService(enrollment_pb2_grpc.EnrollmentServiceServicer):
    """EnrollmentService; the one service that strangers can reach."""

    def __init__(
        self,
        *,
        unit_of_work: UnitOfWork,
        registry: Registry,
        authority: Authority,
        metrics: Metrics,
        challenges: Buckets,
    ) -> None:
        """Take what it works with; `challenges` keeps one address from using up all open nonces (I11)."""
        self._unit_of_work = unit_of_work
        self._registry = registry
        self._authority = authority
        self._metrics = metrics
        self._challenges = challenges

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
            nonce=challenge.nonce, expires_at=convert.timestamp(challenge.expires_at)
        )

    async def Enroll(self, request: enrollment_pb2.EnrollRequest, _context: Context) -> enrollment_pb2.EnrollResponse:
        """Exchange token and signing request for a certificate."""
        try:
            enrollment = await self._unit_of_work.write(
                lambda connection: self._registry.enroll(
                    connection,
                    serial_number=request.serial_number,
                    token=request.token,
                    signing_request_der=request.signing_request_der,
                    request_id=current_request_id(),
                )
            )
        except RegistryError:
            self._metrics.enrollments.labels("REFUSED").inc()
            raise
        self._metrics.enrollments.labels("ENROLLED").inc()
        self._metrics.certificates_issued.labels("ENROLLMENT").inc()
        return enrollment_pb2.EnrollResponse(
            terminal_id=enrollment.terminal_id,
            certificate_chain_der=enrollment.certificate_chain_der,
            renew_after=convert.timestamp(enrollment.renew_after),
        )

    async def GetTrustBundle(
        self, _request: enrollment_pb2.GetTrustBundleRequest, _context: Context
    ) -> enrollment_pb2.GetTrustBundleResponse:
        """Return the roots."""
        return enrollment_pb2.GetTrustBundleResponse(root_certificates_der=self._authority.root_certificates_der)
