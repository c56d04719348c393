"""The circuit breaker, with a clock that a test moves."""

from datetime import timedelta

from server.settlement.insurers.fsi.breaker import Breaker, BreakerState
from tests.support.clock import Clock


def a_breaker(clock: Clock) -> tuple[Breaker, list[BreakerState]]:
    """Return one that opens after two failures for ten seconds, and what it tells."""
    told: list[BreakerState] = []
    breaker = Breaker(now=clock.now, failures_max=2, open_for=timedelta(seconds=10), on_state=told.append)
    return breaker, told


def test_it_opens_after_failures_in_a_row_and_not_before() -> None:
    breaker, told = a_breaker(Clock())
    breaker.failed()
    breaker.succeeded()
    breaker.failed()
    assert breaker.let_pass()

    breaker.failed()

    assert not breaker.let_pass()
    assert told == [BreakerState.OPEN]


def test_half_open_lets_one_try_and_its_success_closes_it() -> None:
    clock = Clock()
    breaker, told = a_breaker(clock)
    breaker.failed()
    breaker.failed()
    clock.advance(timedelta(seconds=10))

    assert [breaker.let_pass(), breaker.let_pass()] == [True, False]
    breaker.succeeded()

    assert breaker.let_pass()
    assert told == [BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED]


def test_half_open_opens_again_with_one_failure() -> None:
    clock = Clock()
    breaker, _ = a_breaker(clock)
    breaker.failed()
    breaker.failed()
    clock.advance(timedelta(seconds=10))
    assert breaker.let_pass()

    breaker.failed()

    assert breaker.state is BreakerState.OPEN
    clock.advance(timedelta(seconds=10))
    assert breaker.let_pass()


def test_a_try_whose_caller_left_makes_room_for_the_next() -> None:
    clock = Clock()
    breaker, _ = a_breaker(clock)
    breaker.failed()
    breaker.failed()
    clock.advance(timedelta(seconds=10))
    assert breaker.let_pass()

    breaker.left()

    assert breaker.let_pass()


def test_a_clock_that_is_set_back_does_not_keep_it_open_for_ever() -> None:
    clock = Clock()
    breaker, _ = a_breaker(clock)
    breaker.failed()
    breaker.failed()

    clock.advance(-timedelta(days=1))

    assert breaker.let_pass()
