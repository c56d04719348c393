"""Who may use the admin API, as the security team asks for it."""

from sqlalchemy import Connection

from device_registry.model import IssuedCertificate
from device_registry.operators.operators import Operator, OperatorCertificate, Operators
from device_registry.operators.roles import Role
from server.administration.caller import current_operator
from server.interceptors.chain import Context
from server.services.admin import convert
from server.store import UnitOfWork
from server.wiring import Domain
from shualian.admin.v1 import operator_pb2 as pb
from shualian.admin.v1 import operator_pb2_grpc


class OperatorService(operator_pb2_grpc.OperatorServiceServicer):
    """OperatorService."""

    def __init__(self, *, domain: Domain, unit_of_work: UnitOfWork) -> None:
        self._operators: Operators = domain.operators
        self._roots = domain.authority.root_certificates_der
        self._unit_of_work = unit_of_work

    async def AddOperator(self, request: pb.AddOperatorRequest, _context: Context) -> pb.AddOperatorResponse:
        """Add an operator and sign their certificate."""
        caller = current_operator()

        def add(connection: Connection) -> pb.AddOperatorResponse:
            operator, issued = self._operators.add(
                connection,
                name=request.name,
                role=_role(request.role),
                signing_request_der=request.signing_request_der,
                actor=caller.actor,
                request_id=caller.request_id,
            )
            return pb.AddOperatorResponse(
                operator=self._shown(connection, operator), certificate=self._certificate(issued)
            )

        return await self._unit_of_work.write(add)

    async def ListOperators(self, _request: pb.ListOperatorsRequest, _context: Context) -> pb.ListOperatorsResponse:
        """List every operator."""

        def read(connection: Connection) -> pb.ListOperatorsResponse:
            certificates = self._operators.open_certificates(connection)
            return pb.ListOperatorsResponse(
                operators=[
                    _operator(operator, certificates.get(operator.operator_id))
                    for operator in self._operators.all(connection)
                ]
            )

        return await self._unit_of_work.read(read)

    async def ChangeRole(self, request: pb.ChangeRoleRequest, _context: Context) -> pb.ChangeRoleResponse:
        """Give an operator another role."""
        caller = current_operator()

        def change(connection: Connection) -> pb.Operator:
            changed = self._operators.change_role(
                connection,
                name=request.name,
                role=_role(request.role),
                reason=request.reason,
                actor=caller.actor,
                request_id=caller.request_id,
            )
            return self._shown(connection, changed)

        return pb.ChangeRoleResponse(operator=await self._unit_of_work.write(change))

    async def RevokeOperator(self, request: pb.RevokeOperatorRequest, _context: Context) -> pb.RevokeOperatorResponse:
        """Lock an operator out."""
        caller = current_operator()

        def revoke(connection: Connection) -> pb.Operator:
            revoked = self._operators.revoke(
                connection, name=request.name, reason=request.reason, actor=caller.actor, request_id=caller.request_id
            )
            return self._shown(connection, revoked)

        return pb.RevokeOperatorResponse(operator=await self._unit_of_work.write(revoke))

    async def RenewOperator(self, request: pb.RenewOperatorRequest, _context: Context) -> pb.RenewOperatorResponse:
        """Give the caller a new certificate; only for themselves."""
        caller = current_operator()
        issued = await self._unit_of_work.write(
            lambda connection: self._operators.renew(
                connection,
                name=caller.name,
                signing_request_der=request.signing_request_der,
                request_id=caller.request_id,
            )
        )
        return pb.RenewOperatorResponse(certificate=self._certificate(issued))

    async def WhoAmI(self, _request: pb.WhoAmIRequest, _context: Context) -> pb.WhoAmIResponse:
        """Say who the caller is."""
        caller = current_operator()
        return pb.WhoAmIResponse(
            actor=caller.actor,
            role=convert.enum_of(pb.Role, "ROLE", caller.role),
            certificate_not_after=convert.when(caller.certificate_not_after),
        )

    def _shown(self, connection: Connection, operator: Operator) -> pb.Operator:
        return _operator(operator, self._operators.open_certificates(connection).get(operator.operator_id))

    def _certificate(self, issued: IssuedCertificate) -> pb.OperatorCertificate:
        return pb.OperatorCertificate(
            certificate_chain_der=issued.certificate_chain_der,
            root_certificates_der=self._roots,
            not_after=convert.when(issued.not_after),
        )


def _role(value: int) -> Role:
    return convert.word_of(pb.Role, "ROLE", value, Role) or Role.VIEWER


def _operator(record: Operator, certificate: OperatorCertificate | None) -> pb.Operator:
    return pb.Operator(
        operator_id=record.operator_id,
        name=record.name,
        role=convert.enum_of(pb.Role, "ROLE", record.role),
        state=convert.enum_of(pb.OperatorState, "OPERATOR_STATE", record.state),
        added_by=record.added_by,
        added_at=convert.when(record.added_at),
        changed_at=convert.when(record.changed_at),
        certificate_not_after=convert.when(certificate.not_after) if certificate else None,
        certificate_fingerprint=certificate.fingerprint if certificate else "",
    )
