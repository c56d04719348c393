"""Rollouts and the forecast, as operators ask for them."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

from sqlalchemy import Connection

from device_registry.rollouts.forecast import HORIZON
from device_registry.rollouts.rollout_records import MemberState, Rollout
from server.administration.caller import current_operator
from server.interceptors.chain import Context
from server.services.admin import convert, rollout_records
from server.store import UnitOfWork
from server.wiring import Domain
from shualian.admin.v1 import rollout_pb2 as pb
from shualian.admin.v1 import rollout_pb2_grpc

LIMIT = 100
PAGE_SIZE = 1_000
PATIENCE = timedelta(seconds=10)
"""How long a rollout waits for somebody else's walk through a table before its members are chosen."""

Decision = pb.PauseRolloutRequest | pb.ResumeRolloutRequest | pb.CancelRolloutRequest


class RolloutService(rollout_pb2_grpc.RolloutServiceServicer):
    """RolloutService."""

    def __init__(self, *, domain: Domain, unit_of_work: UnitOfWork) -> None:
        self._rollouts = domain.rollouts
        self._forecasts = domain.forecasts
        self._unit_of_work = unit_of_work

    async def StartRollout(self, request: pb.StartRolloutRequest, _context: Context) -> pb.StartRolloutResponse:
        """Choose the terminals and begin."""
        caller = current_operator()
        plan = rollout_records.plan_of(request.plan)
        choice = await self._unit_of_work.walk(
            partial(self._rollouts.choose, plan=plan, idempotency_key=request.idempotency_key), patience=PATIENCE
        )

        def start(connection: Connection) -> pb.Rollout:
            started = self._rollouts.start(
                connection,
                plan,
                choice=choice,
                reason=request.reason,
                idempotency_key=request.idempotency_key,
                actor=caller.actor,
                request_id=caller.request_id,
            )
            return self._shown(connection, started)

        return pb.StartRolloutResponse(rollout=await self._unit_of_work.write(start))

    async def PauseRollout(self, request: pb.PauseRolloutRequest, _context: Context) -> pb.PauseRolloutResponse:
        """Pause a rollout."""
        return pb.PauseRolloutResponse(rollout=await self._decided(self._rollouts.pause, request))

    async def ResumeRollout(self, request: pb.ResumeRolloutRequest, _context: Context) -> pb.ResumeRolloutResponse:
        """Resume a rollout."""
        return pb.ResumeRolloutResponse(rollout=await self._decided(self._rollouts.resume, request))

    async def CancelRollout(self, request: pb.CancelRolloutRequest, _context: Context) -> pb.CancelRolloutResponse:
        """End a rollout for good."""
        return pb.CancelRolloutResponse(rollout=await self._decided(self._rollouts.cancel, request))

    async def GetRollout(self, request: pb.GetRolloutRequest, _context: Context) -> pb.GetRolloutResponse:
        """Show a rollout."""

        def read(connection: Connection) -> pb.Rollout:
            return self._shown(connection, self._rollouts.find(connection, request.rollout_id))

        return pb.GetRolloutResponse(rollout=await self._unit_of_work.read(read))

    async def ListRollouts(self, request: pb.ListRolloutsRequest, _context: Context) -> pb.ListRolloutsResponse:
        """List the newest rollouts."""

        def read(connection: Connection) -> list[pb.Rollout]:
            newest = self._rollouts.newest(connection, limit=request.limit or LIMIT)
            return [self._shown(connection, rollout) for rollout in newest]

        return pb.ListRolloutsResponse(rollouts=await self._unit_of_work.read(read))

    async def ListMembers(self, request: pb.ListMembersRequest, _context: Context) -> pb.ListMembersResponse:
        """List a rollout's terminals."""
        size = request.page_size or PAGE_SIZE
        members = await self._unit_of_work.read(
            lambda connection: self._rollouts.members(
                connection,
                request.rollout_id,
                state=convert.word_of(pb.MemberState, "MEMBER_STATE", request.state, MemberState),
                after=int(request.page_token) if request.page_token else -1,
                limit=size,
            )
        )
        return pb.ListMembersResponse(
            members=map(rollout_records.member, members),
            next_page_token=str(members[-1].place) if len(members) == size else "",
        )

    async def Forecast(self, request: pb.ForecastRequest, _context: Context) -> pb.ForecastResponse:
        """Say which terminals will miss their rotation."""
        horizon = request.horizon.ToTimedelta() if request.HasField("horizon") else HORIZON
        forecast = await self._unit_of_work.walk(lambda connection: self._forecasts.take(connection, horizon=horizon))
        return rollout_records.forecast(forecast, limit=request.limit or LIMIT)

    async def _decided(self, decide: Callable[..., Rollout], request: Decision) -> pb.Rollout:
        caller = current_operator()

        def work(connection: Connection) -> pb.Rollout:
            decided = decide(
                connection,
                rollout_id=request.rollout_id,
                reason=request.reason,
                actor=caller.actor,
                request_id=caller.request_id,
            )
            return self._shown(connection, decided)

        return await self._unit_of_work.write(work)

    def _shown(self, connection: Connection, rollout: Rollout) -> pb.Rollout:
        return rollout_records.rollout(rollout, self._rollouts.progress(connection, rollout))
