"""What does a person pay with? A card and its PIN, a code; or a face, and beside it a PIN or somebody of the staff."""

from dataclasses import dataclass, field, replace

from grpc import aio

from mock_terminal.client import CALL_SECONDS_MAX, call
from mock_terminal.errors import NoAssertionError
from mock_terminal.eye import Eye
from mock_terminal.face import authenticate
from mock_terminal.report import Reporter
from mock_terminal.sitting import Practitioner, Sitting
from shualian.terminal.v1 import credential_pb2, credential_pb2_grpc, face_pb2, settlement_pb2


@dataclass(frozen=True, slots=True, kw_only=True)
class ByCard:
    """A card with its PIN: nothing has to be asked."""

    card: settlement_pb2.CardAuthorization = field(repr=False)

    async def authorization(
        self, _channel: aio.Channel, _bill: settlement_pb2.Bill, _report: Reporter
    ) -> settlement_pb2.Authorization:
        """Return what the bill is paid with."""
        return settlement_pb2.Authorization(card=self.card)


@dataclass(frozen=True, slots=True, kw_only=True)
class ByCode:
    """A dynamic code that was scanned, from whatever showed it."""

    code: str = field(repr=False)
    pin: str = field(default="", repr=False)

    async def authorization(
        self, channel: aio.Channel, bill: settlement_pb2.Bill, report: Reporter
    ) -> settlement_pb2.Authorization:
        """Ask whose it is, as a cashier does before the bill; return what the bill is paid with.

        Raises:
            PlatformRefusedError: it is good for nothing.
        """
        stub = credential_pb2_grpc.CredentialServiceStub(channel)
        request = credential_pb2.ResolveCodeRequest(code=self.code, business_type=bill.business_type)
        found = await call(lambda: stub.ResolveCode(request, timeout=CALL_SECONDS_MAX))
        report.event(
            "code_resolved",
            person=found.masked_name,
            pin_free_limit_fen=found.pin_free_limit_fen,
            relatives=len(found.relatives),
        )
        return settlement_pb2.Authorization(code=settlement_pb2.CodeAuthorization(code=self.code, pin=self.pin))


@dataclass(frozen=True, slots=True, kw_only=True)
class ByFace:
    """A face before the cameras."""

    patient: Sitting
    pin: str = field(default="", repr=False)
    staff: Sitting | None = None
    """Who confirms in the place of the PIN."""

    async def authorization(
        self, channel: aio.Channel, bill: settlement_pb2.Bill, report: Reporter
    ) -> settlement_pb2.Authorization:
        """Hold a session, and one of the staff where it must be and may; return what the bill is paid with.

        Raises:
            NoAssertionError: one of the two was not let through.
        """
        decision = await authenticate(channel, self.patient, report)
        face = settlement_pb2.FaceAuthorization(assertion=_assertion(decision), pin=self.pin)
        above = bill.total_fen > decision.pin_free_limit_fen
        if self.staff is not None and decision.staff_may_confirm and above:
            report.event("staff_asked", pin_free_limit_fen=decision.pin_free_limit_fen)
            face.staff_assertion = _assertion(await authenticate(channel, self.staff, report))
        return settlement_pb2.Authorization(face=face)


async def code_for(channel: aio.Channel, card: settlement_pb2.CardAuthorization) -> str:
    """Return a dynamic code that the platform makes for a card's holder.

    Raises:
        PlatformRefusedError, UnreachableError: there is none.
    """
    stub = credential_pb2_grpc.CredentialServiceStub(channel)
    proof = credential_pb2.HolderProof(card=credential_pb2.CardProof(card_number=card.card_number, pin=card.pin))
    request = credential_pb2.IssueCodeRequest(proof=proof)
    issued = await call(lambda: stub.IssueCode(request, timeout=CALL_SECONDS_MAX))
    return issued.code


def confirming(patient: Sitting, practitioner: Practitioner, eye: Eye) -> Sitting:
    """Return the session of somebody of the staff who confirms a patient's payment at the same terminal."""
    return replace(patient, who=practitioner, eye=eye, amount_fen=0, cannot_move=False, consents=True)


def _assertion(decision: face_pb2.Decision) -> str:
    if not decision.assertion:
        raise NoAssertionError(decision)
    return decision.assertion
