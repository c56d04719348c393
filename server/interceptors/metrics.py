"""How many calls, how long, and how did they end? Counted for every method by its status code."""

import asyncio
from time import perf_counter

import grpc
from prometheus_client import Histogram

from monitoring.metrics import Metrics
from server.interceptors.chain import Behaviour, Context, Method


class MetricsLayer:
    """Counts and times; outside of the error layer, so that it sees the status the caller sees."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def wrap(self, method: Method, inner: Behaviour) -> Behaviour:
        """Return `inner` with a clock around it."""
        open_now = self._metrics.rpc_open.labels(method.service, method.name)
        seconds = self._metrics.rpc_seconds
        by_code: dict[str, Histogram] = {}

        async def counted(request: object, context: Context) -> object:
            began = perf_counter()
            code = "OK"
            open_now.inc()
            try:
                return await inner(request, context)
            except asyncio.CancelledError:
                code = "CANCELLED"
                raise
            except BaseException:
                code = _code_name(context)
                raise
            finally:
                open_now.dec()
                if code not in by_code:
                    by_code[code] = seconds.labels(method.service, method.name, code)
                by_code[code].observe(perf_counter() - began)

        return counted


def _code_name(context: Context) -> str:
    code = context.code()
    found = {member.value[0]: member.name for member in grpc.StatusCode}
    return found.get(code.value[0] if isinstance(code, grpc.StatusCode) else code, "UNKNOWN")
