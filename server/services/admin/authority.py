"""The issuing authorities below the root, as the security team asks for them."""

from collections.abc import Callable

from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection

from device_registry import Issuer, Issuers, IssuerUse
from server.administration.caller import current_operator
from server.interceptors.chain import Context
from server.services.admin import convert
from server.store import UnitOfWork
from server.wiring import Domain
from shualian.admin.v1 import authority_pb2 as pb
from shualian.admin.v1 import authority_pb2_grpc


class AuthorityService(authority_pb2_grpc.AuthorityServiceServicer):
    """AuthorityService."""

    def __init__(self, *, domain: Domain, unit_of_work: UnitOfWork) -> None:
        self._issuers: Issuers = domain.issuers
        self._root_der = domain.authority.root.public_bytes(Encoding.DER)
        self._root_fingerprint = domain.authority.root_fingerprint_sha256
        self._unit_of_work = unit_of_work

    async def ListIssuers(self, _request: pb.ListIssuersRequest, _context: Context) -> pb.ListIssuersResponse:
        """List every issuing authority with its share of the fleet."""
        overview = await self._unit_of_work.read(self._issuers.overview)
        return pb.ListIssuersResponse(
            issuers=[_used(use) for use in overview.uses],
            terminals=overview.terminals,
            root_fingerprint_sha256=self._root_fingerprint,
            root_certificate_der=self._root_der,
        )

    async def PrepareIssuer(self, request: pb.PrepareIssuerRequest, _context: Context) -> pb.PrepareIssuerResponse:
        """Make the key of a next issuing authority."""
        caller = current_operator()
        prepared = await self._unit_of_work.write(
            lambda connection: self._issuers.prepare(
                connection, reason=request.reason, actor=caller.actor, request_id=caller.request_id
            )
        )
        return pb.PrepareIssuerResponse(
            issuer=_issuer(prepared),
            signing_request_der=prepared.signing_request_der or b"",
            root_certificate_der=self._root_der,
        )

    async def InstallIssuer(self, request: pb.InstallIssuerRequest, _context: Context) -> pb.InstallIssuerResponse:
        """Take the certificate that the root signed."""
        caller = current_operator()
        installed = await self._changed(
            lambda connection: self._issuers.install(
                connection,
                issuer_id=request.issuer_id,
                certificate_der=request.certificate_der,
                actor=caller.actor,
                request_id=caller.request_id,
            )
        )
        return pb.InstallIssuerResponse(issuer=installed)

    async def ActivateIssuer(self, request: pb.ActivateIssuerRequest, _context: Context) -> pb.ActivateIssuerResponse:
        """Let new certificates come from an issuing authority."""
        caller = current_operator()
        activated = await self._changed(
            lambda connection: self._issuers.activate(
                connection,
                issuer_id=request.issuer_id,
                even_without_key=request.even_without_key,
                reason=request.reason,
                actor=caller.actor,
                request_id=caller.request_id,
            )
        )
        return pb.ActivateIssuerResponse(issuer=activated)

    async def TaintIssuer(self, request: pb.TaintIssuerRequest, _context: Context) -> pb.TaintIssuerResponse:
        """Make every certificate of an issuing authority due for renewal."""
        caller = current_operator()
        tainted = await self._changed(
            lambda connection: self._issuers.taint(
                connection,
                issuer_id=request.issuer_id,
                reason=request.reason,
                actor=caller.actor,
                request_id=caller.request_id,
            )
        )
        return pb.TaintIssuerResponse(issuer=tainted)

    async def RevokeIssuer(self, request: pb.RevokeIssuerRequest, _context: Context) -> pb.RevokeIssuerResponse:
        """Withdraw an issuing authority with every certificate it signed."""
        caller = current_operator()
        revoked = await self._changed(
            lambda connection: self._issuers.revoke(
                connection,
                issuer_id=request.issuer_id,
                reason=request.reason,
                even_if_in_use=request.even_if_in_use,
                actor=caller.actor,
                request_id=caller.request_id,
            )
        )
        return pb.RevokeIssuerResponse(issuer=revoked)

    async def _changed(self, change: Callable[[Connection], Issuer]) -> pb.Issuer:
        """Change something and return the issuer as it is then, with its share."""

        def work(connection: Connection) -> pb.Issuer:
            changed = change(connection)
            uses = {use.issuer.issuer_id: use for use in self._issuers.overview(connection).uses}
            return _used(uses[changed.issuer_id])

        return await self._unit_of_work.write(work)


def _used(use: IssuerUse) -> pb.Issuer:
    shown = _issuer(use.issuer)
    shown.terminals, shown.dependents = use.terminals, use.dependents
    return shown


def _issuer(record: Issuer) -> pb.Issuer:
    return pb.Issuer(
        issuer_id=record.issuer_id,
        state=convert.enum_of(pb.IssuerState, "ISSUER_STATE", record.state),
        state_since=convert.when(record.state_since),
        state_reason=record.state_reason,
        prepared_at=convert.when(record.prepared_at),
        key_backend=record.key_backend,
        fingerprint=record.fingerprint or "",
        subject_key_id=record.subject_key_id or "",
        not_after=convert.when(record.not_after),
        certificate_der=record.certificate_der or b"",
    )
