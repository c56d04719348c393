"""Electronic credentials, as gRPC asks for them."""

import asyncio
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import segno
from prometheus_client import Counter

from monitoring.metrics import Metrics
from server import convert
from server.caller import current_caller
from server.credentials.desk import CredentialDesk, Relative
from server.credentials.errors import CredentialError
from server.credentials.holder import ByCard, ByFace, HolderProof
from server.credentials.relatives import FamilyDesk, Wish
from server.interceptors.chain import Context
from shualian.terminal.v1 import credential_pb2, credential_pb2_grpc

QR_PIXELS_A_MODULE: Final = 4
"""An SVG has no pixels of its own; this is the size at which it is drawn when nobody scales it."""


class CredentialService(credential_pb2_grpc.CredentialServiceServicer):
    """CredentialService: activated, shown as a code, shared with relatives, ended."""

    def __init__(self, *, desk: CredentialDesk, family: FamilyDesk, metrics: Metrics) -> None:
        self._desk = desk
        self._family = family
        self._metrics = metrics

    async def Activate(
        self, request: credential_pb2.ActivateRequest, _context: Context
    ) -> credential_pb2.ActivateResponse:
        """Activate the credential of somebody whose face was compared with the register's portrait."""
        with self._counted(self._metrics.activations, "REFUSED"):
            done = await self._desk.activate(
                current_caller(),
                request_id=request.request_id,
                assertion=request.face_assertion,
                pin=request.pin or None,
            )
        outcome = "UNCHANGED" if done.is_repeated else "REISSUED" if done.is_reissued else "ACTIVATED"
        self._metrics.activations.labels(outcome).inc()
        return credential_pb2.ActivateResponse(
            credential_id=done.credential_id,
            masked_name=done.masked_name,
            activated_at=convert.timestamp(done.activated_at),
            is_reissued=done.is_reissued,
        )

    async def IssueCode(
        self, request: credential_pb2.IssueCodeRequest, _context: Context
    ) -> credential_pb2.IssueCodeResponse:
        """Make a code for the holder."""
        with self._counted(self._metrics.codes, "ISSUE_REFUSED"):
            issued = await self._desk.issue_code(current_caller(), _proof(request.proof))
        picture = await asyncio.to_thread(_qr_svg, issued.code)
        self._metrics.codes.labels("ISSUED").inc()
        return credential_pb2.IssueCodeResponse(
            code=issued.code, expires_at=convert.timestamp(issued.expires_at), qr_svg=picture
        )

    async def ResolveCode(
        self, request: credential_pb2.ResolveCodeRequest, _context: Context
    ) -> credential_pb2.ResolveCodeResponse:
        """Say whose a scanned code is, without using it up."""
        with self._counted(self._metrics.codes, "RESOLVE_REFUSED"):
            found = await self._desk.resolve_code(request.code)
        self._metrics.codes.labels("RESOLVED").inc()
        return credential_pb2.ResolveCodeResponse(
            masked_name=found.masked_name,
            pin_free_limit_fen=found.pin_free_limit_fen,
            expires_at=convert.timestamp(found.expires_at),
            relatives=[_relative(relative) for relative in found.relatives],
        )

    async def Unbind(self, request: credential_pb2.UnbindRequest, _context: Context) -> credential_pb2.UnbindResponse:
        """End the holder's credential."""
        with self._counted(self._metrics.credentials_ended, "REFUSED"):
            ended_at = await self._desk.end(current_caller(), _proof(request.proof))
        self._metrics.credentials_ended.labels("ENDED").inc()
        return credential_pb2.UnbindResponse(ended_at=convert.timestamp(ended_at))

    async def BindRelative(
        self, request: credential_pb2.BindRelativeRequest, _context: Context
    ) -> credential_pb2.BindRelativeResponse:
        """Let the holder's credential pay for a relative."""
        wish = Wish(
            request_id=request.request_id,
            holder=_proof(request.holder),
            id_number=request.relative.id_number,
            name=request.relative.name,
            relative_assertion=request.relative_face_assertion,
        )
        with self._counted(self._metrics.family_bindings, "BIND_REFUSED"):
            bound = await self._family.bind(current_caller(), wish)
        self._metrics.family_bindings.labels("BOUND").inc()
        return credential_pb2.BindRelativeResponse(relative=_relative(bound))

    async def ListRelatives(
        self, request: credential_pb2.ListRelativesRequest, _context: Context
    ) -> credential_pb2.ListRelativesResponse:
        """List whom the holder's credential pays for."""
        found = await self._family.list(current_caller(), _proof(request.holder))
        return credential_pb2.ListRelativesResponse(relatives=[_relative(relative) for relative in found])

    async def UnbindRelative(
        self, request: credential_pb2.UnbindRelativeRequest, _context: Context
    ) -> credential_pb2.UnbindRelativeResponse:
        """End a binding on the word of either side."""
        with self._counted(self._metrics.family_bindings, "UNBIND_REFUSED"):
            ended_at = await self._family.unbind(
                current_caller(), _proof(request.proof), binding_id=request.binding_id.lower()
            )
        self._metrics.family_bindings.labels("UNBOUND").inc()
        return credential_pb2.UnbindRelativeResponse(ended_at=convert.timestamp(ended_at))

    @contextmanager
    def _counted(self, counter: Counter, refused: str) -> Iterator[None]:
        try:
            yield
        except CredentialError:
            counter.labels(refused).inc()
            raise


def _proof(message: credential_pb2.HolderProof) -> HolderProof:
    """Return what shows that somebody is here; protovalidate knows that it is one of the two."""
    if message.WhichOneof("method") == "card":
        return ByCard(card_number=message.card.card_number, pin=message.card.pin)
    return ByFace(assertion=message.face_assertion)


def _relative(record: Relative) -> credential_pb2.Relative:
    return credential_pb2.Relative(
        binding_id=record.binding_id, masked_name=record.masked_name, bound_at=convert.timestamp(record.bound_at)
    )


def _qr_svg(code: str) -> bytes:
    """Return a code as a QR picture; error correction M, for a screen that is scratched or reflects."""
    drawn = io.BytesIO()
    segno.make_qr(code, error="m").save(drawn, kind="svg", scale=QR_PIXELS_A_MODULE)
    return drawn.getvalue()
