"""Faces before a platform that runs as a process: who is let through, and what becomes of everything else."""

import asyncio
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import grpc
import numpy as np
import pytest

from shualian.terminal.v1 import face_pb2
from tests.support.conversation import FaceCall, face_call
from tests.support.deployment import SECONDS_MAX, Deployment, a_terminal, eventually
from tests.support.platform import EnrolledTerminal, refusal
from tests.support.visitors import LIN, MA, at, face_session, frame, frames_at_rest, start

OTHER_WAYS = [
    face_pb2.PAYMENT_WAY_DYNAMIC_CODE,
    face_pb2.PAYMENT_WAY_CARD_AND_PIN,
    face_pb2.PAYMENT_WAY_FAMILY_ACCOUNT,
    face_pb2.PAYMENT_WAY_COUNTER,
]
FORGIVEN = 10
"""Frames of no use, before one more ends the session."""
MEMORY_GROWTH_BYTES_MAX = 200_000_000  # a bomb decoded would take 1.2 GB


async def test_a_living_person_is_matched_and_named_only_in_part(shared: Deployment) -> None:
    seen = await face_session(await a_terminal(shared), claims=LIN, shows=LIN)

    assert seen.decision.outcome == face_pb2.DECISION_OUTCOME_MATCHED
    assert seen.decision.assertion
    assert seen.guidance
    assert LIN.name not in str(seen.decision)
    assert LIN.id_number not in str(seen.decision)


async def test_a_stranger_and_a_claim_that_nobody_answers_to_look_alike(shared: Deployment) -> None:
    terminal = await a_terminal(shared)
    wrong = (await face_session(terminal, claims=LIN, shows=MA)).decision
    unknown = (await face_session(terminal, claims=MA, shows=MA)).decision

    for decision in (wrong, unknown):
        decision.ClearField("decision_time")
        decision.ClearField("frames_used")
    assert wrong == unknown
    assert wrong.outcome == face_pb2.DECISION_OUTCOME_NOT_MATCHED
    assert list(wrong.other_ways) == OTHER_WAYS


async def test_i08_who_does_not_agree_is_offered_the_other_ways_and_no_frame_is_looked_at(shared: Deployment) -> None:
    terminal = await a_terminal(shared)
    await all_quiet(shared)
    looked_at = shared.counted("face_frames_total", result="LOOKED_AT")
    async with terminal.channel() as channel:
        call = face_call(channel)
        await call.write(start(LIN, consents=False))
        decision = (await call.read()).decision
        assert await call.ended_well()

    assert decision.outcome == face_pb2.DECISION_OUTCOME_CONSENT_REFUSED
    assert list(decision.other_ways) == OTHER_WAYS
    assert shared.counted("face_frames_total", result="LOOKED_AT") == looked_at


@cache
def a_bomb() -> bytes:
    """Return a small JPEG whose header declares 20,000 × 20,000 pixels."""
    small = bytearray(plain(64, 64))
    place = small.index(b"\xff\xc0") + 5  # SOF0: marker, length, precision, then height and width
    small[place : place + 4] = struct.pack(">HH", 20_000, 20_000)
    return bytes(small)


@cache
def plain(width: int, height: int) -> bytes:
    """Return a gray picture of nothing."""
    done, jpeg = cv2.imencode(".jpg", np.full((height, width, 3), 128, np.uint8))
    assert done
    return jpeg.tobytes()


