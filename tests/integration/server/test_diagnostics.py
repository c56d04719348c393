"""Health, reflection and channelz: for who runs the machine, and the first two for terminals that are let in (I1)."""

from pathlib import Path

import grpc
import pytest

from server.administration.services import service_names
from tests.support.platform import ACTOR, a_platform, an_enrolled_terminal, refusal
from tests.support.questions import is_serving, listed_services, listening_servers

PACKAGE = "shualian.terminal.v1"
OF_TERMINALS = {
    f"{PACKAGE}.{name}" for name in ("CredentialService", "DeviceService", "FaceService", "SettlementService")
}
OF_GRPC = {"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}


async def test_the_diagnostics_socket_tells_health_services_and_connections() -> None:
    async with a_platform() as running, grpc.aio.insecure_channel(f"unix:{running.ready.diagnostics}") as channel:
        assert Path(running.ready.diagnostics).parent.stat().st_mode & 0o777 == 0o700
        assert await is_serving(channel)
        for service in OF_TERMINALS | {f"{PACKAGE}.EnrollmentService"}:
            assert await is_serving(channel, service)
        assert await listed_services(channel) == OF_TERMINALS | OF_GRPC | set(service_names()) | {
            f"{PACKAGE}.EnrollmentService",
            "grpc.channelz.v1.Channelz",
        }
        assert await listening_servers(channel) >= 3


async def test_an_admitted_terminal_may_ask_for_health_and_services_but_not_for_connections() -> None:
    async with a_platform() as running:
        terminal = await an_enrolled_terminal(running)
        async with terminal.channel() as channel:
            assert await is_serving(channel)
            assert await listed_services(channel) == OF_TERMINALS | OF_GRPC
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await listening_servers(channel)

    assert refusal(caught.value).reason == "METHOD_UNKNOWN"


async def test_i01_a_terminal_that_is_not_let_in_learns_neither_health_nor_services() -> None:
    async with a_platform() as running:
        terminal = await an_enrolled_terminal(running)
        revoke = running.domain.registry.revoke
        await running.write(
            lambda connection: revoke(connection, terminal_id=terminal.terminal_id, reason="stolen", actor=ACTOR)
        )
        async with terminal.channel() as channel:
            for question in (is_serving, listed_services):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await question(channel)
                assert refusal(caught.value).reason in {"CERTIFICATE_REVOKED", "TERMINAL_REVOKED"}
        strangers = grpc.ssl_channel_credentials(root_certificates=running.root_pem)
        async with grpc.aio.secure_channel(running.ready.terminal, strangers) as channel:
            for question in (is_serving, listed_services):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await question(channel)
                assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_i01_the_enrollment_port_knows_enrollment_alone() -> None:
    async with a_platform() as running:
        strangers = grpc.ssl_channel_credentials(root_certificates=running.root_pem)
        async with grpc.aio.secure_channel(running.ready.enrollment, strangers) as channel:
            for question in (is_serving, listed_services, listening_servers):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await question(channel)
                assert refusal(caught.value).reason == "METHOD_UNKNOWN"
