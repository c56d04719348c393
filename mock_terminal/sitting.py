"""Who sits before which cameras, what for, and how the terminal opens a face session for them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from mock_terminal.eye import Eye
from shualian.terminal.v1 import face_pb2, types_pb2

CONSENT_TEXT: Final = "2026-1"
FRAMES_PER_SECOND: Final = 12

SecondFactors = Callable[[face_pb2.SecondFactorAsked], face_pb2.SecondFactor]
"""What a person says when the face alone does not tell who they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Who the person says to be."""

    id_number: str
    name: str

    def __repr__(self) -> str:
        """Say nothing of the person, wherever this ends up."""
        return "Claim(...)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Practitioner:
    """Staff who prove that they are themselves, and here."""

    code: str
    """In the national register of physicians and nurses."""
    location: types_pb2.Location


@dataclass(frozen=True, slots=True, kw_only=True)
class Anybody:
    """Somebody who does not say who they are: the platform finds out."""


def _now() -> datetime:
    return datetime.now(UTC)


def _whatever(_: face_pb2.Challenge) -> bool:
    return True


def _untouched(frame: face_pb2.Frame) -> face_pb2.Frame:
    return frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Sitting:
    """One person, or what pretends to be one, before one terminal."""

    who: Claim | Practitioner | Anybody
    eye: Eye
    business_type: types_pb2.BusinessType.ValueType
    sign: Callable[[bytes], bytes] = field(repr=False)
    """Signs the seal with the key of the connection's certificate; the key itself stays in the key store."""
    amount_fen: int = 0
    """The bill, if it is known by now."""
    cannot_move: bool = False
    """Said by the person or the staff: there is no challenge then."""
    consents: bool = True
    activates: bool = False
    """The claim is to be compared with the register, to activate a credential; else it is to pay or to prove."""
    second_factors: SecondFactors | None = None
    verdict: face_pb2.TerminalVerdict | None = None
    """What the terminal's own liveness check says, if it has one."""
    stays_for: Callable[[face_pb2.Challenge], bool] = _whatever
    """Whether it goes on with what is asked; an honest terminal always does."""
    clock: Callable[[], datetime] = _now
    """Stamps the pictures."""
    after_sealing: Callable[[face_pb2.Frame], face_pb2.Frame] = _untouched
    """What becomes of a frame between the seal and the wire: nothing, in an honest terminal."""


def opening(sitting: Sitting) -> face_pb2.Start:
    """Return the message that opens the session."""
    width, height = sitting.eye.size
    camera = face_pb2.CameraAbilities(
        width_px=width, height_px=height, frames_per_second=FRAMES_PER_SECOND, beside_colour=sitting.eye.beside
    )
    start = face_pb2.Start(
        business_type=sitting.business_type,
        consent=face_pb2.Consent(granted=sitting.consents, text_version=CONSENT_TEXT),
        camera=camera,
        amount_fen=sitting.amount_fen,
        cannot_move=sitting.cannot_move,
    )
    start.consent.given_at.FromDatetime(_now())
    match sitting.who:
        case Claim(id_number=id_number, name=name):
            start.purpose = face_pb2.PURPOSE_ACTIVATE if sitting.activates else face_pb2.PURPOSE_VERIFY
            start.claimed_identity.CopyFrom(types_pb2.ClaimedIdentity(id_number=id_number, name=name))
        case Practitioner(code=code, location=location):
            start.purpose, start.practitioner_code = face_pb2.PURPOSE_PRACTITIONER, code
            start.location.CopyFrom(location)
        case Anybody():
            start.purpose = face_pb2.PURPOSE_IDENTIFY
    return start
