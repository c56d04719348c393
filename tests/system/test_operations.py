"""What an operator lives through: starts that must fail, a stop in good order, a full disk, a locked database."""

import asyncio
import json
import resource
import shutil
import signal
import socket
import sqlite3
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
import uuid_utils

from shualian.terminal.v1 import device_pb2, face_pb2, settlement_pb2
from tests.support.conversation import ControlCall, control_call
from tests.support.deployment import (
    ACCOUNT_FEN,
    SECONDS_MAX,
    Deployment,
    a_cardholder,
    a_deployment,
    a_terminal,
    add_visitor,
    an_enrolled_box,
    balance_fen,
    eventually,
)
from tests.support.models import installed_models_dir
from tests.support.payments import by_card, desk, quoted
from tests.support.platform import EnrolledTerminal, refusal
from tests.support.visitors import CARD_NUMBER, LIN, at, face_session, unmoved

STOP_GRACE_SECONDS = 60
"""Long enough for a face session on a machine that is busy; who is done sooner is not waited for."""
TWO_DAYS = timedelta(days=2)
NOT_SET_UP, CONFIGURATION = 4, 3  # exit codes of server/commands/mistakes.py


@pytest.fixture
async def fresh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Deployment]:
    """Return a platform of the test's own."""
    settings = {"limits_stop_grace": f"{STOP_GRACE_SECONDS}s", "face_stalled_after": "60s"}
    with a_deployment(tmp_path_factory.mktemp("fresh"), **settings) as deployment:
        yield deployment


@contextmanager
def not_started(folder: Path, **settings: str) -> Iterator[Deployment]:
    """Yield a deployment that nobody has started."""
    deployment = Deployment(folder, **settings)
    try:
        yield deployment
    finally:
        deployment.close()


def test_i10_without_keys_it_does_not_start_and_says_what_to_do(tmp_path: Path) -> None:
    with not_started(tmp_path) as deployment:
        done = deployment.serve_in_vain()

    assert done.code == NOT_SET_UP
    assert "shualian ca init" in done.words
    assert "Traceback" not in done.words


def test_i10_without_models_it_does_not_start_and_says_what_to_do(tmp_path: Path) -> None:
    with not_started(tmp_path, models_dir=str(tmp_path / "nothing")) as deployment:
        deployment.prepare()
        done = deployment.serve_in_vain()

    assert done.code == NOT_SET_UP
    assert "shualian models install" in done.words
    assert "Traceback" not in done.words


def test_i10_a_model_that_somebody_changed_is_not_used(tmp_path: Path) -> None:
    models = tmp_path / "models"
    shutil.copytree(installed_models_dir(), models)
    victim = models / "minifas-128.onnx"
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.chmod(0o600)
    victim.write_bytes(content)
    with not_started(tmp_path, models_dir=str(models)) as deployment:
        deployment.prepare()
        done = deployment.serve_in_vain()

    assert done.code == NOT_SET_UP
    assert victim.name in done.words
    assert "Traceback" not in done.words


def test_every_mistake_in_the_configuration_is_told_at_once(tmp_path: Path) -> None:
    wrong = {"terminal_port": "70000", "face_stalled_after": "soon", "limits_no_such_thing": "1", "log_level": "loud"}
    with not_started(tmp_path, **wrong) as deployment:
        done = deployment.serve_in_vain()

    told = ("terminal.port", "face.stalled_after", "SHUALIAN_LIMITS_NO_SUCH_THING", "log.level")
    assert done.code == CONFIGURATION
    assert [name for name in told if name not in done.words] == []
    assert "Traceback" not in done.words


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        with not_started(tmp_path, terminal_port=str(port)) as deployment:
            deployment.prepare()
            done = deployment.serve_in_vain()

    assert done.code == CONFIGURATION
    assert f"127.0.0.1:{port}" in done.words


async def test_the_probes_and_the_metrics_say_what_is_the_case(shared: Deployment) -> None:
    await a_terminal(shared)  # it enrolls: a call to be counted
    ready_status, ready = shared.http("/readyz")
    metrics = shared.http("/metrics")[1]

    assert shared.http("/livez") == (200, "alive\n")
    assert ready_status == 200
    assert all(json.loads(ready)["checks"].values())
    for name in ("rpc_seconds_bucket", "store_commit_seconds_count", "server_certificate_expiry", "build_info"):
        assert f"shualian_{name}" in metrics
    assert "process_resident_memory_bytes" in metrics
    assert "terminal_id" not in metrics  # DESIGN 10: never a label


