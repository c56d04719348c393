"""Face sessions over real mTLS with the real models."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from sqlalchemy import text

from device_registry import TerminalClass
from mock_terminal.scenes import Scene
from server.credentials.consent import consent_counts
from shualian.terminal.v1 import face_pb2
from tests.support.conversation import face_call
from tests.support.platform import (
    ACTOR,
    EnrolledTerminal,
    RunningPlatform,
    a_platform,
    an_enrolled_terminal,
    refusal,
)
from tests.support.promptly import within
from tests.support.visitors import (
    LIN,
    MA,
    Visitor,
    face_session,
    frame,
    frames_at_rest,
    insured,
    made_up_id_number,
    start,
)

OTHER_WAYS = [
    face_pb2.PAYMENT_WAY_DYNAMIC_CODE,
    face_pb2.PAYMENT_WAY_CARD_AND_PIN,
    face_pb2.PAYMENT_WAY_FAMILY_ACCOUNT,
    face_pb2.PAYMENT_WAY_COUNTER,
]


async def test_a_living_person_is_matched_and_gets_an_assertion(
    running: RunningPlatform, terminal: EnrolledTerminal
) -> None:
    await insured(running, LIN)

    seen = await face_session(terminal, claims=LIN, shows=LIN)

    assert seen.decision.outcome == face_pb2.DECISION_OUTCOME_MATCHED
    assert seen.decision.liveness.band == face_pb2.LIVENESS_BAND_CLEAR
    assert seen.decision.person.name == "林*"
    assert seen.decision.assertion.count(".") == 2
    assert seen.decision.pin_free_limit_fen == 20_000  # one colour camera: server/faces/rules.toml
    assert not seen.decision.other_ways
    assert len(seen.accepted.challenge.nonce) == 32
    assert seen.guidance
    outcome = {"region": "330100", "business_type": "01301", "outcome": "MATCHED"}
    assert running.counted("face_sessions_total", **outcome) == 1


async def test_somebody_else_and_an_unknown_claim_look_alike(
    running: RunningPlatform, terminal: EnrolledTerminal
) -> None:
    await insured(running, LIN)

    wrong = (await face_session(terminal, claims=LIN, shows=MA)).decision
    unknown = (await face_session(terminal, claims=MA, shows=MA)).decision

    for decision in (wrong, unknown):
        decision.ClearField("decision_time")
        decision.ClearField("frames_used")
    assert wrong == unknown
    assert wrong.outcome == face_pb2.DECISION_OUTCOME_NOT_MATCHED
    assert list(wrong.other_ways) == OTHER_WAYS


@pytest.mark.parametrize("scene", [Scene.FLAT_PHOTO, Scene.SCREEN_REPLAY])
async def test_i09_a_suspected_spoof_learns_nothing_about_the_match(
    running: RunningPlatform, terminal: EnrolledTerminal, scene: Scene
) -> None:
    await insured(running, LIN)

    decision = (await face_session(terminal, claims=LIN, shows=LIN, scene=scene)).decision

    assert decision.outcome in {
        face_pb2.DECISION_OUTCOME_SPOOF_SUSPECTED,
        face_pb2.DECISION_OUTCOME_INSUFFICIENT,
    }
    assert not decision.HasField("person")
    assert not decision.assertion
    assert not decision.liveness.challenge_passed
    assert list(decision.other_ways) == OTHER_WAYS


async def test_i08_a_refused_consent_ends_politely_with_other_ways_and_no_frame_is_looked_at(
    running: RunningPlatform, terminal: EnrolledTerminal
) -> None:
    await insured(running, LIN)
    async with terminal.channel() as channel:
        call = face_call(channel)
        await call.write(start(LIN, consents=False))
        decision = (await call.read()).decision
        assert await call.ended_well()

    assert decision.outcome == face_pb2.DECISION_OUTCOME_CONSENT_REFUSED
    assert list(decision.other_ways) == OTHER_WAYS
    since = running.platform.domain.now() - timedelta(minutes=1)
    (counted,) = await running.write(lambda connection: consent_counts(connection, since=since))
    assert (counted.granted, counted.refused) == (0, 1)
    people = await running.write(lambda connection: connection.scalars(text("SELECT person_id FROM consents")).all())
    assert people == [None]
    assert running.counted("face_frames_total", result="LOOKED_AT") == 0


async def test_where_faces_are_not_used_nobody_is_asked_or_looked_at_and_the_other_ways_are_offered(
    tmp_path: Path,
) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text('[places]\nsite_kinds = ["PHARMACY"]\n', encoding="utf-8")
    async with a_platform(face={"rules": rules}) as running:
        terminal = await an_enrolled_terminal(running)
        async with terminal.channel() as channel:
            call = face_call(channel)
            await call.write(start(LIN))
            refused = refusal(await call.refused())

        assert refused.reason == "FACE_NOT_HERE"
        assert refused.metadata["other_ways"] == "DYNAMIC_CODE,CARD_AND_PIN,FAMILY_ACCOUNT,COUNTER"
        consents = await running.write(lambda connection: connection.scalar(text("SELECT count(*) FROM consents")))
        assert consents == 0
        assert running.counted("face_frames_total", result="LOOKED_AT") == 0


async def test_i08_consent_is_on_record_before_the_terminal_is_asked_for_frames(
    running: RunningPlatform, terminal: EnrolledTerminal
) -> None:
    async with terminal.channel() as channel:
        call = face_call(channel)
        await call.write(start(LIN))
        accepted = (await call.read()).accepted

        sessions = await running.write(
            lambda connection: connection.scalars(text("SELECT session_id FROM consents")).all()
        )
        assert sessions == [accepted.session_id]
        call.cancel()


async def test_a_session_that_stalls_is_ended() -> None:
    async with a_platform(face={"stalled_after": timedelta(seconds=1)}) as running:
        terminal = await an_enrolled_terminal(running)
        async with terminal.channel() as channel:
            call = face_call(channel)
            await call.write(start(LIN))
            await call.read()

            error = await call.refused()
            assert error.code() is grpc.StatusCode.ABORTED
            assert refusal(error).reason == "STREAM_STALLED"


async def test_time_running_out_is_never_a_yes() -> None:
    async with a_platform(face={"session_lifetime": timedelta(seconds=0.6)}) as running:
        terminal = await an_enrolled_terminal(running)
        await insured(running, LIN)

        decision = (await face_session(terminal, claims=LIN, shows=LIN)).decision

        assert decision.outcome == face_pb2.DECISION_OUTCOME_INSUFFICIENT
        assert decision.liveness.band == face_pb2.LIVENESS_BAND_UNCLEAR
        assert not decision.assertion


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        # Made when they are sent: a consent grows old.
        (lambda: [frame(1, b"x")], "STREAM_OUT_OF_ORDER"),
        (lambda: [start(LIN), start(LIN)], "STREAM_OUT_OF_ORDER"),
        (lambda: [face_pb2.AuthenticateRequest()], "INVALID_REQUEST"),
        (lambda: [start(LIN), face_pb2.AuthenticateRequest(frame=face_pb2.Frame(sequence=0))], "INVALID_REQUEST"),
        (lambda: [start(replace(LIN, id_number="990000196301010019"))], "ID_NUMBER_INVALID"),
    ],
    ids=["frame first", "two starts", "nothing in it", "empty frame", "wrong checksum"],
)
async def test_a_message_in_the_wrong_place_or_form_ends_the_session(
    terminal: EnrolledTerminal, messages: Callable[[], list[face_pb2.AuthenticateRequest]], reason: str
) -> None:
    async with terminal.channel() as channel:
        call = face_call(channel)
        for message in messages():
            await call.write(message)

        error = await call.refused()
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert refusal(error).reason == reason
        assert LIN.id_number not in str(error.trailing_metadata())


async def test_an_unknown_enum_value_is_refused_with_its_field(terminal: EnrolledTerminal) -> None:
    request = start(LIN)
    request.start.business_type = 4242  # type: ignore[assignment]  # that is the point
    async with terminal.channel() as channel:
        call = face_call(channel)
        await call.write(request)

        assert refusal(await call.refused()).fields == ("start.business_type",)


async def test_garbage_frames_are_counted_and_the_session_goes_on(
    running: RunningPlatform, terminal: EnrolledTerminal
) -> None:
    async with terminal.channel() as channel:
        call = face_call(channel)
        await call.write(start(LIN))
        await call.read()
        await call.write(frame(1, b"no JPEG at all"))
        await call.write(frame(2, frames_at_rest(LIN, 1)[0]))

        assert (await call.read()).WhichOneof("step") == "guidance"
        assert running.counted("face_frames_total", result="UNUSABLE") == 1
        call.cancel()


async def test_frames_after_the_decision_are_dropped(running: RunningPlatform, terminal: EnrolledTerminal) -> None:
    async with terminal.channel() as channel:
        call = face_call(channel)
        await call.write(start(LIN, consents=False))
        for sequence in range(1, 6):
            await call.write(frame(sequence, b"late"))

        assert (await call.read()).WhichOneof("step") == "decision"
        assert await call.ended_well()
    assert running.counted("face_frames_total", result="UNUSABLE") == 0


async def test_i11_a_terminal_gets_no_more_face_sessions_than_its_share() -> None:
    async with a_platform() as running:
        terminal = await an_enrolled_terminal(running)
        async with terminal.channel() as channel:
            calls = [face_call(channel) for _ in range(3)]
            for call in calls[:2]:
                await call.write(start(LIN))
                assert (await call.read()).WhichOneof("step") == "accepted"
            await calls[2].write(start(LIN))

            error = await calls[2].refused()
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert refusal(error).reason == "TOO_MANY_FACE_SESSIONS"
            assert refusal(error).retry_after
            for call in calls:
                call.cancel()


async def test_i11_more_frames_than_a_session_takes_end_it() -> None:
    async with a_platform(face={"frames_max": 10}) as running:
        terminal = await an_enrolled_terminal(running)
        async with terminal.channel() as channel:
            call = face_call(channel)
            await call.write(start(LIN))
            await call.read()
            for sequence in range(1, 13):
                await call.write(frame(sequence, b"x"))

            assert refusal(await call.refused()).reason == "TOO_MANY_FRAMES"


async def test_a_terminal_that_is_not_certified_for_faces_is_refused(running: RunningPlatform) -> None:
    terminal = await an_enrolled_terminal(running, terminal_class=TerminalClass.CARD)
    async with terminal.channel() as channel:
        call = face_call(channel)
        await call.write(start(LIN))

        assert refusal(await call.refused()).metadata == {"needed": "III", "next_action": "CONTACT_OPERATOR"}


async def test_i02_a_revocation_ends_a_face_session_within_one_second(
    running: RunningPlatform, terminal: EnrolledTerminal
) -> None:
    async with terminal.channel() as channel:
        call = face_call(channel)
        await call.write(start(LIN))
        await call.read()
        await running.write(
            lambda connection: running.platform.domain.registry.revoke(
                connection, terminal_id=terminal.terminal_id, reason="stolen", actor=ACTOR
            )
        )
        error = await within(1, call.refused())

        assert refusal(error).reason == "TERMINAL_REVOKED"
    await asyncio.sleep(0)
    assert running.counted("face_sessions_open") == 0


async def test_i11_sessions_for_one_claim_that_lead_to_nobody_are_bounded_whoever_is_claimed() -> None:
    async with a_platform(face={"failures_per_claim_max": 2}) as running:
        await insured(running, LIN)
        terminals = [await an_enrolled_terminal(running, serial_number=f"SL-{number}") for number in range(3)]
        refusals = []
        for claimed in (LIN, MA):  # one of them is known here
            for terminal in terminals:
                async with terminal.channel() as channel:
                    call = face_call(channel)
                    await call.write(start(claimed))
                    if terminal is not terminals[-1]:
                        assert (await call.read()).WhichOneof("step") == "accepted"
                        call.cancel()  # nobody was matched
                        continue
                    refusals.append(refusal(await call.refused()))

        known, unknown = refusals
        assert known.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert known.reason == "FACE_TRIES_SPENT"
        assert known.metadata["other_ways"] == "DYNAMIC_CODE,CARD_AND_PIN,FAMILY_ACCOUNT,COUNTER"
        assert known.retry_after
        assert (known.reason, known.metadata, known.text) == (unknown.reason, unknown.metadata, unknown.text)


async def test_i11_one_terminal_cannot_spend_everybodys_tries() -> None:
    async with a_platform(face={"failures_per_terminal_max": 3}) as running:
        rogue, honest = [await an_enrolled_terminal(running, serial_number=f"SL-{number}") for number in range(2)]
        for number in range(3):
            assert await opened_and_hung_up(rogue, number) == "accepted"

        async with rogue.channel() as channel:
            call = face_call(channel)
            await call.write(start(somebody(3)))
            refused = refusal(await call.refused())

        assert refused.reason == "FACE_TRIES_SPENT"
        assert refused.retry_after
        assert await opened_and_hung_up(honest, 3) == "accepted"  # whom the rogue claimed last is none the worse


def somebody(number: int) -> Visitor:
    return Visitor(name="林夏", id_number=made_up_id_number(number), picture="grace_hopper")


async def opened_and_hung_up(terminal: EnrolledTerminal, number: int) -> str | None:
    """Claim to be somebody, and hang up; return what came."""
    async with terminal.channel() as channel:
        call = face_call(channel)
        await call.write(start(somebody(number)))
        answer = (await call.read()).WhichOneof("step")
        call.cancel()
        return answer


async def test_a_frame_of_three_large_pictures_fits_into_a_message(
    running: RunningPlatform, terminal: EnrolledTerminal
) -> None:
    largest = bytes(running.platform.config.face.frame_bytes_max)
    message = frame(1, largest)
    message.frame.pictures.add(modality=face_pb2.MODALITY_NIR, encoding=face_pb2.ENCODING_JPEG, data=largest)
    message.frame.pictures.add(
        modality=face_pb2.MODALITY_DEPTH, encoding=face_pb2.ENCODING_PNG_MILLIMETRES, data=largest
    )
    async with terminal.channel() as channel:
        call = face_call(channel)
        await call.write(start(LIN))
        await call.read()
        await call.write(message)
        await call.write(frame(2, frames_at_rest(LIN, 1)[0]))

        assert (await call.read()).WhichOneof("step") == "guidance"
        assert running.counted("face_frames_total", result="UNUSABLE") == 1
        call.cancel()
