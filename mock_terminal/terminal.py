"""A terminal's own affairs: how it enrolls, renews, and stays connected."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from grpc import aio

from mock_terminal.client import CALL_SECONDS_MAX, call, enrollment_channel, jittered, refused_from, terminal_channel
from mock_terminal.errors import PlatformRefusedError, StateError
from mock_terminal.keystore import Identity, KeyStore, write_private
from mock_terminal.report import Reporter
from shualian.terminal.v1 import (
    device_pb2,
    device_pb2_grpc,
    enrollment_pb2,
    enrollment_pb2_grpc,
)

FIRMWARE_VERSION: Final = "mock-0.1.0"
ENDED_FOR_GOOD: Final = frozenset(
    {"TERMINAL_REVOKED", "TERMINAL_RETIRED", "CERTIFICATE_REVOKED", "CERTIFICATE_RETIRED", "CERTIFICATE_UNKNOWN"}
)
FIRST_PAUSE: Final = timedelta(milliseconds=500)
LONGEST_PAUSE: Final = timedelta(seconds=30)
DONE_COMMANDS_MAX: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """The state of one terminal on disk."""

    path: Path

    @property
    def keys(self) -> KeyStore:
        """Its identities."""
        return KeyStore(self.path)

    @property
    def roots_pem(self) -> bytes:
        """Whom it trusts.

        Raises:
            StateError: nobody yet.
        """
        try:
            return (self.path / "roots.pem").read_bytes()
        except FileNotFoundError as error:
            raise StateError(f"no roots in {self.path}: run `shualian-terminal enroll` first") from error

    def channel(self, address: str) -> aio.Channel:
        """Return a channel with the current identity."""
        return terminal_channel(address, roots_pem=self.roots_pem, identity=self.keys.identity())


async def enroll(folder: Folder, *, address: str, serial_number: str, token: str, roots_pem: bytes) -> Identity:
    """Trade a one-time token for a first certificate.

    Raises:
        PlatformRefusedError: the token, the nonce or the request was refused.
    """
    folder.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    staged = folder.keys.stage()
    async with enrollment_channel(address, roots_pem=roots_pem) as channel:
        stub = enrollment_pb2_grpc.EnrollmentServiceStub(channel)
        ask = enrollment_pb2.GetChallengeRequest(serial_number=serial_number)
        challenge = await call(lambda: stub.GetChallenge(ask, timeout=CALL_SECONDS_MAX))
        request = enrollment_pb2.EnrollRequest(
            serial_number=serial_number,
            token=token,
            signing_request_der=staged.signing_request_der(nonce=challenge.nonce),
        )
        # Once only: an Enroll whose answer got lost has used the token up, and asking again would say so misleadingly.
        answer = await call(lambda: stub.Enroll(request, timeout=CALL_SECONDS_MAX), attempts_max=1)
    write_private(folder.path / "roots.pem", roots_pem)
    return folder.keys.adopt(
        staged, chain_der=answer.certificate_chain_der, renew_after=answer.renew_after.ToDatetime(UTC)
    )


async def renew(folder: Folder, channel: aio.Channel) -> Identity:
    """Trade the current certificate for one with a new key; the old one is good until the new one is first used."""
    staged = folder.keys.stage()
    stub = device_pb2_grpc.DeviceServiceStub(channel)
    request = device_pb2.RenewCertificateRequest(signing_request_der=staged.signing_request_der())
    answer = await call(lambda: stub.RenewCertificate(request, timeout=CALL_SECONDS_MAX))
    return folder.keys.adopt(
        staged, chain_der=answer.certificate_chain_der, renew_after=answer.renew_after.ToDatetime(UTC)
    )


class Connection:
    """Keeps the control stream open, does what comes down, and comes back when it breaks."""

    def __init__(self, folder: Folder, *, address: str, report: Reporter, now: Callable[[], datetime]) -> None:
        self._folder: Final = folder
        self._address: Final = address
        self._report: Final = report
        self._now: Final = now
        self._done: Final = DoneCommands(folder.path / "commands.json")
        self._interval = timedelta(seconds=30)
        self._pause = FIRST_PAUSE
        self._come_back_after: timedelta | None = None

    async def run(self) -> PlatformRefusedError:
        """Stay connected until the platform ends it for good; return its word. Cancel to stop."""
        while True:
            ended = await self._one_stream()
            self._report.event("stream_ended", code=ended.code if ended else "OK", reason=ended.reason if ended else "")
            if ended is not None and ended.reason in ENDED_FOR_GOOD:
                return ended
            await asyncio.sleep(self._next_pause(ended))

    def _next_pause(self, ended: PlatformRefusedError | None) -> float:
        """Return how long to stay away: as told, at once after a renewal, longer each time after trouble."""
        if self._come_back_after is not None:
            told, self._come_back_after = self._come_back_after, None
            return told.total_seconds()
        pause = max(self._pause, ended.retry_after or timedelta()) if ended else self._pause
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        return jittered(pause)

    async def _one_stream(self) -> PlatformRefusedError | None:
        """Hold one control stream to its end; return the error that ended it, None when we ended it."""
        async with self._folder.channel(self._address) as channel:
            stream = device_pb2_grpc.DeviceServiceStub(channel).Connect(None)
            beating: asyncio.Task[None] | None = None
            try:
                await stream.write(device_pb2.ConnectRequest(hello=self._hello()))
                async for message in stream:
                    match message.WhichOneof("message"):
                        case "welcome":
                            self._welcomed(message.welcome)
                            beating = asyncio.create_task(self._beat(stream))
                        case "heartbeat_ack":
                            self._report.event("heartbeat", sequence=message.heartbeat_ack.sequence)
                        case "command" if await self._obey(stream, channel, message.command):
                            return None
                        case "goodbye":
                            self._come_back_after = message.goodbye.reconnect_after.ToTimedelta()
                            return None
                    if await self._renewed_when_due(channel):
                        return None
            except aio.AioRpcError as error:
                return refused_from(error)
            finally:
                if beating is not None:
                    beating.cancel()
                stream.cancel()
        return None

    def _hello(self) -> device_pb2.Hello:
        hello = device_pb2.Hello(firmware_version=FIRMWARE_VERSION)
        hello.terminal_time.FromDatetime(self._now())
        return hello

    def _welcomed(self, welcome: device_pb2.Welcome) -> None:
        self._interval = welcome.heartbeat_interval.ToTimedelta()
        self._pause = FIRST_PAUSE
        self._report.event(
            "connected",
            terminal_id=welcome.terminal_id,
            heartbeat_interval_seconds=self._interval.total_seconds(),
            renew_after=welcome.renew_after.ToDatetime().isoformat() + "Z",
        )

    async def _beat(
        self, stream: "aio.StreamStreamCall[device_pb2.ConnectRequest, device_pb2.ConnectResponse]"
    ) -> None:
        """Send heartbeats until cancelled."""
        sequence = 0
        while True:
            sequence += 1
            heartbeat = device_pb2.Heartbeat(
                sequence=sequence, camera_state=device_pb2.CAMERA_STATE_READY, temperature_celsius=36.5, queue_length=0
            )
            heartbeat.terminal_time.FromDatetime(self._now())
            await stream.write(device_pb2.ConnectRequest(heartbeat=heartbeat))
            await asyncio.sleep(self._interval.total_seconds())

    async def _renewed_when_due(self, channel: aio.Channel) -> bool:
        """Renew once it is time; true when there is a new identity to connect with."""
        if self._now() < self._folder.keys.identity().renew_after:
            return False
        await self._renew(channel)
        return True

    async def _renew(self, channel: aio.Channel) -> None:
        identity = await renew(self._folder, channel)
        self._come_back_after = timedelta()
        self._report.event("renewed", not_after=identity.not_after.isoformat())

    async def _obey(
        self,
        stream: "aio.StreamStreamCall[device_pb2.ConnectRequest, device_pb2.ConnectResponse]",
        channel: aio.Channel,
        command: device_pb2.Command,
    ) -> bool:
        """Do a command once, and answer it each time it comes; true when there is a new identity to connect with."""
        action = command.WhichOneof("action") or ""
        outcome, detail, is_new_identity = device_pb2.COMMAND_OUTCOME_DONE, "", False
        if command.command_id not in self._done:
            match action:
                case "renew_certificate":
                    await self._renew(channel)
                    is_new_identity = True
                case "set_configuration":
                    self._interval = command.set_configuration.heartbeat_interval.ToTimedelta()
                case "collect_diagnostics":
                    detail = f"firmware {FIRMWARE_VERSION}, camera ready"
                case _:
                    outcome = device_pb2.COMMAND_OUTCOME_UNSUPPORTED
            self._done.add(command.command_id)
        result = device_pb2.CommandResult(command_id=command.command_id, outcome=outcome, detail=detail)
        await stream.write(device_pb2.ConnectRequest(command_result=result))
        name = device_pb2.CommandOutcome.Name(outcome).removeprefix("COMMAND_OUTCOME_")
        self._report.event("command", command_id=command.command_id, action=action, outcome=name)
        return is_new_identity


class DoneCommands:
    """Which commands were done, remembered on disk, because they are delivered at least once."""

    def __init__(self, path: Path) -> None:
        self._path: Final = path
        self._ids: Final[list[str]] = json.loads(path.read_bytes()) if path.exists() else []

    def __contains__(self, command_id: str) -> bool:
        return command_id in self._ids

    def add(self, command_id: str) -> None:
        """Remember one; the oldest are forgotten."""
        self._ids.append(command_id)
        del self._ids[:-DONE_COMMANDS_MAX]
        write_private(self._path, json.dumps(self._ids).encode())
