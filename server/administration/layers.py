"""The admin API's own layers: who calls, and may their role do this? Streams are asked again while they last."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

import structlog

from device_registry.errors import RegistryError
from device_registry.operators.roles import Role
from server.administration.admission import Admission
from server.administration.caller import OperatorCaller, current_operator, set_operator
from server.administration.permissions import refuse_caller
from server.caller import current_request_id
from server.interceptors.chain import Behaviour, Context, Method
from server.refusals import RefusalError
from server.store import StoreError

log = structlog.get_logger()

ASKED_AGAIN_AFTER = timedelta(milliseconds=400)
"""How often it is asked whether the holder of a stream may still have it; I2 allows a second."""

Identify = Callable[[Context], Awaitable[OperatorCaller]]


def by_operator(_context: Context) -> str:
    """Name the caller by the operator they are, for the limits."""
    return current_operator().name


def local_operator(name: str) -> Identify:
    """Return the identity of local mode: who can read database and keys on this machine may do everything anyway."""

    async def identify(_context: Context) -> OperatorCaller:
        return OperatorCaller(name=name, role=Role.SECURITY, request_id=current_request_id(), is_local=True)

    return identify


def by_certificate(admission: Admission) -> Identify:
    """Return the identity of the admin port: the operator whose certificate the connection carries."""
    return admission.of


class OperatorLayer:
    """Establishes who calls; a stream whose holder may no longer come in, or lost the role for it, is ended."""

    def __init__(self, identify: Identify, *, asked_again_after: timedelta = ASKED_AGAIN_AFTER) -> None:
        self._identify = identify
        self._every = asked_again_after.total_seconds()

    def wrap(self, method: Method, inner: Behaviour) -> Behaviour:
        """Return `inner` with the door in front of it."""

        async def admitted(request: object, context: Context) -> object:
            await self._admitted(context)
            return await inner(request, context)

        async def admitted_stream(requests: object, context: Context) -> object:
            await self._admitted(context)
            return await self._watched(method, context, inner(requests, context))

        return admitted_stream if method.streams else admitted

    async def _admitted(self, context: Context) -> None:
        caller = await self._identify(context)
        set_operator(caller)
        structlog.contextvars.bind_contextvars(actor=caller.actor)

    async def _watched(self, method: Method, context: Context, serving: Awaitable[object]) -> object:
        """Serve a stream for as long as its holder may have it."""
        served = asyncio.ensure_future(serving)
        asking = asyncio.create_task(self._refused(method, context))
        try:
            await asyncio.wait((served, asking), return_when=asyncio.FIRST_COMPLETED)
            if served.done():
                return served.result()
            raise asking.result()
        finally:
            for task in (served, asking):
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await task

    async def _refused(self, method: Method, context: Context) -> Exception:
        """Ask until the answer is no, and return it; while the database does not answer, nobody is vouched for."""
        while True:
            await asyncio.sleep(self._every)
            try:
                caller = await self._identify(context)
                refuse_caller(method.full_name, caller)
            except (RegistryError, RefusalError, StoreError) as refusal:
                return refusal


class PermissionLayer:
    """Refuses what the caller's role does not cover; a method without a row is refused to everybody."""

    def __init__(self, denied: Callable[[str, str, str], None] = lambda _service, _method, _role: None) -> None:
        self._denied = denied

    def wrap(self, method: Method, inner: Behaviour) -> Behaviour:
        """Return `inner` with its row of the table before it."""

        async def permitted(request: object, context: Context) -> object:
            caller = current_operator()
            try:
                refuse_caller(method.full_name, caller)
            except RefusalError:
                self._denied(method.service, method.name, caller.role.value)
                log.warning("admin_call_denied", role=caller.role.value)
                raise
            return await inner(request, context)

        return permitted