async def test_on_sigterm_it_turns_unready_lets_the_session_finish_and_leaves_with_zero(fresh: Deployment) -> None:
    await asyncio.to_thread(add_visitor, fresh, LIN, card_number=CARD_NUMBER)
    terminal, connected = await a_terminal(fresh), await an_enrolled_box(fresh)
    running = connected.start("run")
    await asyncio.to_thread(running.wait_for, "connected", within=SECONDS_MAX)
    refused: list[grpc.aio.AioRpcError] = []

    async def sigterm() -> None:
        fresh.signal(signal.SIGTERM)
        await eventually(lambda: is_unready(fresh))
        refused.append(await new_call_refused(terminal))

    seen = await face_session(terminal, claims=LIN, shows=LIN, opens=unmoved(), once_accepted=sigterm)
    code = await asyncio.to_thread(fresh.server.wait, within=2 * STOP_GRACE_SECONDS)

    assert [error.code() for error in refused] == [grpc.StatusCode.UNAVAILABLE]
    assert seen.decision.outcome == face_pb2.DECISION_OUTCOME_MATCHED
    assert code == 0
    _, ended = await asyncio.to_thread(running.wait_for, "stream_ended", within=SECONDS_MAX)
    assert ended["code"] == "OK"  # goodbye, and a time to come back


async def test_i02_i05_what_was_paid_before_a_stop_and_who_was_revoked_during_it_are_known_after_it(
    fresh: Deployment,
) -> None:
    terminal, thief, holder = await a_terminal(fresh), await a_terminal(fresh), await a_cardholder(fresh)
    async with terminal.channel() as channel:
        request = await quoted(channel, by_card(holder.card_number, holder.pin))
        receipt = (await desk(channel).Settle(request)).receipt
    code = await asyncio.to_thread(fresh.server.stop)
    await asyncio.to_thread(fresh.shualian, "terminal", "revoke", thief.terminal_id, "--reason", "stolen")
    await asyncio.to_thread(fresh.start)
    async with terminal.channel() as channel:
        again = (await desk(channel).Settle(request)).receipt
    refused = refusal(await new_call_refused(thief))

    assert code == 0
    assert again == receipt
    assert refused.reason == "TERMINAL_REVOKED"


async def test_i10_a_database_that_another_process_locks_is_an_error_with_a_time_to_come_back(
    shared: Deployment,
) -> None:
    terminal, holder = await a_terminal(shared), await a_cardholder(shared)
    async with terminal.channel() as channel:
        request = await quoted(channel, by_card(holder.card_number, holder.pin))
        with locked(shared.data_dir / "shualian.sqlite"):
            refused = refusal(await settle_refused(channel, request))
            still_there = balance_fen_by_reading(shared, holder.account.account_id)
        receipt = (await desk(channel).Settle(request)).receipt

    assert (refused.code, refused.reason) == (grpc.StatusCode.UNAVAILABLE, "STORE_BUSY")
    assert refused.retry_after
    assert still_there == ACCOUNT_FEN
    assert balance_fen(shared, holder.account) == receipt.personal_account_balance_fen


async def test_i10_a_disk_that_is_full_is_an_error_and_after_it_everything_goes_on(fresh: Deployment) -> None:
    terminal, holder = await a_terminal(fresh), await a_cardholder(fresh)
    log_bytes = (fresh.folder / "platform.log").stat().st_size
    wal = fresh.data_dir / "shualian.sqlite-wal"
    async with terminal.channel() as channel:
        request = await quoted(channel, by_card(holder.card_number, holder.pin))
        assert wal.stat().st_size > log_bytes + 100_000  # the log may go on, the database may not
        with no_file_grows_beyond(fresh.server.pid, wal.stat().st_size):
            refused = refusal(await settle_refused(channel, request))
        receipt = (await desk(channel).Settle(request)).receipt
        again = (await desk(channel).Settle(request)).receipt

    assert (refused.code, refused.reason) == (grpc.StatusCode.UNAVAILABLE, "STORE_FAILED")
    assert refused.retry_after
    assert fresh.counted("store_failures_total", reason="STORE_FAILED") >= 1  # what the alert looks at
    assert again == receipt
    assert balance_fen(fresh, holder.account) == receipt.personal_account_balance_fen
    assert await asyncio.to_thread(fresh.books_are_sound)
    assert '"BUG"' not in fresh.log
    assert "Traceback" not in fresh.log


