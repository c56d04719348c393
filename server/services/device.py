"""The terminal's own affairs, as gRPC asks for them: its control stream and its certificate."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from time import monotonic

import structlog

from device_registry import Commands, Registry
from device_registry.errors import CommandUnknownError
from device_registry.model import ReceivedHeartbeat
from monitoring.metrics import Metrics
from server import convert
from server.caller import current_caller, current_request_id, current_standing
from server.interceptors.chain import Context
from server.interceptors.limits import origin_of
from server.live.control import ControlStream, ControlStreams, count_ended
from server.live.presence import PresenceBook
from server.live.streams import current_stream
from server.refusals import StreamOrderError
from server.services.opening import opening
from server.store import UnitOfWork
from shualian.terminal.v1 import device_pb2, device_pb2_grpc

log = structlog.get_logger()

Reports = AsyncIterator[device_pb2.ConnectRequest]


class DeviceService(device_pb2_grpc.DeviceServiceServicer):
    """DeviceService: reports up, commands down, and new certificates."""

    def __init__(
        self,
        *,
        unit_of_work: UnitOfWork,
        registry: Registry,
        commands: Commands,
        control: ControlStreams,
        presence: PresenceBook,
        metrics: Metrics,
        now: Callable[[], datetime],
        heartbeat_interval: timedelta,
        clock_skew_warning: timedelta,
    ) -> None:
        self._unit_of_work = unit_of_work
        self._registry = registry
        self._commands = commands
        self._control = control
        self._presence = presence
        self._metrics = metrics
        self._now = now
        self._heartbeat_interval = heartbeat_interval
        self._clock_skew_warning = clock_skew_warning
        self._heartbeats = {
            state: metrics.heartbeats.labels(device_pb2.CameraState.Name(state).removeprefix("CAMERA_STATE_"))
            for state in device_pb2.CameraState.values()
            if state
        }

    async def Connect(self, requests: Reports, context: Context) -> None:  # type: ignore[override]  # it writes
        """Serve one control stream from hello to its end."""
        hello = (await opening(requests, oneof="report", expected="hello")).hello
        terminal_id = current_caller().terminal_id
        stream = ControlStream(terminal_id=terminal_id, live=current_stream(), context=context)
        skew = self._skew(convert.moment(hello.terminal_time, "hello.terminal_time"))
        await self._presence.came(
            terminal_id,
            hello.firmware_version,
            skew,
            origin=origin_of(context.peer()),
            position=convert.position(hello),
        )
        self._control.put(stream)
        try:
            await stream.send(device_pb2.ConnectResponse(welcome=self._welcome()))
            self._control.deliver(terminal_id)
            await self._listen(stream, requests)
        finally:
            if self._control.remove(stream):
                self._presence.went(terminal_id)

    async def RenewCertificate(
        self, request: device_pb2.RenewCertificateRequest, _context: Context
    ) -> device_pb2.RenewCertificateResponse:
        """Give a new certificate for a new key."""
        standing, request_id = current_standing(), current_request_id()
        renewed = await self._unit_of_work.write(
            lambda connection: self._registry.renew(
                connection,
                terminal_id=standing.terminal_id,
                fingerprint=standing.fingerprint,
                signing_request_der=request.signing_request_der,
                request_id=request_id,
            )
        )
        self._metrics.certificates_issued.labels("RENEWAL").inc()
        return device_pb2.RenewCertificateResponse(
            certificate_chain_der=renewed.certificate_chain_der, renew_after=convert.timestamp(renewed.renew_after)
        )

    def _welcome(self) -> device_pb2.Welcome:
        standing = current_standing()
        return device_pb2.Welcome(
            terminal_id=standing.terminal_id,
            platform_time=convert.timestamp(self._now()),
            heartbeat_interval=convert.duration(self._heartbeat_interval),
            renew_after=convert.timestamp(standing.renew_after),
        )

    def _skew(self, terminal_time: datetime) -> timedelta:
        """Return how far the terminal's clock is ahead of ours; far enough, and it is logged."""
        skew = terminal_time - self._now()
        self._metrics.clock_skew_seconds.observe(abs(skew.total_seconds()))
        if abs(skew) > self._clock_skew_warning:
            log.warning("clock_skew", seconds=round(skew.total_seconds(), 1))
        return skew

    async def _listen(self, stream: ControlStream, requests: Reports) -> None:
        """Take reports until the terminal closes the stream."""
        sequence = 0
        async for request in requests:
            stream.heard_at = monotonic()
            match request.WhichOneof("report"):
                case "heartbeat":
                    sequence += 1
                    await self._take_heartbeat(stream, request.heartbeat, sequence)
                case "command_result":
                    await self._take_result(stream, request.command_result)
                case _:
                    raise StreamOrderError(expected="heartbeat or command_result")

    async def _take_heartbeat(self, stream: ControlStream, heartbeat: device_pb2.Heartbeat, sequence: int) -> None:
        if heartbeat.sequence != sequence:
            raise StreamOrderError(expected=f"heartbeat with sequence {sequence}")
        report, received_at = convert.heartbeat_report(heartbeat), self._now()
        self._presence.beat(ReceivedHeartbeat(terminal_id=stream.terminal_id, report=report, received_at=received_at))
        self._heartbeats[heartbeat.camera_state].inc()
        self._metrics.clock_skew_seconds.observe(abs((report.terminal_time - received_at).total_seconds()))
        self._metrics.temperature_celsius.observe(report.temperature_celsius)
        self._metrics.terminal_queue_length.observe(report.queue_length)
        await stream.send(
            device_pb2.ConnectResponse(heartbeat_ack=device_pb2.HeartbeatAck(sequence=heartbeat.sequence))
        )

    async def _take_result(self, stream: ControlStream, result: device_pb2.CommandResult) -> None:
        outcome = convert.command_outcome(result)
        try:
            answered = await self._unit_of_work.write(
                lambda connection: self._commands.answered(
                    connection,
                    terminal_id=stream.terminal_id,
                    command_id=result.command_id,
                    outcome=outcome,
                    detail=result.detail,
                )
            )
        except CommandUnknownError:  # of a former life; no reason to end the stream
            log.warning("command_unknown", command_id=result.command_id)
            return
        if answered is not None:
            count_ended(self._metrics, [answered])
