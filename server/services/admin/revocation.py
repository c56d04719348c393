"""The log of revocations and its witness, as the security team asks for them."""

from collections.abc import AsyncIterator, Callable
from itertools import islice

from sqlalchemy import Connection

from device_registry.revocation.revocation_log import Revocations
from device_registry.revocation.revoked import Revocation, RevocationKind
from device_registry.revocation.testimony import Testimony, WitnessReport
from server.administration.caller import current_operator
from server.interceptors.chain import Context
from server.services.admin import convert
from server.store import UnitOfWork
from server.wiring import Domain
from shualian.admin.v1 import revocation_pb2 as pb
from shualian.admin.v1 import revocation_pb2_grpc

PAGE = 500
"""Entries read at once, so that a long list holds no reader for long."""


class RevocationService(revocation_pb2_grpc.RevocationServiceServicer):
    """RevocationService."""

    def __init__(self, *, domain: Domain, unit_of_work: UnitOfWork) -> None:
        self._revocations: Revocations = domain.revocations
        self._restoration = domain.restoration
        self._path = domain.config.witness
        self._unit_of_work = unit_of_work

    async def ListRevocations(
        self, request: pb.ListRevocationsRequest, _context: Context
    ) -> AsyncIterator[pb.ListRevocationsResponse]:
        """Stream the log."""
        after, left = request.after, request.limit or None
        while True:
            page = await self._unit_of_work.read(self._page(after, PAGE if left is None else min(PAGE, left)))
            for entry in page:
                yield pb.ListRevocationsResponse(revocation=_revocation(entry))
            left = None if left is None else left - len(page)
            if not page or left == 0:
                return
            after = page[-1].entry_id

    async def VerifyWitness(self, _request: pb.VerifyWitnessRequest, _context: Context) -> pb.VerifyWitnessResponse:
        """Compare both from the beginning."""
        return pb.VerifyWitnessResponse(witness=await self._compared())

    async def Reapply(self, request: pb.ReapplyRequest, _context: Context) -> pb.ReapplyResponse:
        """Apply again what a restored database forgot."""
        caller = current_operator()
        _, restored = await self._unit_of_work.write(
            lambda connection: self._restoration.reapply(
                connection, reason=request.reason, actor=caller.actor, request_id=caller.request_id
            )
        )
        await self._unit_of_work.read(self._testimony().keep)
        return pb.ReapplyResponse(
            witness=await self._compared(),
            taken_over=restored.taken_over,
            terminals_moved=restored.terminals_moved,
            certificates_revoked=restored.certificates_revoked,
            unknown=restored.unknown,
            appended_again=restored.appended_again,
        )

    async def RebuildWitness(self, request: pb.RebuildWitnessRequest, _context: Context) -> pb.RebuildWitnessResponse:
        """Write the witness anew."""
        caller = current_operator()
        await self._unit_of_work.write(
            lambda connection: self._restoration.rebuild_witness(
                connection, reason=request.reason, actor=caller.actor, request_id=caller.request_id
            )
        )
        return pb.RebuildWitnessResponse(witness=await self._compared())

    async def _compared(self) -> pb.Witness:
        report: WitnessReport = await self._unit_of_work.read(self._testimony().compare)
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
