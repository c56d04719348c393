"""The audit log and its checkpoints, as operators and auditors ask for them."""

from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, replace
from datetime import timedelta

from sqlalchemy import Connection

from device_registry.audit.checkpoints import Checkpoint, Checkpoints
from device_registry.audit.log import AuditEntry, AuditFilter, AuditLog
from server.administration.caller import current_operator
from server.interceptors.chain import Context
from server.live.checkpoints import CheckpointKeeper
from server.services.admin import convert
from server.store import UnitOfWork
from server.wiring import Domain
from shualian.admin.v1 import audit_pb2 as pb
from shualian.admin.v1 import audit_pb2_grpc

PAGE = 500
"""Entries read at once, so that a long export lets others have their turn."""
PAGE_PATIENCE = timedelta(seconds=30)
"""How long a page waits for somebody's walk: an export that has begun is not given up for it."""
CHECKPOINTS_SHOWN = 100


class AuditService(audit_pb2_grpc.AuditServiceServicer):
    """AuditService."""

    def __init__(self, *, domain: Domain, unit_of_work: UnitOfWork) -> None:
        self._audit: AuditLog = domain.audit
        self._checkpoints: Checkpoints = domain.checkpoints
        self._keeper = CheckpointKeeper(
            unit_of_work=unit_of_work,
            checkpoints=domain.checkpoints,
            now=domain.now,
            every=domain.config.registry.checkpoint_interval,
        )
        self._unit_of_work = unit_of_work

    async def ListEntries(
        self, request: pb.ListEntriesRequest, _context: Context
    ) -> AsyncIterator[pb.ListEntriesResponse]:
        """Stream what was asked for, page by page."""
        where, left = _filter(request), request.limit or None
        while True:
            size = PAGE if left is None else min(PAGE, left)
            # A filter may have to look at every entry for a single page of them.
            page = await self._unit_of_work.walk(self._page(replace(where, limit=size)), patience=PAGE_PATIENCE)
            for entry in page:
                yield pb.ListEntriesResponse(entry=pb.AuditEntry(**asdict(entry)))
            left = None if left is None else left - len(page)
            if len(page) < size or left == 0:
                return
            last = page[-1].entry_id
            where = replace(where, before=last) if where.newest_first else replace(where, after=last)

    async def Verify(self, request: pb.VerifyRequest, _context: Context) -> pb.VerifyResponse:
        """Walk the chain."""
        report, known = await self._unit_of_work.walk(
            lambda connection: self._checkpoints.verify(connection, token=request.checkpoint or None)
        )
        return pb.VerifyResponse(
            ok=report.broken_at is None,
            entries=report.entries,
            head=report.head,
            broken_at=report.broken_at or 0,
            detail=report.detail,
            checkpoint=_checkpoint(known) if known is not None else None,
        )

    async def CreateCheckpoint(
        self, request: pb.CreateCheckpointRequest, _context: Context
    ) -> pb.CreateCheckpointResponse:
        """Sign the log."""
        caller = current_operator()
        made = await self._keeper.make(
            reason=request.reason, actor=caller.actor, request_id=caller.request_id, anew=request.after_restore
        )
        return pb.CreateCheckpointResponse(checkpoint=_checkpoint(made))

    async def ListCheckpoints(
        self, request: pb.ListCheckpointsRequest, _context: Context
    ) -> pb.ListCheckpointsResponse:
        """List the checkpoints."""
        limit = request.limit or CHECKPOINTS_SHOWN
        found = await self._unit_of_work.read(lambda connection: self._checkpoints.all(connection, limit=limit))
        return pb.ListCheckpointsResponse(
            checkpoints=[_checkpoint(checkpoint) for checkpoint in found],
            public_key_pem=self._checkpoints.public_key_pem.decode(),
        )

    def _page(self, where: AuditFilter) -> Callable[[Connection], list[AuditEntry]]:
        return lambda connection: list(self._audit.entries(connection, where))


def _filter(request: pb.ListEntriesRequest) -> AuditFilter:
    return AuditFilter(
        since=convert.moment(request.since) if request.HasField("since") else None,
        until=convert.moment(request.until) if request.HasField("until") else None,
        actor=request.actor,
        action=request.action,
        subject=request.subject,
        newest_first=request.newest_first,
    )


def _checkpoint(record: Checkpoint) -> pb.Checkpoint:
    return pb.Checkpoint(
        checkpoint_id=record.checkpoint_id,
        entries=record.entries,
        head=record.head,
        made_at=convert.when(record.at),
        token=record.token,
    )
