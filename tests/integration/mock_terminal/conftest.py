"""What the tests of the mock terminal share: a platform that says what it is told, and ears for its events."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as Detail
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, LocalizedMessage, RequestInfo, RetryInfo
from google.rpc.status_pb2 import Status

from device_registry import Terminal
from mock_terminal.folder import Folder
from mock_terminal.report import Reporter
from mock_terminal.terminal import enroll
from server.settlement import Account, AccountKind
from tests.support.loopback import channel_to
from tests.support.platform import ACTOR, RunningPlatform, a_platform, a_registered_terminal
from tests.support.visitors import LIN, insured

TERMINAL = str(Path(sys.executable).parent / "shualian-terminal")


class Heard(Reporter):
    """A reporter that remembers."""

    def __init__(self) -> None:
        super().__init__(as_json=True)
        self.events: list[tuple[str, dict[str, Any]]] = []

    def event(self, name: str, **fields: object) -> None:
        """Remember one event."""
        self.events.append((name, dict(fields)))

    @property
    def names(self) -> list[str]:
        """What happened, in order."""
        return [name for name, _ in self.events]

    def the(self, name: str) -> dict[str, Any]:
        """Return the fields of the newest event of a name."""
        return next(fields for found, fields in reversed(self.events) if found == name)


@dataclass(frozen=True, kw_only=True)
class Says:
    """An error to answer with; with a reason it carries google.rpc details, as the platform's own do."""

    code: grpc.StatusCode
    reason: str = ""
    retry_after: float | None = None
    fields: Sequence[str] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    domain: str = "shualian"
    cashier: str = ""
    after_doing: bool = False
    """Whether the platform does what is asked first: only its answer is lost."""

    def trailers(self) -> tuple[tuple[str, bytes], ...]:
        """Return the error's details as they travel."""
        if not self.reason:
            return ()
        details: list[Message] = [
            RequestInfo(request_id="R-1"),
            ErrorInfo(reason=self.reason, domain=self.domain, metadata=self.metadata),
        ]
        if self.retry_after is not None:
            details.append(RetryInfo(retry_delay=_duration(self.retry_after)))
        if self.cashier:
            details.append(LocalizedMessage(locale="zh-CN", message=self.cashier))
        if self.fields:
            wrong = [BadRequest.FieldViolation(field=name, description="wrong") for name in self.fields]
            details.append(BadRequest(field_violations=wrong))
        packed = [Detail() for _ in details]
        for box, detail in zip(packed, details, strict=True):
            box.Pack(detail)
        status = Status(code=self.code.value[0], message="a public sentence", details=packed)
        return (("grpc-status-details-bin", status.SerializeToString()),)

    async def abort(self, context: Any) -> None:  # noqa: ANN401  # grpc's own, untyped
        """Answer with it."""
        await context.abort(self.code, "a public sentence", self.trailers())


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromTimedelta(timedelta(seconds=seconds))
    return duration


Handlers = Mapping[str, Callable[[bytes, Any], Awaitable[bytes]]]


@asynccontextmanager
async def a_server(
    service: str, handlers: Handlers, *, beside: Mapping[str, Handlers] = MappingProxyType({})
) -> AsyncIterator[grpc.aio.Channel]:
    """Run a real gRPC server with these methods, and other services beside, on a free port; yield a channel to it."""
    server = grpc.aio.server()
    for name, of_it in {service: handlers, **beside}.items():
        methods = {method: grpc.unary_unary_rpc_method_handler(handler) for method, handler in of_it.items()}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, methods),))
    async with channel_to(server) as channel:
        yield channel


@pytest.fixture
def heard() -> Heard:
    """Return a reporter that remembers."""
    return Heard()


@dataclass(frozen=True, kw_only=True)
class Finished:
    """How `shualian-terminal` ended, as a process of its own."""

    code: int
    events: list[dict[str, Any]]

    @property
    def names(self) -> list[str]:
        """What happened, in order."""
        return [event["event"] for event in self.events]

    def the(self, name: str) -> dict[str, Any]:
        """Return the newest event of a name."""
        return next(event for event in reversed(self.events) if event["event"] == name)


async def left(*arguments: str | Path, typed: str = "", stop_after: str = "") -> Finished:
    """Run a verb to its end; with `stop_after`, end it by SIGTERM once that has happened."""
    process = await asyncio.create_subprocess_exec(
        TERMINAL, *map(str, arguments), "--json", stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    assert process.stdin
    assert process.stdout
    assert process.stderr
    events: list[dict[str, Any]] = []
    try:
        process.stdin.write(typed.encode())
        process.stdin.close()
        async with asyncio.timeout(85):
            async for line in process.stdout:
                events.append(json.loads(line))
                if events[-1]["event"] == stop_after:
                    process.terminate()
            complaints = await process.stderr.read()
            code = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert b"Traceback" not in complaints, complaints.decode()
    return Finished(code=code, events=events)


@dataclass(frozen=True, kw_only=True)
class Box:
    """A terminal of ours that the platform knows."""

    running: RunningPlatform
    folder: Folder
    terminal_id: str

    @property
    def address(self) -> str:
        """Where it connects."""
        return self.running.ready.terminal

    @property
    def at(self) -> tuple[str | Path, ...]:
        """Options of every verb."""
        return ("--platform", self.address, "--state", self.folder.path)

    async def revoke(self) -> None:
        """Withdraw its certificate."""
        registry = self.running.domain.registry
        await self.running.write(
            lambda connection: registry.revoke(connection, terminal_id=self.terminal_id, reason="lost", actor=ACTOR)
        )


async def a_token(running: RunningPlatform, terminal: Terminal) -> str:
    """Return a one-time token for a registered terminal."""
    issued = await running.write(
        lambda connection: running.domain.registry.issue_token(
            connection, terminal_id=terminal.terminal_id, actor=ACTOR
        )
    )
    return issued.token


@pytest.fixture
async def running() -> AsyncIterator[RunningPlatform]:
    """Run a platform with money in the pooled fund and one insured person."""
    async with a_platform() as platform:
        fund = Account(kind=AccountKind.POOLED_FUND, owner="330100")
        await platform.write(
            lambda connection: platform.domain.ledger.fund(connection, fund, amount_fen=10_000_000, reference="test")
        )
        await insured(platform, LIN)
        yield platform


@pytest.fixture
async def box(running: RunningPlatform, tmp_path: Path) -> Box:
    """Enroll a terminal."""
    terminal = await a_registered_terminal(running)
    folder = Folder(path=tmp_path / "state")
    await enroll(
        folder,
        address=running.ready.enrollment,
        serial_number=terminal.serial_number,
        token=await a_token(running, terminal),
        roots_pem=running.root_pem,
    )
    return Box(running=running, folder=folder, terminal_id=terminal.terminal_id)
