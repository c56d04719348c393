"""One face session from the terminal's side: start, frames until there is a decision, guidance on the way."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from grpc import aio

from mock_terminal.camera import Camera, encode
from mock_terminal.client import final_from, refused_from
from mock_terminal.errors import UnreachableError
from mock_terminal.patient import Patient
from mock_terminal.report import Reporter
from shualian.terminal.v1 import face_pb2, face_pb2_grpc, types_pb2

CONSENT_TEXT = "2026-1"
SESSION_SECONDS_MAX = 90.0
FRAMES_PER_SECOND = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Who the person says to be."""

    id_number: str
    name: str

    def __repr__(self) -> str:
        """Say nothing of the person, wherever this ends up."""
        return "Claim(...)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sitting:
    """Who sits before which camera, and what for."""

    claim: Claim
    camera: Camera
    patient: Patient
    business_type: types_pb2.BusinessType.ValueType
    consents: bool = True


async def authenticate(channel: aio.Channel, sitting: Sitting, report: Reporter) -> face_pb2.Decision:
    """Hold one face session and return how it ended.

    Raises:
        PlatformRefusedError: the platform would not hold it.
        UnreachableError: it could not be reached, or fell silent.
    """
    stub = face_pb2_grpc.FaceServiceStub(channel)
    stream = stub.Authenticate(None)
    sending: asyncio.Task[None] | None = None
    try:
        async with asyncio.timeout(SESSION_SECONDS_MAX):
            await stream.write(face_pb2.AuthenticateRequest(start=_start(sitting)))
            async for answer in stream:
                match answer.WhichOneof("step"):
                    case "accepted":
                        report.event("accepted", **_accepted(answer.accepted))
                        sending = asyncio.create_task(_send_frames(stream, sitting, answer.accepted.capture_profile))
                    case "guidance":
                        sitting.patient.told(answer.guidance.hint)
                        report.event("guidance", **_guidance(answer.guidance))
                    case "decision":
                        report.event("decision", **_decision(answer.decision))
                        return answer.decision
    except aio.AioRpcError as error:
        raise final_from(refused_from(error)) from error
    except TimeoutError:
        raise UnreachableError("the platform fell silent in the middle of a face session") from None
    finally:
        if sending is not None:
            sending.cancel()
            with suppress(asyncio.CancelledError, aio.AioRpcError, asyncio.InvalidStateError):
                await sending
        stream.cancel()
    raise UnreachableError("the platform ended the face session without a decision")


async def _send_frames(
    stream: "aio.StreamStreamCall[face_pb2.AuthenticateRequest, face_pb2.AuthenticateResponse]",
    sitting: Sitting,
    profile: face_pb2.CaptureProfile,
) -> None:
    """Send frames at the pace the platform asked for, until cancelled or all are sent."""
    pace = 1 / max(1, min(profile.frames_per_second, FRAMES_PER_SECOND))
    began = time.monotonic()
    for sequence in range(1, profile.frames_max + 1):
        t = time.monotonic() - began
        picture = await asyncio.to_thread(sitting.camera.frame, t, sitting.patient.yaw(t))
        colour = face_pb2.Picture(
            modality=face_pb2.MODALITY_RGB, encoding=face_pb2.ENCODING_JPEG, data=encode(picture)
        )
        frame = face_pb2.Frame(sequence=sequence, pictures=[colour])
        frame.captured_at.FromDatetime(datetime.now(UTC))
        await stream.write(face_pb2.AuthenticateRequest(frame=frame))
        await asyncio.sleep(max(0.0, began + sequence * pace - time.monotonic()))


def _start(sitting: Sitting) -> face_pb2.Start:
    width, height = sitting.camera.size
    start = face_pb2.Start(
        purpose=face_pb2.PURPOSE_VERIFY,
        business_type=sitting.business_type,
        claimed_identity=types_pb2.ClaimedIdentity(id_number=sitting.claim.id_number, name=sitting.claim.name),
        consent=face_pb2.Consent(granted=sitting.consents, text_version=CONSENT_TEXT),
        camera=face_pb2.CameraAbilities(width_px=width, height_px=height, frames_per_second=FRAMES_PER_SECOND),
    )
    start.consent.given_at.FromDatetime(datetime.now(UTC))
    return start


def _accepted(accepted: face_pb2.Accepted) -> dict[str, object]:
    actions = [
        face_pb2.ChallengeAction.Name(action).removeprefix("CHALLENGE_ACTION_") for action in accepted.challenge.actions
    ]
    return {"session_id": accepted.session_id, "actions": actions}


def _guidance(guidance: face_pb2.Guidance) -> dict[str, object]:
    return {
        "hint": face_pb2.Hint.Name(guidance.hint).removeprefix("HINT_"),
        "action_index": guidance.action_index,
        "action_progress": round(guidance.action_progress, 2) + 0.0,  # minus zero becomes zero
    }


def _decision(decision: face_pb2.Decision) -> dict[str, object]:
    person = decision.person
    return {
        "outcome": outcome_name(decision),
        "liveness": face_pb2.LivenessBand.Name(decision.liveness.band).removeprefix("LIVENESS_BAND_"),
        "challenge_passed": decision.liveness.challenge_passed,
        "person": {"name": person.name, "id_number": person.id_number} if decision.HasField("person") else None,
        "decision_ms": round(decision.decision_time.ToTimedelta().total_seconds() * 1000),
        "frames_used": decision.frames_used,
        "other_ways": [face_pb2.PaymentWay.Name(way).removeprefix("PAYMENT_WAY_") for way in decision.other_ways],
    }


def outcome_name(decision: face_pb2.Decision) -> str:
    """Return the outcome without its prefix."""
    return face_pb2.DecisionOutcome.Name(decision.outcome).removeprefix("DECISION_OUTCOME_")
