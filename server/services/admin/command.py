"""Commands to terminals, as operators give them."""

from sqlalchemy import Connection

from monitoring.metrics import Metrics
from server.administration.caller import current_operator
from server.interceptors.chain import Context
from server.live.control import count_ended
from server.services.admin import command_records
from server.store import UnitOfWork
from server.wiring import Domain
from shualian.admin.v1 import command_pb2 as pb
from shualian.admin.v1 import command_pb2_grpc

LIMIT = 100


class CommandService(command_pb2_grpc.CommandServiceServicer):
    """CommandService."""

    def __init__(self, *, domain: Domain, unit_of_work: UnitOfWork, metrics: Metrics) -> None:
        self._domain = domain
        self._commands = domain.commands
        self._unit_of_work = unit_of_work
        self._metrics = metrics

    async def QueueCommand(self, request: pb.QueueCommandRequest, _context: Context) -> pb.QueueCommandResponse:
        """Give a terminal something to do."""
        caller = current_operator()
        parameters = command_records.parameters_of(request.order)

        def queue(connection: Connection) -> pb.Command:
            queued = self._commands.queue(
                connection,
                terminal_id=self._domain.roster.meant(connection, request.terminal).terminal_id,
                action=command_records.action_of(request.order),
                parameters=parameters,
                lifetime=command_records.lifetime_of(request.order),
                idempotency_key=request.idempotency_key,
                reason=request.reason,
                actor=caller.actor,
                request_id=caller.request_id,
            )
            return command_records.command(queued, self._domain.now())

        return pb.QueueCommandResponse(command=await self._unit_of_work.write(queue))

    async def ListCommands(self, request: pb.ListCommandsRequest, _context: Context) -> pb.ListCommandsResponse:
        """List a terminal's commands."""

        def read(connection: Connection) -> list[pb.Command]:
            terminal_id = self._domain.roster.meant(connection, request.terminal).terminal_id
            history = self._commands.history(connection, terminal_id, limit=request.limit or LIMIT)
            return [command_records.command(record, self._domain.now()) for record in history]

        return pb.ListCommandsResponse(commands=await self._unit_of_work.read(read))

    async def CancelCommand(self, request: pb.CancelCommandRequest, _context: Context) -> pb.CancelCommandResponse:
        """Take a command back."""
        caller = current_operator()
        cancelled = await self._unit_of_work.write(
            lambda connection: self._commands.cancel(
                connection,
                command_id=request.command_id,
                reason=request.reason,
                actor=caller.actor,
                request_id=caller.request_id,
            )
        )
        count_ended(self._metrics, [cancelled])
        return pb.CancelCommandResponse(command=command_records.command(cancelled, self._domain.now()))
