"""The log of revocations and its witness, as the security team asks for them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from itertools import islice

from sqlalchemy import Connection

from device_registry.authority.issuer_states import IssuerState
from device_registry.revocation.revocation_log import Revocations
from device_registry.revocation.revoked import Revocation, RevocationKind
from device_registry.revocation.testimony import Testimony, WitnessReport
from server.administration.caller import current_operator
from server.interceptors.chain import Context
from server.refusals import LocalOnlyError
from server.services.admin import convert
from server.store import WALK_PATIENCE, UnitOfWork
from server.wiring import Domain
from shualian.admin.v1 import revocation_pb2 as pb
from shualian.admin.v1 import revocation_pb2_grpc

PAGE = 500
"""Entries read at once, so that a long list lets others have their turn."""
PAGE_PATIENCE = timedelta(seconds=30)
"""How long a page, or the comparison after a change, waits for somebody's walk: what has begun is not given up."""


class RevocationService(revocation_pb2_grpc.RevocationServiceServicer):
    """RevocationService."""

    def __init__(self, *, domain: Domain, unit_of_work: UnitOfWork) -> None:
        self._revocations: Revocations = domain.revocations
        self._restoration = domain.restoration
        self._issuers = domain.issuers
        self._path = domain.config.witness
        self._unit_of_work = unit_of_work

    async def ListRevocations(
        self, request: pb.ListRevocationsRequest, _context: Context
    ) -> AsyncIterator[pb.ListRevocationsResponse]:
        """Stream the log."""
        after, left = request.after, request.limit or None
        while True:
            size = PAGE if left is None else min(PAGE, left)
            page = await self._unit_of_work.walk(self._page(after, size), patience=PAGE_PATIENCE)
            for entry in page:
                yield pb.ListRevocationsResponse(revocation=_revocation(entry))
            left = None if left is None else left - len(page)
            if not page or left == 0:
                return
            after = page[-1].entry_id

    async def VerifyWitness(self, _request: pb.VerifyWitnessRequest, _context: Context) -> pb.VerifyWitnessResponse:
        """Compare both from the beginning."""
        return pb.VerifyWitnessResponse(witness=await self._compared(patience=WALK_PATIENCE))

    async def Reapply(self, request: pb.ReapplyRequest, _context: Context) -> pb.ReapplyResponse:
        """Apply again what a restored database forgot."""
        caller = current_operator()
        witnessed = await asyncio.to_thread(self._restoration.witnessed)
        restored = await self._unit_of_work.write(
            lambda connection: self._restoration.reapply(
                connection, witnessed, reason=request.reason, actor=caller.actor, request_id=caller.request_id
            )
        )
        await self._unit_of_work.walk(self._testimony().keep, patience=PAGE_PATIENCE)
        overview = await self._unit_of_work.read(self._issuers.overview)
        return pb.ReapplyResponse(
            witness=await self._compared(),
            issuer_missing=all(use.issuer.state is not IssuerState.ACTIVE for use in overview.uses),
            taken_over=restored.taken_over,
            terminals_moved=restored.terminals_moved,
            certificates_revoked=restored.certificates_revoked,
            unknown=restored.unknown,
            appended_again=restored.appended_again,
        )

    async def RebuildWitness(self, request: pb.RebuildWitnessRequest, _context: Context) -> pb.RebuildWitnessResponse:
        """Write the witness anew: it may make a rollback permanent, so nobody does it from afar."""
        caller = current_operator()
        if not caller.is_local:
            raise LocalOnlyError
        await self._unit_of_work.write(
            lambda connection: self._restoration.note_rebuild(
                connection, reason=request.reason, actor=caller.actor, request_id=caller.request_id
            )
        )
        await self._unit_of_work.walk(self._restoration.rebuild_witness, patience=PAGE_PATIENCE)
        return pb.RebuildWitnessResponse(witness=await self._compared())

    async def _compared(self, *, patience: timedelta = PAGE_PATIENCE) -> pb.Witness:
        report: WitnessReport = await self._unit_of_work.walk(self._testimony().compare, patience=patience)
        return pb.Witness(
            state=convert.enum_of(pb.WitnessState, "WITNESS_STATE", report.state),
            witness_entries=report.witness_entries,
            database_entries=report.database_entries,
            agree_until=report.agree_until,
            path=str(self._path),
        )

    def _testimony(self) -> Testimony:
        testimony = self._revocations.testimony
        if testimony is None:
            raise RuntimeError("a platform keeps a witness")
        return testimony

    def _page(self, after: int, size: int) -> Callable[[Connection], list[Revocation]]:
        return lambda connection: list(islice(self._revocations.entries(connection, after=after), size))


def _revocation(entry: Revocation) -> pb.Revocation:
    return pb.Revocation(
        entry_id=entry.entry_id,
        recorded_at=convert.when(entry.at),
        kind=convert.enum_of(pb.RevocationKind, "REVOCATION_KIND", RevocationKind(entry.kind)),
        subject=entry.subject,
        code=entry.code,
        serial_number=entry.serial_number,
        factory_key_sha256=entry.factory_key_sha256,
        issuer_id=entry.issuer_id,
        certificate_serial=entry.certificate_serial,
        fingerprint=entry.fingerprint,
        entry_hash=entry.entry_hash,
    )
