"""The issuing authority is rolled from the command line while patients pay: no call is dropped, no stream is lost."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from cryptography import x509

from mock_terminal.errors import StateError
from mock_terminal.folder import Folder
from mock_terminal.keystore import Identity
from server.programs import Answer, Program
from tests.support.deployment import (
    SECONDS_MAX,
    Box,
    Cardholder,
    Deployment,
    a_cardholder,
    a_deployment,
    an_enrolled_box,
    eventually,
)
from tests.support.payments import by_card, desk, found, quoted
from tests.support.platform import refusal
from tests.support.questions import looked_up

WHY = ("--reason", "one year left")
NO_SECOND_TRY = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
FLEET = 4


@dataclass(kw_only=True)
class Window:
    """Where one patient after the other pays at a terminal, each call once; what fails is kept."""

    box: Box
    holder: Cardholder
    paid: int = 0
    failures: list[str] = field(default_factory=list)

    async def work(self, is_over: asyncio.Event) -> None:
        """Serve patients, the last one to the end."""
        while not is_over.is_set():
            async with self._turn() as identity, connection_of(self.box, identity) as channel:
                try:
                    request = await quoted(channel, by_card(self.holder.card_number, self.holder.pin))
                    await desk(channel).Settle(request)
                    for _ in range(5):
                        await found(channel, request.transaction_id)
                        await asyncio.sleep(0.02)
                    self.paid += 1
                except grpc.aio.AioRpcError as error:
                    self.failures.append(f"{error.code().name} {refusal(error).reason} {error.details()}")
            await asyncio.sleep(0.2)

    async def goes_on(self) -> None:
        """Wait for two more patients: one of them has come after this was asked."""
        before = self.paid
        await eventually(lambda: self.paid >= before + 2 or bool(self.failures))

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[Identity]:
        """Pay in turn with the terminal's control stream, as `shualian-terminal pay` does, as who it is then."""
        folder = Folder(path=self.box.state)
        with ExitStack() as turn:
            while True:
                try:
                    turn.enter_context(folder.paying())
                except StateError:  # it moves to a new certificate
                    await asyncio.sleep(0.01)
                    continue
                yield folder.keys.identity()
                return


def connection_of(box: Box, identity: Identity) -> grpc.aio.Channel:
    """Return a new connection to the terminal port, as one of the identities that a terminal has or had."""
    credentials = grpc.ssl_channel_credentials(Folder(path=box.state).roots_pem, identity.key_pem, identity.chain_pem)
    return grpc.aio.secure_channel(box.deployment.ready.terminal, credentials, options=NO_SECOND_TRY)


@asynccontextmanager
async def patients(windows: Sequence[Window]) -> AsyncIterator[None]:
    """Let patients come to each window until the block is over."""
    is_over = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for window in windows:
            group.create_task(window.work(is_over))
        yield
        is_over.set()


async def command(deployment: Deployment, *arguments: str) -> Answer:
    return await asyncio.to_thread(deployment.shualian, *arguments)


async def issuers(deployment: Deployment) -> dict[str, Answer]:
    """Return the issuing authorities as `shualian ca show` has them, by id."""
    shown = await command(deployment, "ca", "show")
    return {issuer["issuer_id"]: issuer for issuer in shown["issuers"]}


async def next_authority(deployment: Deployment) -> str:
    """Prepare the next issuing authority, have the root sign it, let it take over; return its id."""
    config = deployment.config
    root = ("--root", str(config.authority_dir / "root"), "--passphrase-file", str(config.ca_passphrase))
    prepared = await command(deployment, "ca", "prepare", *root, *WHY)
    activated = await command(deployment, "ca", "activate", prepared["issuer_id"], *WHY)
    assert activated["state"] == "ACTIVE"
    return str(activated["issuer_id"])


def terminals_on(deployment: Deployment, issuer_id: str) -> tuple[int, int]:
    """Return how many terminals have their newest certificate from an issuing authority, and how many need it."""
    with deployment.domain.engine.begin() as connection:
        overview = deployment.domain.issuers.overview(connection)
    [use] = [use for use in overview.uses if use.issuer.issuer_id == issuer_id]
    return use.terminals, use.dependents


