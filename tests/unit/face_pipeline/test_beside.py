"""Whose work runs beside whose?"""

from concurrent.futures import ThreadPoolExecutor
from threading import Event, current_thread

import pytest

from face_pipeline.beside import Beside


def ran_on(beside: Beside) -> str:
    """Return on which thread some work runs, once a thread has had time to begin it."""
    begun = Event()

    def work() -> str:
        begun.set()
        return current_thread().name

    result = beside.begin(work)
    begun.wait(0 if beside.is_full else 30)
    return result()


def other_threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="other")


def test_where_a_processor_is_idle_the_work_runs_on_another_thread() -> None:
    beside = Beside(other_threads(), processors=2)

    with beside.looking():
        assert ran_on(beside).startswith("other")


def test_where_each_processor_has_a_frame_everybody_does_their_own_work() -> None:
    beside = Beside(other_threads(), processors=2)

    with beside.looking(), beside.looking():
        assert ran_on(beside) == current_thread().name
    with beside.looking():
        assert ran_on(beside).startswith("other")


def test_what_the_work_raised_is_raised_where_its_result_is_wanted() -> None:
    beside = Beside(processors=2)

    result = beside.begin(lambda: 1 // 0)

    with pytest.raises(ZeroDivisionError):
        result()


def test_a_frame_that_ends_badly_is_looked_at_no_more() -> None:
    beside = Beside(other_threads(), processors=1)

    with pytest.raises(ValueError, match="bad"), beside.looking():
        raise ValueError("bad")

    assert ran_on(beside).startswith("other")