@cache
def two_faces() -> bytes:
    """Return both visitors side by side, as large as one alone would be."""
    halves = []
    for visitor in (LIN, MA):
        picture = cv2.imdecode(np.frombuffer(frames_at_rest(visitor, 1)[0], np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        halves.append(picture[:, 160:480])
    done, jpeg = cv2.imencode(".jpg", np.hstack(halves))
    assert done
    return jpeg.tobytes()


@pytest.mark.parametrize(
    "make",
    [lambda: b"no picture at all" * 100, a_bomb, lambda: plain(5_000, 4_000), lambda: plain(640, 480)[:900]],
    ids=["garbage", "a bomb of 20,000 by 20,000", "20 megapixels", "cut in half"],
)
async def test_i10_frames_that_are_no_pictures_are_never_decoded_and_end_without_a_yes(
    shared: Deployment, make: Callable[[], bytes]
) -> None:
    content, memory = make(), peak_memory_bytes(shared)
    unusable = shared.counted("face_frames_total", result="UNUSABLE")
    async with (await a_terminal(shared)).channel() as channel:
        call = await opened(channel)
        decision = await decided(call, content)

    assert decision.outcome == face_pb2.DECISION_OUTCOME_INSUFFICIENT
    assert list(decision.other_ways) == OTHER_WAYS
    assert shared.counted("face_frames_total", result="UNUSABLE") > unusable
    assert peak_memory_bytes(shared) - memory < MEMORY_GROWTH_BYTES_MAX


@pytest.mark.parametrize(
    ("make", "hint"),
    [(lambda: plain(640, 480), face_pb2.HINT_NO_FACE), (two_faces, face_pb2.HINT_SEVERAL_FACES)],
    ids=["no face", "two faces"],
)
async def test_nobody_and_two_people_are_told_what_to_do(
    shared: Deployment, make: Callable[[], bytes], hint: face_pb2.Hint.ValueType
) -> None:
    async with (await a_terminal(shared)).channel() as channel:
        call = await opened(channel)
        await call.write(frame(1, make()))

        assert (await call.read()).guidance.hint == hint
        call.cancel()


@pytest.mark.parametrize(
    ("opening", "reason"),
    [
        (lambda: [frame(1, b"early")], "STREAM_OUT_OF_ORDER"),
        (lambda: [start(LIN), start(LIN)], "STREAM_OUT_OF_ORDER"),
        (lambda: [face_pb2.AuthenticateRequest()], "INVALID_REQUEST"),
        (lambda: [start(replace(LIN, id_number=LIN.id_number[:-1] + ("0" if LIN.id_number[-1] != "0" else "1")))],
         "ID_NUMBER_INVALID"),
    ],
    ids=["frame first", "two starts", "nothing in it", "wrong checksum"],
)  # fmt: skip
async def test_a_message_in_the_wrong_place_ends_the_stream_with_a_precise_reason(
    shared: Deployment, opening: Callable[[], Sequence[face_pb2.AuthenticateRequest]], reason: str
) -> None:
    async with (await a_terminal(shared)).channel() as channel:
        call = face_call(channel)
        for message in opening():  # made now: a consent is fresh for a while only
            await call.write(message)
        found = refusal(await call.refused())

    assert (found.code, found.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    assert found.text


@pytest.mark.parametrize("field", ["purpose", "business_type"])
async def test_an_unknown_enum_is_refused_with_its_field(shared: Deployment, field: str) -> None:
    request = start(LIN)
    setattr(request.start, field, 4242)
    async with (await a_terminal(shared)).channel() as channel:
        call = face_call(channel)
        await call.write(request)
        found = refusal(await call.refused())

    assert f"start.{field}" in found.fields  # with a purpose that does not exist, the rule about claims is broken too


async def test_frames_after_the_decision_are_dropped(shared: Deployment) -> None:
    async with (await a_terminal(shared)).channel() as channel:
        call = await opened(channel)
        for sequence in range(1, FORGIVEN + 1):
            unusable = shared.counted("face_frames_total", result="UNUSABLE")
            await call.write(frame(sequence, b"garbage"))
            await eventually(lambda seen=unusable: shared.counted("face_frames_total", result="UNUSABLE") > seen)  # type: ignore[misc]  # a default has no type
        for sequence in range(FORGIVEN + 1, FORGIVEN + 5):  # the first of them is one too many
            await call.write(frame(sequence, b"garbage"))

        assert (await call.read()).decision.outcome == face_pb2.DECISION_OUTCOME_INSUFFICIENT
        assert await call.ended_well()


async def test_a_stream_that_stalls_is_ended_and_its_place_is_free_again(shared: Deployment) -> None:
    async with (await a_terminal(shared)).channel() as channel:
        call = await opened(channel)
        await call.write(frame(1, frames_at_rest(LIN, 1)[0]))
        found = refusal(await call.refused())

    assert (found.code, found.reason) == (grpc.StatusCode.ABORTED, "STREAM_STALLED")
    await all_quiet(shared)


async def test_a_terminal_that_vanishes_leaves_no_session_behind(shared: Deployment) -> None:
    terminal = await a_terminal(shared)
    await all_quiet(shared)
    async with terminal.channel() as channel:
        await opened(channel)
        assert shared.counted("face_sessions_open") == 1

    await all_quiet(shared)


async def test_i07_frames_are_never_on_disk_and_nothing_personal_is_in_logs_metrics_or_the_database(
    shared: Deployment,
) -> None:
    terminal = await a_terminal(shared)
    seen = await face_session(terminal, claims=LIN, shows=LIN)
    await refused_for_its_form(terminal)
    shown = frames_at_rest(LIN, 6)
    async with terminal.channel() as channel:
        call = await opened(channel)
        await sent(call, shown)
        assert (await call.read()).WhichOneof("step") == "guidance"
        call.cancel()
    pieces = [jpeg[len(jpeg) // 2 :][:24] for jpeg in shown]

    written = {path.name: path.read_bytes() for path in everything_written(shared)}
    written["/metrics"] = shared.http("/metrics")[1].encode()
    forbidden = [b"\xff\xd8\xff\xe0", b"JFIF", *pieces, *personal(seen.decision.assertion)]
    assert {"shualian.sqlite", "platform.log", "/metrics"} <= written.keys()
    assert [(name, found) for name, content in written.items() for found in forbidden if found in content] == []
    assert seen.accepted.session_id in shared.log  # the log is there and does speak of this session


def everything_written(deployment: Deployment) -> list[Path]:
    return [path for path in (*deployment.data_dir.rglob("*"), deployment.folder / "platform.log") if path.is_file()]


def personal(assertion: str) -> list[bytes]:
    """Return the marks of a person, also as JSON would write them; and the token that spends their money."""
    escaped = LIN.name.encode("unicode_escape")
    return [LIN.id_number.encode(), LIN.name.encode(), escaped, LIN.name.encode("utf-16-le"), assertion.encode()]


async def refused_for_its_form(terminal: EnrolledTerminal) -> None:
    """Let the platform complain about a message that is full of a person."""
    request = start(LIN)
    request.start.claimed_identity.name = LIN.name * 60
    request.start.consent.given_at.CopyFrom(at())
    async with terminal.channel() as channel:
        call = face_call(channel)
        await call.write(request)
        assert refusal(await call.refused()).fields == ("start.claimed_identity.name",)


async def opened(channel: grpc.aio.Channel) -> FaceCall:
    """Open a session for LIN and wait until frames are welcome."""
    call = face_call(channel)
    await call.write(start(LIN))
    assert (await call.read()).WhichOneof("step") == "accepted"
    return call


async def decided(call: FaceCall, picture: bytes) -> face_pb2.Decision:
    """Send a picture again and again, at a camera's pace, until there is a decision; return it.

    However many it takes: of those that wait, a platform that is busy gives up the oldest.
    """
    is_decided = asyncio.Event()

    def pictures() -> Iterator[bytes]:
        while not is_decided.is_set():
            yield picture

    sending = asyncio.create_task(sent(call, pictures()))
    try:
        async with asyncio.timeout(SECONDS_MAX):
            async for message in call.messages():
                if message.WhichOneof("step") == "decision":
                    return message.decision
    finally:
        is_decided.set()  # not cancelled: a cancelled write takes the call with it
        await asyncio.gather(sending, return_exceptions=True)
    raise AssertionError("the stream ended without a decision")


async def sent(call: FaceCall, pictures: Iterable[bytes]) -> None:
    for sequence, picture in enumerate(pictures, start=1):
        await call.write(frame(sequence, picture))
        await asyncio.sleep(0.05)


async def all_quiet(deployment: Deployment) -> None:
    """Wait until no session is open: one that was hung up on, here or in a test before, ends when that is noticed."""
    await eventually(lambda: deployment.counted("face_sessions_open") == 0)


def peak_memory_bytes(deployment: Deployment) -> int:
    """Return the most the server has ever held, from the kernel."""
    status = Path(f"/proc/{deployment.server.pid}/status").read_text(encoding="utf-8")
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024
