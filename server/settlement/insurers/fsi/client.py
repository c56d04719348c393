"""How does a message get to the core and its answer back? HTTP with kept connections, bounds on time and size."""

import asyncio
import secrets as chance
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from ssl import create_default_context
from typing import Final

import httpx

from server.settlement.insurers.fsi.errors import AnswerGarbledError, LineBrokenError, NotSentError
from server.settlement.insurers.fsi.signing import Secrets, header_signature

_WHOLE: Final = 6
"""Times the bound on silence that one exchange may take in all: a day's file is slow, and a core that drips endless."""
_NONCE_BYTES: Final = 16
_OK: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class LineSettings:
    """Bounds of one line."""

    base_url: str
    ca_file: Path | None
    """Who may vouch for the core; None: whom the system trusts."""
    connect_timeout: timedelta
    answer_timeout: timedelta
    connections_max: int
    answer_bytes_max: int = 4_194_304


class CoreLine:
    """One core's HTTP end; several calls at once share its connections."""

    def __init__(self, settings: LineSettings, secrets: Secrets, *, now: Callable[[], datetime]) -> None:
        """Take the settings; nothing connects before the first call.

        Args:
            settings: where, and how long to wait.
            secrets: sign the headers.
            now: the clock.
        """
        self._settings: Final = settings
        self._secrets: Final = secrets
        self._now: Final = now
        self._client = self._opened()

    async def post(self, path: str, body: bytes) -> bytes:
        """Send one message once and return what came back.

        Raises:
            NotSentError: no connection came about; the core heard nothing.
            LineBrokenError: anything may have happened.
            AnswerGarbledError: no answer of a core, or one too long.
        """
        request = self._client.build_request("POST", path, content=body, headers=self._headers())
        try:
            async with asyncio.timeout(_WHOLE * self._settings.answer_timeout.total_seconds()):
                return await self._answer(request)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise NotSentError from error
        except (httpx.HTTPError, TimeoutError) as error:
            raise LineBrokenError from error

    async def begin_anew(self) -> None:
        """Drop every connection: on one of them, answers and questions no longer belong together."""
        old, self._client = self._client, self._opened()
        await old.aclose()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _answer(self, request: httpx.Request) -> bytes:
        response = await self._client.send(request, stream=True)
        try:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > self._settings.answer_bytes_max:
                    raise AnswerGarbledError(what="too long")
        finally:
            await response.aclose()
        if response.status_code != _OK:
            raise LineBrokenError
        return bytes(body)

    def _headers(self) -> dict[str, str]:
        timestamp, nonce = str(int(self._now().timestamp())), chance.token_hex(_NONCE_BYTES)
        return {
            "content-type": "application/json; charset=utf-8",
            "x-tif-paasid": self._secrets.paasid,
            "x-tif-timestamp": timestamp,
            "x-tif-nonce": nonce,
            "x-tif-signature": header_signature(secret=self._secrets.secret, timestamp=timestamp, nonce=nonce),
        }

    def _opened(self) -> httpx.AsyncClient:
        settings = self._settings
        ca_file = settings.ca_file
        answer = settings.answer_timeout.total_seconds()
        return httpx.AsyncClient(
            base_url=settings.base_url,
            verify=True if ca_file is None else create_default_context(cafile=str(ca_file)),
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(answer, connect=settings.connect_timeout.total_seconds()),
            limits=httpx.Limits(
                max_connections=settings.connections_max, max_keepalive_connections=settings.connections_max
            ),
        )
