"""An eviction over the admin port: of a terminal that is shut out, it is refused, and the refusal says what to do."""

import grpc
import pytest

from device_registry.operators.roles import Role
from shualian.admin.v1 import registry_pb2 as pb
from shualian.admin.v1.registry_pb2_grpc import RegistryServiceStub
from tests.integration.administration.conftest import Operators
from tests.support.platform import RunningPlatform, an_enrolled_terminal, refusal

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_suspended_terminal_is_resumed_first_and_then_evicted(
    running: RunningPlatform, operators: Operators
) -> None:
    terminal = (await an_enrolled_terminal(running)).terminal_id
    eviction = pb.EvictTerminalRequest(terminal=terminal, reason="its disk was lost")
    async with operators[Role.OPERATOR].channel() as channel:
        stub = RegistryServiceStub(channel)
        await stub.SuspendTerminal(pb.SuspendTerminalRequest(terminal=terminal, reason="odd hours"))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.EvictTerminal(eviction)
        refused = refusal(caught.value)
        assert (refused.reason, refused.metadata["state"]) == ("EVICTION_OF_SHUT_OUT", "SUSPENDED")
        assert "Resume it first, then evict it" in refused.text

        await stub.ResumeTerminal(pb.ResumeTerminalRequest(terminal=terminal, reason="somebody looked"))
        evicted = (await stub.EvictTerminal(eviction)).terminal

    assert evicted.state == pb.TERMINAL_STATE_REGISTERED
