"""How does a stream begin? With the one message the contract names, within the time, or not at all."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TypeVar

from google.protobuf.message import Message

from server.refusals import StreamOrderError, StreamStalledError

M = TypeVar("M", bound=Message)

OPENED_WITHIN = timedelta(seconds=10)
"""How long a stream may be open without a word."""


async def opening(requests: AsyncIterator[M], *, oneof: str, expected: str) -> M:
    """Return the first message of a stream, which must carry the expected step.

    Args:
        requests: the stream.
        oneof: name of the group of steps in its messages.
        expected: the step that opens it.

    Raises:
        StreamStalledError: nothing came in time.
        StreamOrderError: something else came, or the stream ended.
    """
    try:
        async with asyncio.timeout(OPENED_WITHIN.total_seconds()):
            first = await anext(requests)
    except TimeoutError:
        raise StreamStalledError from None
    except StopAsyncIteration:
        raise StreamOrderError(expected=expected) from None
    if first.WhichOneof(oneof) != expected:
        raise StreamOrderError(expected=expected)
    return first
