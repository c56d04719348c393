"""The same seed plans the same run; every kind of process is killed even in the shortest one."""

from collections import Counter
from datetime import timedelta
from itertools import islice

import pytest

from server.checker.orders import orders
from server.checker.plan import CORE, DATABASE, IN_THE_TERMINAL, ON_THE_WIRE, SERVER, Kind, Plan, make_plan, plan_from


def a_plan(seed: int = 7, *, minutes: float = 30, has_core: bool = True, has_database: bool = False) -> Plan:
    return make_plan(
        seed=seed,
        lasting=timedelta(minutes=minutes),
        terminals=3,
        has_core=has_core,
        has_database=has_database,
    )


def test_a_seed_plans_the_same_run_again_and_another_seed_another_one() -> None:
    assert a_plan(7) == a_plan(7)
    assert a_plan(7).faults != a_plan(8).faults


def test_a_plan_survives_being_written_down() -> None:
    assert plan_from(a_plan().as_json()) == a_plan()


@pytest.mark.parametrize("has_core", [True, False])
def test_the_first_faults_kill_each_kind_of_process_once(*, has_core: bool) -> None:
    for seed in range(20):
        first = a_plan(seed, minutes=0.5, has_core=has_core).faults[: 3 if has_core else 2]
        victims = {"terminal" if fault.victim.startswith("till-") else fault.victim for fault in first}

        assert {fault.kind for fault in first} == {Kind.KILL}
        assert victims == ({SERVER, CORE, "terminal"} if has_core else {SERVER, "terminal"})


def test_half_an_hour_has_two_hundred_kills_and_every_kind_of_fault_at_every_place() -> None:
    faults = a_plan(minutes=30).faults
    kills = [fault for fault in faults if fault.kind is Kind.KILL]
    places = {(fault.victim.partition("-")[0], fault.place) for fault in kills}

    assert len(kills) >= 200
    assert {fault.kind for fault in faults} == set(Kind)
    for place in ON_THE_WIRE:
        assert {("server", place), ("core", place), ("till", place)} <= places
    assert {("till", place) for place in IN_THE_TERMINAL} <= places


def test_without_a_core_nothing_is_done_to_one_and_without_a_database_process_neither() -> None:
    faults = a_plan(has_core=False).faults

    assert not {CORE, DATABASE} & ({fault.victim for fault in faults} | {fault.leg for fault in faults})


@pytest.mark.parametrize("has_core", [True, False])
def test_a_database_process_is_killed_among_the_first_and_while_the_server_works_but_not_filled(
    *, has_core: bool
) -> None:
    faults = a_plan(has_core=has_core, has_database=True).faults
    kills = [fault for fault in faults if fault.victim == DATABASE]

    assert DATABASE in {fault.victim for fault in faults[: 4 if has_core else 3]}
    assert {fault.kind for fault in kills} == {Kind.KILL}
    assert {fault.leg for fault in kills if fault.delay_ms} >= ({CORE} if has_core else {"till-1"})
    assert SERVER not in {fault.victim for fault in faults if fault.kind is Kind.DISK_FULL}


def test_the_bills_of_a_terminal_follow_from_the_seed_and_have_a_number_each() -> None:
    first = list(islice(orders(seed=3, terminal="till-1", payers=range(9)), 400))

    assert first == list(islice(orders(seed=3, terminal="till-1", payers=range(9)), 400))
    assert first != list(islice(orders(seed=4, terminal="till-1", payers=range(9)), 400))
    assert len({order.bill_number for order in first}) == 400
    assert set(Counter(order.then for order in first)) == {"keep", "repeat", "cancel", "reverse", "overtake"}
    assert all(0 <= order.not_covered_fen <= order.total_fen for order in first)


def test_bills_are_paid_in_every_way_and_half_of_them_by_few() -> None:
    first = list(islice(orders(seed=3, terminal="till-1", payers=range(36), with_relative={0, 2}), 1_000))
    channels = {tuple(part.partition(":")[0] for part in order.self_pay.split(",")) for order in first}

    assert channels == {("",), ("electronic",), ("credit",), ("electronic", "credit"), ("credit", "electronic")}
    assert {order.by for order in first} == {"card", "code"}
    assert {order.payer for order in first if order.is_for_relative} == {0, 2}
    assert sum(order.payer < 9 for order in first) > 500
