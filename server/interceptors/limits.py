"""Does one caller take more than its share? Calls, open calls and messages are bounded for each (I11)."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Any

from server.caller import current_caller
from server.interceptors.chain import Behaviour, Context, Method
from server.refusals import CallsOpenError, MessageRateError, RateLimitedError

CALLERS_MAX = 65_536
"""Callers whose recent calls are remembered; over it, those who rest are forgotten, which changes nothing for them."""
CALLS_OPEN_RETRY = timedelta(seconds=1)

CallerKey = Callable[[Context], str]


def by_terminal(_context: Context) -> str:
    """Name the caller by its certificate."""
    return current_caller().terminal_id


def by_address(context: Context) -> str:
    """Name the caller by where it calls from, without the port; all that is known on the enrollment port."""
    return context.peer().rpartition(":")[0]


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


class _Usage:
    """What one caller has under way."""

    __slots__ = ("bucket", "calls_open")

    def __init__(self, bucket: TokenBucket) -> None:
        self.bucket = bucket
        self.calls_open = 0


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
        self._calls = calls
        self._messages = messages
        self._calls_open_max = calls_open_max
        self._clock = clock
        self._usages: dict[str, _Usage] = {}

    def wrap(self, method: Method, inner: Behaviour) -> Behaviour:
        """Return `inner` with the bounds before it."""

        async def within(request: object, context: Context) -> object:
            usage = self._entered(self._caller_key(context))
            usage.calls_open += 1
            try:
                return await inner(request, context)
            finally:
                usage.calls_open -= 1

        async def within_stream(requests: AsyncIterator[Any], context: Context) -> object:
            return await within(MeteredRequests(requests, self._messages, self._clock), context)

        return within_stream if method.streams_up else within

    def _entered(self, key: str) -> _Usage:
        now = self._clock()
        usage = self._usages.get(key)
        if usage is None:
            if len(self._usages) >= CALLERS_MAX:
                self._forget_rested(now)
            usage = self._usages[key] = _Usage(TokenBucket(self._calls, now))
        if wait := usage.bucket.take(now):
            raise RateLimitedError(retry_after=timedelta(seconds=wait))
        if usage.calls_open >= self._calls_open_max:
            raise CallsOpenError(retry_after=CALLS_OPEN_RETRY)
        return usage

    def _forget_rested(self, now: float) -> None:
        self._usages = {
            key: usage for key, usage in self._usages.items() if usage.calls_open or not usage.bucket.rested(now)
        }
        if len(self._usages) >= CALLERS_MAX:
            raise RateLimitedError(retry_after=CALLS_OPEN_RETRY)


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
