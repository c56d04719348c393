"""Was this request asked before? What is answered twice alike is remembered by the terminal's own id."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, insert, select

from server.credentials.errors import RequestReusedError
from server.store.tables.credentials import credential_requests


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request of one terminal, in the form in which it is compared."""

    request_id: str
    terminal_id: str
    body_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """What a request has led to."""

    subject: str
    """The credential or the binding."""
    is_reissued: bool


def request_from(request_id: str, *, terminal_id: str, action: str, body: tuple[str, ...]) -> Request:
    """Return a request; of its body nothing but a hash is kept, so nothing guessable may stand in it in clear."""
    canonical = json.dumps([action, terminal_id, *body], ensure_ascii=True, separators=(",", ":"))
    return Request(
        request_id=str(UUID(request_id)),
        terminal_id=terminal_id,
        body_sha256=hashlib.sha256(canonical.encode()).hexdigest(),
    )


def seen_before(connection: Connection, request: Request) -> Remembered | None:
    """Return what the same request has led to.

    Raises:
        RequestReusedError: the id belongs to another body or another terminal.
    """
    mine = select(credential_requests).where(credential_requests.c.request_id == request.request_id)
    row = connection.execute(mine).one_or_none()
    if row is None:
        return None
    if (row.terminal_id, row.body_sha256) != (request.terminal_id, request.body_sha256):
        raise RequestReusedError
    return Remembered(subject=row.subject, is_reissued=row.is_reissued)


def remember(
    connection: Connection, request: Request, *, subject: str, asked_at: datetime, is_reissued: bool = False
) -> Remembered:
    """Write down what a request has led to; takes hold with it."""
    connection.execute(
        insert(credential_requests).values(
            request_id=request.request_id,
            terminal_id=request.terminal_id,
            body_sha256=request.body_sha256,
            subject=subject,
            is_reissued=is_reissued,
            asked_at=asked_at,
        )
    )
    return Remembered(subject=subject, is_reissued=is_reissued)
