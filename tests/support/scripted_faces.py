"""A platform that holds face sessions by a script, and a terminal's eye whose pictures are a few bytes."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import grpc

from mock_terminal.capture import colour, depth, infrared
from mock_terminal.scenes import Size
from shualian.terminal.v1 import face_pb2, face_pb2_grpc
from tests.support.loopback import channel_to

SESSION = "019a9d5e-7c1b-7000-8000-000000000001"
NONCE = bytes(32)
MATCHED = face_pb2.Decision(outcome=face_pb2.DECISION_OUTCOME_MATCHED, assertion="a.b.c", pin_free_limit_fen=10_000)
REFUSED = face_pb2.Decision(outcome=face_pb2.DECISION_OUTCOME_SPOOF_SUSPECTED)


@dataclass(kw_only=True)
class Album:
    """An eye with three cameras, whose pictures are a few bytes."""

    size: Size = (640, 480)
    beside: Sequence[face_pb2.Modality.ValueType] = (face_pb2.MODALITY_NIR, face_pb2.MODALITY_DEPTH)
    heard: list[face_pb2.Hint.ValueType] = field(default_factory=list)

    def told(self, hint: face_pb2.Hint.ValueType) -> None:
        """Remember it."""
        self.heard.append(hint)

    def pictures(self, t: float) -> Sequence[face_pb2.Picture]:
        """Return one of each."""
        return [colour(b"red %f" % t), infrared(b"infra"), depth(b"deep")]


class Refusal(Protocol):
    """An error to end with."""

    async def abort(self, context: Any) -> None:  # noqa: ANN401  # gRPC's own, untyped
        """End the call with it."""


@dataclass(kw_only=True)
class Platform(face_pb2_grpc.FaceServiceServicer):
    """Takes some frames, then says each line of its script and, where that asks for an answer, waits for it."""

    frames_wanted: int = 3
    actions: Sequence[face_pb2.ChallengeAction.ValueType] = ()
    """What is asked in every session."""
    script: Sequence[face_pb2.AuthenticateResponse] = ()
    refusal: Refusal | None = None
    """How the call ends after the script, if not well."""
    opened: list[face_pb2.Start] = field(default_factory=list)
    frames: list[face_pb2.Frame] = field(default_factory=list)
    answers: list[face_pb2.AuthenticateRequest] = field(default_factory=list)

    async def Authenticate(  # type: ignore[override]  # gRPC's own name
        self,
        requests: AsyncIterator[face_pb2.AuthenticateRequest],
        context: Any,  # noqa: ANN401  # gRPC's own, untyped
    ) -> None:
        """Hold one session."""
        self.opened.append((await anext(requests)).start)
        await context.write(says(accepted=_accepted(self.actions)))
        for _ in range(self.frames_wanted):
            self.frames.append((await anext(requests)).frame)
        for line in self.script:
            await context.write(line)
            if line.WhichOneof("step") in {"seal_asked", "second_factor_asked"}:
                await self._answered(requests)
        if self.refusal is not None:
            await self.refusal.abort(context)

    async def _answered(self, requests: AsyncIterator[face_pb2.AuthenticateRequest]) -> None:
        async for request in requests:
            if request.WhichOneof("step") != "frame":
                self.answers.append(request)
                return
            self.frames.append(request.frame)


def _accepted(actions: Sequence[face_pb2.ChallengeAction.ValueType]) -> face_pb2.Accepted:
    return face_pb2.Accepted(
        session_id=SESSION,
        challenge=face_pb2.Challenge(nonce=NONCE, actions=actions),
        capture_profile=face_pb2.CaptureProfile(frames_per_second=100, frames_max=60),
    )


def says(**step: Any) -> face_pb2.AuthenticateResponse:  # noqa: ANN401  # any of the steps
    """Return one line of a script."""
    return face_pb2.AuthenticateResponse(**step)


@asynccontextmanager
async def before(platform: Platform) -> AsyncIterator[grpc.aio.Channel]:
    """Run a platform on a free port; yield a channel to it."""
    server = grpc.aio.server()
    face_pb2_grpc.add_FaceServiceServicer_to_server(platform, server)
    async with channel_to(server) as channel:
        yield channel
