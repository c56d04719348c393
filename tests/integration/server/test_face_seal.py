"""Only the frames of this terminal's own camera, of this session and of now lead to a yes."""

from datetime import UTC, datetime, timedelta

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from mock_terminal.sealing import SealChain
from shualian.terminal.v1 import face_pb2
from tests.support.conversation import face_call
from tests.support.deployment import eventually
from tests.support.platform import (
    EnrolledTerminal,
    RunningPlatform,
    a_platform,
    an_enrolled_terminal,
    refusal,
)
from tests.support.visitors import (
    LIN,
    MA,
    Sealer,
    face_session,
    frame,
    frames_at_rest,
    honest_seal,
    insured,
    start,
    unmoved,
)

OTHER_WAYS = [
    face_pb2.PAYMENT_WAY_DYNAMIC_CODE,
    face_pb2.PAYMENT_WAY_CARD_AND_PIN,
    face_pb2.PAYMENT_WAY_FAMILY_ACCOUNT,
    face_pb2.PAYMENT_WAY_COUNTER,
]


def no_seal(_terminal: EnrolledTerminal, _chain: SealChain, _last: int) -> None:
    """Say nothing when asked."""


def by_another_key(_terminal: EnrolledTerminal, chain: SealChain, last_sequence: int) -> face_pb2.Seal:
    other = ec.generate_private_key(ec.SECP256R1())
    return chain.seal(last_sequence, sign=lambda content: other.sign(content, ec.ECDSA(SHA256())))


def without_the_last_frame(terminal: EnrolledTerminal, chain: SealChain, last_sequence: int) -> face_pb2.Seal:
    return honest_seal(terminal, chain, last_sequence - 1)


def with_doubts(terminal: EnrolledTerminal, chain: SealChain, last_sequence: int) -> face_pb2.Seal:
    doubts = face_pb2.TerminalVerdict(live=False, algorithm="own-1")
    return chain.seal(
        last_sequence, sign=lambda content: terminal.key.sign(content, ec.ECDSA(SHA256())), verdict=doubts
    )


@pytest.mark.parametrize(
    ("seals", "finding"),
    [(by_another_key, "BROKEN"), (without_the_last_frame, "BROKEN"), (with_doubts, "VERIFIED")],
    ids=["another key", "a frame short", "the terminal itself doubts"],
)
async def test_without_a_good_seal_a_living_face_is_no_yes(
    running: RunningPlatform, terminal: EnrolledTerminal, seals: Sealer, finding: str
) -> None:
    outcome = face_pb2.DECISION_OUTCOME_SPOOF_SUSPECTED
    await is_no_yes(running, terminal, seals, finding=finding, outcome=outcome)


async def test_without_any_seal_a_living_face_is_no_yes() -> None:
    async with a_platform(face={"seal_within": timedelta(seconds=0.4)}) as running:
        terminal = await an_enrolled_terminal(running)
        outcome = face_pb2.DECISION_OUTCOME_INSUFFICIENT
        await is_no_yes(running, terminal, no_seal, finding="MISSING", outcome=outcome)


async def is_no_yes(
    running: RunningPlatform,
    terminal: EnrolledTerminal,
    seals: Sealer,
    *,
    finding: str,
    outcome: face_pb2.DecisionOutcome.ValueType,
) -> None:
    """Show a living face, seal it like this, and look at what the answer holds."""
    await insured(running, LIN)

    decision = (await face_session(terminal, claims=LIN, shows=LIN, opens=unmoved(), seals=seals)).decision

    assert decision.outcome == outcome
    assert not decision.assertion
    assert not decision.HasField("person")
    assert list(decision.other_ways) == OTHER_WAYS
    assert running.counted("face_seals_total", finding=finding) == 1


async def test_the_seal_is_asked_of_somebody_else_as_well_so_it_tells_nothing(
    running: RunningPlatform, terminal: EnrolledTerminal
) -> None:
    await insured(running, LIN)

    decision = (await face_session(terminal, claims=LIN, shows=MA, opens=unmoved())).decision

    assert decision.outcome == face_pb2.DECISION_OUTCOME_NOT_MATCHED
    assert running.counted("face_seals_total", finding="VERIFIED") == 1


async def test_nothing_is_sealed_that_was_not_asked_for(terminal: EnrolledTerminal) -> None:
    async with terminal.channel() as channel:
        call = face_call(channel)
        await call.write(start(LIN))
        await call.read()
        await call.write(face_pb2.AuthenticateRequest(seal=face_pb2.Seal(content=b"x", signature=b"12345678")))

        error = refusal(await call.refused())
        assert error.reason == "STREAM_OUT_OF_ORDER"
        assert error.metadata["expected"] == "frame"


@pytest.mark.parametrize("off", [timedelta(minutes=-5), timedelta(minutes=5)], ids=["behind", "ahead"])
async def test_a_wrong_clock_is_told_at_the_first_frame_what_to_do(terminal: EnrolledTerminal, off: timedelta) -> None:
    async with terminal.channel() as channel:
        call = face_call(channel)
        await call.write(start(LIN))
        await call.read()
        await call.write(frame(1, frames_at_rest(LIN, 1)[0], datetime.now(UTC) + off))

        error = refusal(await call.refused())
        assert error.code is grpc.StatusCode.FAILED_PRECONDITION
        assert error.reason == "CAPTURE_CLOCK_OFF"
        assert error.metadata["next_action"] == "FIX_CLOCK"
        assert datetime.fromisoformat(error.metadata["platform_time"]) - datetime.now(UTC) < timedelta(minutes=1)


async def test_frames_that_no_camera_takes_so_fast_end_the_session(terminal: EnrolledTerminal) -> None:
    async with terminal.channel() as channel:
        call = face_call(channel)
        await call.write(start(LIN))
        await call.read()
        began, (picture,) = datetime.now(UTC), frames_at_rest(LIN, 1)
        for sequence in range(1, 24):
            await call.write(frame(sequence, picture, began))

        error = refusal(await call.refused())
        assert error.reason == "CAPTURE_TOO_FAST"
        assert error.fields == ("start.camera.frames_per_second",)


async def test_i10_a_terminal_that_hangs_up_before_the_seal_gets_no_assertion(
    running: RunningPlatform, terminal: EnrolledTerminal
) -> None:
    await insured(running, LIN)

    def hang_up(_terminal: EnrolledTerminal, _chain: SealChain, _last: int) -> None:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await face_session(terminal, claims=LIN, shows=LIN, opens=unmoved(), seals=hang_up)

    await eventually(lambda: running.counted("face_sessions_open") == 0)
    assert running.counted("face_seals_total", finding="VERIFIED") == 0