async def moved_in_good_order(stream: Program) -> list[str]:
    """Wait until a terminal has left its control stream by itself and come back; return what else happened."""
    passing: list[tuple[float, Answer]] = []

    def wait() -> None:
        _, ended = stream.wait_for("stream_ended", within=SECONDS_MAX, passing=passing)
        assert ended["code"] == "OK"
        stream.wait_for("connected", within=SECONDS_MAX, passing=passing)

    await asyncio.to_thread(wait)
    return [event["event"] for _, event in passing if event["event"] != "heartbeat"]


async def what_happened_until_stopped(stream: Program) -> list[str]:
    passing: list[tuple[float, Answer]] = []

    def wait() -> None:
        stream.stop()
        stream.wait_for("stopped", within=SECONDS_MAX, passing=passing)

    await asyncio.to_thread(wait)
    return [event["event"] for _, event in passing if event["event"] != "heartbeat"]


@pytest.mark.timeout(300)  # many processes, one after the other
async def test_an_issuing_authority_is_rolled_under_load_and_no_call_is_dropped(tmp_path: Path) -> None:
    with a_deployment(tmp_path, limits_calls_per_second="1000") as deployment:
        boxes = await asyncio.gather(*(an_enrolled_box(deployment) for _ in range(FLEET)))
        former = [Folder(path=box.state).keys.identity() for box in boxes]
        streams = [box.start("run") for box in boxes]
        for stream in streams:
            await asyncio.to_thread(stream.wait_for, "connected", within=SECONDS_MAX)
        windows = [Window(box=box, holder=await a_cardholder(deployment)) for box in boxes[1:]]  # one is quiet
        first = deployment.domain.authority.issuer_id

        async with patients(windows):
            second = await next_authority(deployment)
            started, late = await asyncio.gather(
                command(
                    deployment, "rollout", "start", "--action", "renew-certificate", "--issuer", first,
                    "--groups", "50%,100%", "--pace", "600", *WHY,
                ),
                an_enrolled_box(deployment),
            )  # fmt: skip
            late_stream = late.start("run")
            await asyncio.to_thread(late_stream.wait_for, "connected", within=SECONDS_MAX)
            happened = [await moved_in_good_order(stream) for stream in streams]
            everybody = FLEET + 1
            await eventually(lambda: terminals_on(deployment, second) == (everybody, everybody))
            await eventually(lambda: terminals_on(deployment, first) == (0, 0))
            await command(deployment, "ca", "taint", first, *WHY)
            await command(deployment, "ca", "revoke", first, *WHY)
            for window in windows:
                await window.goes_on()
            shown = await issuers(deployment)

        refused = [await refused_as(box, identity) for box, identity in zip(boxes, former, strict=True)]
        afterwards = [await what_happened_until_stopped(stream) for stream in (*streams, late_stream)]
        [paid] = deployment.query("SELECT count(*) FROM settlements WHERE state = 'SETTLED'")
        [rollout] = deployment.query(
            "SELECT state, state_reason FROM rollouts WHERE rollout_id = :id", id=started["rollout_id"]
        )

    assert [failure for window in windows for failure in window.failures] == []
    assert paid == (sum(window.paid for window in windows),)
    assert happened == [["renewed", "command"]] * FLEET
    assert afterwards == [[]] * (FLEET + 1)
    assert rollout == ("DONE", "all settled")
    assert {issuer_id: (issuer["state"], issuer["share"]) for issuer_id, issuer in shown.items()} == {
        first: ("REVOKED", "0%"),
        second: ("ACTIVE", "100%"),
    }
    assert issuer_of(Folder(path=late.state).keys.identity()) == second
    assert refused == ["CERTIFICATE_RETIRED"] * FLEET  # by the first use of the next one, before the issuer was revoked


def issuer_of(identity: Identity) -> str:
    """Return the id that stands in the name of whoever signed a certificate."""
    leaf = x509.load_pem_x509_certificate(identity.chain_pem)
    return leaf.issuer.rfc4514_string().rpartition(" ")[2]


async def refused_as(box: Box, identity: Identity) -> str:
    """Return why a terminal is refused with a certificate it had."""
    async with connection_of(box, identity) as channel:
        return refusal(await looked_up(channel)).reason
