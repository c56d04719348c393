"""Does one caller take more than its share? Calls, open calls and messages are bounded for each (I11)."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv6Address, IPv6Network
from time import monotonic
from typing import Any
from urllib.parse import unquote

from server.caller import current_caller
from server.interceptors.chain import Behaviour, Context, Method
from server.refusals import CallsOpenError, MessageRateError, RateLimitedError

CALLERS_MAX = 65_536
"""Callers whose recent calls are remembered."""
FULL_RETRY = timedelta(seconds=1)

CallerKey = Callable[[Context], str]


def by_terminal(_context: Context) -> str:
    """Name the caller by its certificate."""
    return current_caller().terminal_id


def by_address(context: Context) -> str:
    """Name the caller by where it calls from, without the port; all that is known on the enrollment port."""
    return origin_of(context.peer())


def origin_of(peer: str) -> str:
    """Return whom to count a peer as: an IPv4 address, or the /64 of an IPv6 one, all of which is one customer's."""
    host = unquote(peer.rpartition(":")[0])
    if not host.startswith("ipv6:"):
        return host
    address = IPv6Address(host.removeprefix("ipv6:").strip("[]"))
    return f"ipv4:{address.ipv4_mapped}" if address.ipv4_mapped else f"ipv6:{IPv6Network((address, 64), strict=False)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """So many a second in the long run, so many at once after a rest."""

    per_second: float
    burst: int


class TokenBucket:
    """Counts against a rate; holds as many tokens as may be used at once, and fills up again with time."""

    __slots__ = ("_filled_at", "_rate", "_tokens")

    def __init__(self, rate: Rate, now: float) -> None:
        self._rate = rate
        self._tokens = float(rate.burst)
        self._filled_at = now

    def take(self, now: float) -> float:
        """Take one token; return 0, or the seconds until there is one."""
        rate = self._rate
        self._tokens = min(rate.burst, self._tokens + (now - self._filled_at) * rate.per_second)
        self._filled_at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / rate.per_second

    def rested(self, now: float) -> bool:
        """Return whether it is full again, and so no different from a new one."""
        return self._tokens + (now - self._filled_at) * self._rate.per_second >= self._rate.burst


class Buckets:
    """A bucket for each caller; of too many, those at rest are forgotten, which changes nothing for them."""

    def __init__(self, rate: Rate, *, callers_max: int = CALLERS_MAX, clock: Callable[[], float] = monotonic) -> None:
        self._rate = rate
        self._callers_max = callers_max
        self._clock = clock
        self._buckets: dict[str, TokenBucket] = {}

    def take(self, key: str) -> float:
        """Take one of a caller's tokens; return 0, or the seconds until there is one."""
        now = self._clock()
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= self._callers_max:
                self._buckets = {name: held for name, held in self._buckets.items() if not held.rested(now)}
            if len(self._buckets) >= self._callers_max:
                return FULL_RETRY.total_seconds()
            bucket = self._buckets[key] = TokenBucket(self._rate, now)
        return bucket.take(now)


class LimitLayer:
    """Refuses calls over the bound, with the time after which to try again."""

    def __init__(
        self,
        *,
        caller_key: CallerKey,
        calls: Rate,
        messages: Rate,
        calls_open_max: int,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._caller_key = caller_key
        self._calls = Buckets(calls, clock=clock)
        self._messages = messages
        self._calls_open_max = calls_open_max
        self._clock = clock
        self._open: dict[str, int] = {}

    def wrap(self, method: Method, inner: Behaviour) -> Behaviour:
        """Return `inner` with the bounds before it."""

        async def within(request: object, context: Context) -> object:
            key = self._caller_key(context)
            self._enter(key)
            try:
                return await inner(request, context)
            finally:
                self._leave(key)

        async def within_stream(requests: AsyncIterator[Any], context: Context) -> object:
            return await within(MeteredRequests(requests, self._messages, self._clock), context)

        return within_stream if method.streams_up else within

    def _enter(self, key: str) -> None:
        if wait := self._calls.take(key):
            raise RateLimitedError(retry_after=timedelta(seconds=wait))
        open_now = self._open.get(key, 0)
        if open_now >= self._calls_open_max:
            raise CallsOpenError(retry_after=FULL_RETRY)
        self._open[key] = open_now + 1

    def _leave(self, key: str) -> None:
        self._open[key] -= 1
        if not self._open[key]:
            del self._open[key]


class MeteredRequests:
    """The messages of a stream, refused when they come too fast."""

    __slots__ = ("_bucket", "_clock", "_requests")

    def __init__(self, requests: AsyncIterator[Any], rate: Rate, clock: Callable[[], float]) -> None:
        self._requests = requests
        self._clock = clock
        self._bucket = TokenBucket(rate, clock())

    def __aiter__(self) -> "MeteredRequests":
        return self

    async def __anext__(self) -> object:
        message = await anext(self._requests)
        if wait := self._bucket.take(self._clock()):
            raise MessageRateError(retry_after=timedelta(seconds=wait))
        return message
