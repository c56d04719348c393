"""The plain HTTP port: /metrics for Prometheus, /livez and /readyz for probes, /crl/<issuer>.crl for everybody."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from device_registry.errors import AuthorityError, IssuerUnknownError
from monitoring.exporter import exposition
from monitoring.metrics import Metrics
from server.crl import RevocationLists
from server.health import Health
from server.store import StoreError

CRL_MAX_AGE = 60
"""Seconds for which a proxy may keep a revocation list."""


def application(metrics: Metrics, health: Health, lists: RevocationLists) -> Starlette:
    """Return the pages."""

    async def show_metrics(request: Request) -> Response:
        content_type, body = exposition(metrics.registry, request.headers.get("accept", ""))
        return Response(body, headers={"content-type": content_type})

    async def show_life(_request: Request) -> Response:
        return PlainTextResponse("alive\n")

    async def show_readiness(_request: Request) -> Response:
        found = await health.readiness()
        return JSONResponse(
            {"ready": found.is_ready, "checks": found.checks}, status_code=200 if found.is_ready else 503
        )

    async def show_revocation_list(request: Request) -> Response:
        try:
            signed = await lists.of(request.path_params["issuer_id"])
        except IssuerUnknownError:
            return PlainTextResponse("There is no such issuing authority.\n", status_code=404)
        except (AuthorityError, StoreError):
            return PlainTextResponse("The list cannot be signed right now.\n", status_code=503)
        return Response(
            signed.der, headers={"content-type": "application/pkix-crl", "cache-control": f"max-age={CRL_MAX_AGE}"}
        )

    return Starlette(
        routes=[
            Route("/metrics", show_metrics),
            Route("/livez", show_life),
            Route("/readyz", show_readiness),
            Route("/crl/{issuer_id:str}.crl", show_revocation_list),
        ]
    )


class HttpServer:
    """Serves an application on a socket that is bound already, so that port 0 is known before anyone asks."""

    def __init__(self, app: Starlette, *, address: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._socket = socket.create_server((address, port), family=family)
        self.port: int = self._socket.getsockname()[1]
        self._server = _QuietServer(
            uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=2)
        )
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to answer."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))

    async def stop(self) -> None:
        """Answer what is under way, then close."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
        self._socket.close()


class _QuietServer(uvicorn.Server):
    """Leaves the signals of the process to whoever runs the whole of it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take no signal."""
        yield
