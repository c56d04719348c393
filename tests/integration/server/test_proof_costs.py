"""What a proof costs the platform: nothing of the one writer until it holds, and one nonce when it does not."""

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection

from tests.support.clock import Clock
from tests.support.enrollment_port import DEVICE, Port, a_port, refused, today
from tests.support.factory import Factory, an_ec_key


@pytest.fixture
async def port() -> AsyncIterator[Port]:
    """Run a platform whose clock is 35 days behind the real one, so that a certificate of today has really lapsed."""
    clock = Clock(datetime.now(UTC) - timedelta(days=35))
    async with a_port(clock.now, clock) as port:
        yield port


async def test_a_refused_proof_costs_its_nonce_and_is_looked_at_once(port: Port) -> None:
    today(port)
    await port.register(DEVICE)
    asked = await port.a_request(Factory(maker="Nobody").make(DEVICE.serial_number))

    answers = [await refused(port.stub.Enroll(asked)) for _ in range(2)]

    assert [answer.reason for answer in answers] == ["FACTORY_PROOF_REFUSED", "NONCE_REFUSED"]


async def test_a_genuine_device_keeps_its_nonce_while_its_operators_mend_what_they_forgot(port: Port) -> None:
    today(port)
    asked = await port.a_request(DEVICE)
    forgotten = await refused(port.stub.Enroll(asked))
    terminal = await port.register(DEVICE)

    answer = await port.stub.Enroll(asked)

    assert forgotten.reason == "TERMINAL_UNREGISTERED"
    assert answer.terminal_id == terminal.terminal_id


async def test_a_refused_late_renewal_costs_its_nonce(port: Port) -> None:
    held = await port.active()
    today(port)
    asked = await port.a_late_request(held, signing_key=an_ec_key())

    answers = [await refused(port.stub.RenewExpired(asked)) for _ in range(2)]

    assert [answer.reason for answer in answers] == ["RENEWAL_PROOF_REFUSED", "NONCE_REFUSED"]


async def test_who_has_no_open_nonce_does_not_get_as_far_as_the_one_writer(port: Port) -> None:
    held = await port.active()
    today(port)
    enrolling, renewing = await port.a_request(DEVICE), await port.a_late_request(held)
    port.clock.advance(timedelta(hours=1))  # the nonces are over
    begun, may_end = threading.Event(), threading.Event()

    def occupy(_connection: Connection) -> None:
        begun.set()
        may_end.wait(60)

    occupied = asyncio.create_task(port.running.write(occupy))
    await asyncio.to_thread(begun.wait, 60)
    try:
        answers = [
            await refused(port.stub.Enroll(enrolling, timeout=20)),
            await refused(port.stub.RenewExpired(renewing, timeout=20)),
        ]
    finally:
        may_end.set()
        await occupied

    assert [answer.reason for answer in answers] == ["NONCE_REFUSED", "NONCE_REFUSED"]


async def test_proofs_are_checked_neither_in_the_event_loop_nor_by_the_writer() -> None:
    clock_read_by: set[str] = set()

    def now() -> datetime:
        clock_read_by.add(threading.current_thread().name.rpartition("_")[0])
        return datetime.now(UTC)

    async with a_port(now) as port:
        answer = await refused(port.enroll(Factory(maker="Nobody").make(DEVICE.serial_number)))

    assert answer.reason == "FACTORY_PROOF_REFUSED"
    assert "proof-check" in clock_read_by


async def test_a_finding_costs_the_nonce_so_that_one_signature_is_counted_once(port: Port) -> None:
    today(port)
    await port.active()
    asked = await port.a_request(DEVICE)

    answers = [await refused(port.stub.Enroll(asked)) for _ in range(2)]

    (finding,) = await port.findings()
    assert [answer.reason for answer in answers] == ["CLONE_SUSPECTED", "NONCE_REFUSED"]
    assert finding.times == 1
