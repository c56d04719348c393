"""What is bounded, one by one: tokens, seats, waiting frames (I11)."""

import asyncio
from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.faces.inbox import FrameInbox
from server.faces.seats import FaceSeats
from server.interceptors.limits import Rate, TokenBucket
from server.refusals import FaceSessionsFullError, FaceSessionsOpenError, StreamStalledError
from shualian.terminal.v1 import face_pb2


def test_a_bucket_gives_its_burst_and_then_what_time_brings() -> None:
    bucket = TokenBucket(Rate(per_second=2, burst=3), now=0)

    assert [bucket.take(0) for _ in range(3)] == [0, 0, 0]
    assert bucket.take(0) == pytest.approx(0.5)
    assert bucket.take(0.5) == 0
    assert bucket.take(0.5) > 0


@given(st.lists(st.floats(0, 5), max_size=60))
def test_a_bucket_never_gives_more_than_burst_and_rate_allow(waits: list[float]) -> None:
    rate = Rate(per_second=3, burst=5)
    bucket, now, given_out = TokenBucket(rate, now=0), 0.0, 0
    for wait in waits:
        now += wait
        given_out += bucket.take(now) == 0

    assert given_out <= rate.burst + now * rate.per_second + 1e-6


def test_i11_the_last_half_of_the_seats_is_kept_for_terminals_that_have_none() -> None:
    seats = FaceSeats(total=4, per_terminal=2)
    with seats.seat("a"), seats.seat("a"):
        with pytest.raises(FaceSessionsOpenError), seats.seat("a"):
            pass
        with seats.seat("b"):
            with pytest.raises(FaceSessionsFullError), seats.seat("b"):
                pass
            with seats.seat("c"), pytest.raises(FaceSessionsFullError), seats.seat("d"):
                pass
        assert seats.taken == 2
    assert seats.taken == 0


def a_frame(sequence: int) -> face_pb2.Frame:
    return face_pb2.Frame(sequence=sequence)


async def test_a_full_inbox_gives_up_its_oldest_and_keeps_the_order() -> None:
    inbox = FrameInbox(waiting_max=2)
    for sequence in (1, 2, 3):
        inbox.put(a_frame(sequence))

    taken = [await inbox.take(deadline=monotonic() + 1, stalled_after=1) for _ in range(2)]
    assert [item.message.sequence for item in taken if item] == [2, 3]
    assert inbox.dropped == 1


async def test_an_inbox_tells_silence_from_the_deadline_and_from_the_end() -> None:
    with pytest.raises(StreamStalledError):
        await FrameInbox(waiting_max=1).take(deadline=monotonic() + 5, stalled_after=0.01)
    assert await FrameInbox(waiting_max=1).take(deadline=monotonic() + 0.01, stalled_after=5) is None
    closed = FrameInbox(waiting_max=1)
    closed.put(a_frame(1))
    closed.close()
    first = await closed.take(deadline=monotonic() + 5, stalled_after=5)
    assert first is not None
    assert await closed.take(deadline=monotonic() + 5, stalled_after=5) is None


async def test_an_error_on_the_stream_goes_before_the_frames_that_wait() -> None:
    inbox = FrameInbox(waiting_max=1)
    inbox.put(a_frame(1))
    taking = asyncio.create_task(inbox.take(deadline=monotonic() + 5, stalled_after=5))
    inbox.close(StreamStalledError())

    with pytest.raises(StreamStalledError):
        await taking
