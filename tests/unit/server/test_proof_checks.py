"""The thread that checks strangers' proofs: beside the event loop, and never with an endless queue before it."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from device_registry.errors import RenewalProofRefusedError, TooManyChallengesError
from server.proof_checks import ProofChecks


@pytest.fixture
def checks() -> Iterator[ProofChecks]:
    checks = ProofChecks(waiting_max=2)
    yield checks
    checks.close()


async def test_a_check_runs_beside_the_event_loop_and_its_answer_comes_back(checks: ProofChecks) -> None:
    assert await checks.run(threading.current_thread) is not threading.current_thread()


async def test_what_a_check_refuses_is_raised_where_it_was_asked(checks: ProofChecks) -> None:
    def refuse() -> None:
        raise RenewalProofRefusedError("not signed by the old key")

    with pytest.raises(RenewalProofRefusedError):
        await checks.run(refuse)


async def test_one_more_than_may_wait_is_refused_and_later_ones_are_welcome_again(checks: ProofChecks) -> None:
    may_end = threading.Event()
    waiting = [asyncio.create_task(checks.run(lambda: may_end.wait(60))) for _ in range(2)]
    await asyncio.sleep(0)

    with pytest.raises(TooManyChallengesError) as caught:
        await checks.run(lambda: True)

    may_end.set()
    assert await asyncio.gather(*waiting) == [True, True]
    assert caught.value.retry_after.total_seconds() > 0
    assert await checks.run(lambda: True)
