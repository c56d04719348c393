"""Installer tickets, as operators ask for them."""

from device_registry.enrollment.tickets import InstallerTicket
from server.administration.caller import current_operator
from server.interceptors.chain import Context
from server.services.admin import convert
from server.store import UnitOfWork
from server.wiring import Domain
from shualian.admin.v1 import ticket_pb2 as pb
from shualian.admin.v1 import ticket_pb2_grpc


class TicketService(ticket_pb2_grpc.TicketServiceServicer):
    """TicketService."""

    def __init__(self, *, domain: Domain, unit_of_work: UnitOfWork) -> None:
        self._tickets = domain.tickets
        self._root_fingerprint = domain.authority.root_fingerprint_sha256
        self._unit_of_work = unit_of_work

    async def IssueInstallerTicket(
        self, request: pb.IssueInstallerTicketRequest, _context: Context
    ) -> pb.IssueInstallerTicketResponse:
        """Make a ticket."""
        caller = current_operator()
        issued = await self._unit_of_work.write(
            lambda connection: self._tickets.issue(
                connection,
                region=request.region,
                terminals_max=request.terminals_max,
                lifetime=request.lifetime.ToTimedelta(),
                actor=caller.actor,
                reason=request.reason,
                request_id=caller.request_id,
            )
        )
        return pb.IssueInstallerTicketResponse(
            ticket=issued.ticket, record=_ticket(issued.record), root_fingerprint_sha256=self._root_fingerprint
        )

    async def ListInstallerTickets(
        self, _request: pb.ListInstallerTicketsRequest, _context: Context
    ) -> pb.ListInstallerTicketsResponse:
        """List every ticket."""
        tickets = await self._unit_of_work.read(self._tickets.tickets)
        return pb.ListInstallerTicketsResponse(tickets=map(_ticket, tickets))

    async def RevokeInstallerTicket(
        self, request: pb.RevokeInstallerTicketRequest, _context: Context
    ) -> pb.RevokeInstallerTicketResponse:
        """End a ticket's life."""
        caller = current_operator()
        revoked = await self._unit_of_work.write(
            lambda connection: self._tickets.revoke(
                connection,
                ticket_id=request.ticket_id,
                actor=caller.actor,
                reason=request.reason,
                request_id=caller.request_id,
            )
        )
        return pb.RevokeInstallerTicketResponse(ticket=_ticket(revoked))


def _ticket(record: InstallerTicket) -> pb.InstallerTicket:
    return pb.InstallerTicket(
        ticket_id=record.ticket_id,
        region=record.region,
        terminals_max=record.terminals_max,
        terminals_left=record.terminals_left,
        issued_by=record.issued_by,
        issued_at=convert.when(record.issued_at),
        expires_at=convert.when(record.expires_at),
        revoked_at=convert.when(record.revoked_at),
    )
