"""What is bounded, one by one: tokens, seats, waiting frames (I11)."""

import asyncio
from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.chains import challenge_rate
from server.faces.inbox import FrameInbox
from server.faces.seats import FaceSeats
from server.interceptors.limits import Buckets, Rate, TokenBucket, origin_of
from server.refusals import FaceSessionsFullError, FaceSessionsOpenError, StreamStalledError
from server.settings.registry import RegistrySettings
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

    taken = [await inbox.take(deadline=monotonic() + 60, stalled_after=60) for _ in range(2)]
    assert [item.message.sequence for item in taken if item] == [2, 3]
    assert inbox.dropped == 1


async def test_an_inbox_tells_silence_from_the_deadline_and_from_the_end() -> None:
    with pytest.raises(StreamStalledError):
        await FrameInbox(waiting_max=1).take(deadline=monotonic() + 60, stalled_after=0.01)
    assert await FrameInbox(waiting_max=1).take(deadline=monotonic() + 0.01, stalled_after=60) is None
    closed = FrameInbox(waiting_max=1)
    closed.put(a_frame(1))
    closed.close()
    first = await closed.take(deadline=monotonic() + 60, stalled_after=60)
    assert first is not None
    assert await closed.take(deadline=monotonic() + 60, stalled_after=60) is None


async def test_an_error_on_the_stream_goes_before_the_frames_that_wait() -> None:
    inbox = FrameInbox(waiting_max=1)
    inbox.put(a_frame(1))
    taking = asyncio.create_task(inbox.take(deadline=monotonic() + 60, stalled_after=60))
    inbox.close(StreamStalledError())

    with pytest.raises(StreamStalledError):
        await taking


def test_callers_at_rest_are_forgotten_and_busy_ones_are_not() -> None:
    now = 0.0
    buckets = Buckets(Rate(per_second=1, burst=1), callers_max=2, clock=lambda: now)
    assert (buckets.take("a"), buckets.take("b")) == (0, 0)
    assert buckets.take("c") > 0  # full of callers that are busy

    now = 0.5
    assert buckets.take("a") == pytest.approx(0.5)
    now = 1.0
    assert buckets.take("c") == 0


@pytest.mark.parametrize(
    ("peer", "origin"),
    [
        ("ipv4:192.0.2.7:40001", "ipv4:192.0.2.7"),
        ("ipv6:%5B2001:db8:1:2:3:4:5:6%5D:40001", "ipv6:2001:db8:1:2::/64"),
        ("ipv6:[2001:db8:1:2::9]:40002", "ipv6:2001:db8:1:2::/64"),
        ("ipv6:%5B::ffff:192.0.2.7%5D:40001", "ipv4:192.0.2.7"),
        ("unix:", "unix"),
    ],
)
def test_i11_an_address_is_counted_as_one_caller_and_so_is_an_ipv6_network(peer: str, origin: str) -> None:
    assert origin_of(peer) == origin


@given(st.integers(2, 40), st.lists(st.floats(0, 90), min_size=1, max_size=200))
def test_i11_one_address_never_has_more_nonces_open_than_its_share(share: int, waits: list[float]) -> None:
    registry = RegistrySettings(nonces_open_per_address_max=share)
    lifetime = registry.nonce_lifetime.total_seconds()
    now, handed_out = 0.0, list[float]()
    buckets = Buckets(challenge_rate(registry), clock=lambda: now)
    for wait in waits:
        now += wait
        for _ in range(share):
            if not buckets.take("flooder"):
                handed_out.append(now)

        assert sum(at > now - lifetime for at in handed_out) <= share
