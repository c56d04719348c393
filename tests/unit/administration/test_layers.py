"""Who may do what: the table of permissions, and streams that end when their holder may no longer have them."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from device_registry.errors import OperatorRevokedError
from device_registry.operators.roles import Role
from server.administration.caller import OperatorCaller, current_operator
from server.administration.layers import OperatorLayer, PermissionLayer, local_operator
from server.administration.permissions import needed_for, refuse_without_role
from server.caller import NoCallerError
from server.interceptors.chain import Context, Method
from server.refusals import RoleMissingError
from server.store import StoreFailedError

AT_ONCE = timedelta(milliseconds=1)


def a_method(name: str = "ListSites", *, service: str = "RegistryService", streams: bool = False) -> Method:
    return Method(
        service=service,
        name=name,
        full_name=f"shualian.admin.v1.{service}/{name}",
        streams_up=False,
        streams_down=streams,
    )


class Door:
    """Says who calls, until a test says otherwise."""

    def __init__(self, role: Role) -> None:
        self.role = role
        self.refusal: Exception | None = None

    async def identify(self, _context: Context) -> OperatorCaller:
        """Return who calls now."""
        if self.refusal is not None:
            raise self.refusal
        return OperatorCaller(name="lin", role=self.role, request_id="r")


async def forever(_request: object, _context: Context) -> object:
    return await asyncio.Event().wait()


@pytest.mark.parametrize("role", Role)
def test_a_role_may_do_what_the_ones_before_it_may(role: Role) -> None:
    ranks = list(Role)

    assert [needed for needed in Role if role.covers(needed)] == ranks[: ranks.index(role) + 1]


@pytest.mark.parametrize("method", ["shualian.admin.v1.RegistryService/NotThere", "ListSites", "", "/"])
def test_a_method_without_a_row_is_nobodys(method: str) -> None:
    assert needed_for(method) is None
    with pytest.raises(RoleMissingError):
        refuse_without_role(method, Role.SECURITY)


async def test_a_call_whose_role_does_not_cover_it_never_reaches_the_service(context: Any) -> None:  # noqa: ANN401
    reached: list[OperatorCaller] = []
    denied: list[tuple[str, str, str]] = []

    async def service(_request: object, _context: Context) -> object:
        reached.append(current_operator())
        return None

    permissions = PermissionLayer(lambda *counted: denied.append(counted))
    for method, role in ((a_method("AddSite"), Role.VIEWER), (a_method("AddSite"), Role.OPERATOR)):
        call = OperatorLayer(Door(role).identify).wrap(method, permissions.wrap(method, service))
        if role is Role.VIEWER:
            with pytest.raises(RoleMissingError):
                await call(None, context)
        else:
            await call(None, context)

    assert [caller.role for caller in reached] == [Role.OPERATOR]
    assert denied == [("RegistryService", "AddSite", "VIEWER")]


async def test_local_mode_is_the_account_with_every_right(context: Any) -> None:  # noqa: ANN401
    caller = await local_operator("lin")(context)

    assert (caller.actor, caller.role) == ("local:lin", Role.SECURITY)


def demoted(door: Door) -> None:
    door.role = Role.VIEWER


def revoked(door: Door) -> None:
    door.refusal = OperatorRevokedError(name="lin")


def unanswered(door: Door) -> None:
    door.refusal = StoreFailedError(detail="gone")


@pytest.mark.parametrize(
    ("change", "expected"),
    [(demoted, RoleMissingError), (revoked, OperatorRevokedError), (unanswered, StoreFailedError)],
)
async def test_i02_a_stream_ends_when_its_holder_may_no_longer_have_it(
    change: Callable[[Door], None],
    expected: type[Exception],
    context: Any,  # noqa: ANN401
) -> None:
    door, method = Door(Role.OPERATOR), a_method("ImportTerminals", streams=True)
    call = asyncio.ensure_future(
        OperatorLayer(door.identify, asked_again_after=AT_ONCE).wrap(method, forever)(None, context)
    )
    await asyncio.sleep(0)

    change(door)

    with pytest.raises(expected):
        await call


async def test_a_stream_that_is_cancelled_lets_go_of_its_work(context: Any) -> None:  # noqa: ANN401
    begun, let_go = asyncio.Event(), asyncio.Event()

    async def service(_request: object, _context: Context) -> object:
        begun.set()
        try:
            return await asyncio.Event().wait()
        finally:
            let_go.set()

    method = a_method("WatchTerminals", streams=True)
    call = asyncio.ensure_future(OperatorLayer(Door(Role.VIEWER).identify).wrap(method, service)(None, context))
    await begun.wait()
    call.cancel()

    with pytest.raises(asyncio.CancelledError):
        await call
    assert let_go.is_set()


async def test_without_an_identity_layer_nothing_is_done(context: Any) -> None:  # noqa: ANN401
    method = a_method()
    with pytest.raises(NoCallerError):
        await PermissionLayer().wrap(method, forever)(None, context)


@pytest.fixture
def context() -> object:
    return object()