async def test_a_clock_two_days_off_is_let_in_noted_and_makes_no_transaction_ids(shared: Deployment) -> None:
    terminal, holder = await a_terminal(shared), await a_cardholder(shared)
    async with terminal.channel() as channel:
        call = control_call(channel)
        await call.write(hello(ahead=TWO_DAYS))
        welcome = (await call.read()).welcome
        shown = await asyncio.to_thread(shared.shualian, "terminal", "show", terminal.terminal_id)
        request = await quoted(channel, by_card(holder.card_number, holder.pin))
        request.transaction_id = a_uuid7_made_at(datetime.now(UTC) + TWO_DAYS)
        refused = refusal(await settle_refused(channel, request))
        call.cancel()

    assert abs(welcome.platform_time.ToDatetime(UTC) - datetime.now(UTC)) < timedelta(minutes=1)
    assert abs(shown["vitals"]["clock_skew_seconds"] - TWO_DAYS.total_seconds()) < 60
    assert (refused.code, refused.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "TRANSACTION_ID_TIME")


async def test_a_second_control_stream_supersedes_the_first(shared: Deployment) -> None:
    terminal = await a_terminal(shared)
    async with terminal.channel() as one, terminal.channel() as two:
        first, second = await connected_call(one), await connected_call(two)
        superseded = refusal(await first.refused())
        await second.write(heartbeat())
        answer = await second.read()
        second.cancel()

    assert (superseded.code, superseded.reason) == (grpc.StatusCode.ABORTED, "STREAM_SUPERSEDED")
    assert answer.heartbeat_ack.sequence == 1


async def test_a_command_of_an_operator_reaches_the_terminal_and_its_answer_comes_back(shared: Deployment) -> None:
    box = await an_enrolled_box(shared)
    running = box.start("run")
    await asyncio.to_thread(running.wait_for, "connected", within=SECONDS_MAX)
    before = box.state.joinpath("current", "chain.pem").read_bytes()
    await asyncio.to_thread(shared.shualian, "command", "send", box.serial_number, "RENEW_CERTIFICATE")
    _, obeyed = await asyncio.to_thread(running.wait_for, "command", within=SECONDS_MAX)
    await asyncio.to_thread(running.wait_for, "connected", within=SECONDS_MAX)
    shown = await asyncio.to_thread(shared.shualian, "terminal", "show", box.serial_number)
    await asyncio.to_thread(running.stop)

    assert (obeyed["action"], obeyed["outcome"]) == ("renew_certificate", "DONE")
    assert box.state.joinpath("current", "chain.pem").read_bytes() != before
    assert sorted(certificate["status"] for certificate in shown["certificates"]) == ["CURRENT", "RETIRED"]


def hello(*, ahead: timedelta = timedelta()) -> device_pb2.ConnectRequest:
    opening = device_pb2.Hello(firmware_version="1.0", terminal_time=at(datetime.now(UTC) + ahead))
    return device_pb2.ConnectRequest(hello=opening)


def heartbeat() -> device_pb2.ConnectRequest:
    return device_pb2.ConnectRequest(
        heartbeat=device_pb2.Heartbeat(
            sequence=1, terminal_time=at(), camera_state=device_pb2.CAMERA_STATE_READY, temperature_celsius=40
        )
    )


def a_uuid7_made_at(moment: datetime) -> str:
    """Return the id that a terminal with this clock would make."""
    return str(uuid.UUID(int=int(moment.timestamp() * 1000) << 80 | uuid_utils.uuid7().int & (1 << 80) - 1))


async def connected_call(channel: grpc.aio.Channel) -> ControlCall:
    call = control_call(channel)
    await call.write(hello())
    assert (await call.read()).WhichOneof("message") == "welcome"
    return call


def is_unready(deployment: Deployment) -> bool:
    """Return whether /readyz says no, or nobody answers there any more."""
    try:
        return deployment.http("/readyz")[0] == 503
    except OSError:
        return True


async def new_call_refused(terminal: EnrolledTerminal) -> grpc.aio.AioRpcError:
    async with terminal.channel() as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await quoted(channel, by_card(CARD_NUMBER, "000000"))
    return caught.value


async def settle_refused(channel: grpc.aio.Channel, request: settlement_pb2.SettleRequest) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await desk(channel).Settle(request)
    return caught.value


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Hold the write lock from this process, as a careless backup would."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")


@contextmanager
def no_file_grows_beyond(pid: int, size: int) -> Iterator[None]:
    """Let the kernel refuse a process to make any file larger, as a full disk does; no privilege is needed."""
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))


def balance_fen_by_reading(deployment: Deployment, account_id: str) -> int:
    """Return a balance without asking for the write lock."""
    path = deployment.data_dir / "shualian.sqlite"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        (row,) = connection.execute("SELECT balance_fen FROM accounts WHERE account_id = ?", (account_id,))
    return int(row[0])
