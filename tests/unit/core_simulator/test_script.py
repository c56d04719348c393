"""The simulated core misbehaves exactly as told, and the same way again."""

import pytest

from server.core_simulator.script import Fault, Rule, Script, ScriptError, script_from

MANY = 2_000


def struck(script: Script, *calls: str) -> list[Fault | None]:
    """Return what strikes a sequence of calls."""
    found = [script.next(call) for call in calls]
    return [rule.fault if rule is not None else None for rule in found]


def test_a_rule_strikes_its_calls_alone() -> None:
    script = Script(rules=[Rule(fault=Fault.DOWN, infno=("2207", "2601"))])

    assert struck(script, "2207", "1101", "2601") == [Fault.DOWN, None, Fault.DOWN]


def test_the_first_rule_that_strikes_counts() -> None:
    script = Script(rules=[Rule(fault=Fault.DOWN, count=1), Rule(fault=Fault.GARBLE)])

    assert struck(script, "2207", "2207") == [Fault.DOWN, Fault.GARBLE]
    assert script.strikes() == [1, 1]


def test_a_rule_leaves_calls_alone_at_first_and_ends_after_its_count() -> None:
    script = Script(rules=[Rule(fault=Fault.DROP_BEFORE, skip=1, count=2)])

    assert struck(script, *["2207"] * 5) == [None, Fault.DROP_BEFORE, Fault.DROP_BEFORE, None, None]


def test_a_percentage_strikes_so_many() -> None:
    script = Script(seed=5, rules=[Rule(fault=Fault.DOWN, percent=10)])

    hits = sum(fault is not None for fault in struck(script, *["2207"] * MANY))

    assert 150 <= hits <= 250  # 200 expected; the seed is fixed, so this is one number


def test_the_same_seed_strikes_the_same_calls_whatever_comes_between() -> None:
    rules = [Rule(fault=Fault.DOWN, infno=("2207",), percent=50)]
    alone = struck(Script(seed=7, rules=rules), *["2207"] * 50)
    between = struck(Script(seed=7, rules=rules), *["2207", "1101"] * 50)[::2]

    assert alone == between
    assert struck(Script(seed=8, rules=rules), *["2207"] * 50) != alone


def test_a_script_is_read_from_toml_or_json() -> None:
    script = script_from({"seed": 3, "rule": [{"fault": "answer_late", "infno": "2207", "percent": 5, "seconds": 2}]})

    assert script.seed == 3
    assert script.rules == [Rule(fault=Fault.ANSWER_LATE, infno=("2207",), percent=5.0, seconds=2.0)]


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"rules": []},
        {"seed": "x"},
        {"rule": [{}]},
        {"rule": ["down"]},
        {"rule": [{"fault": "sulk"}]},
        {"rule": [{"fault": "down", "procent": 1}]},
        {"rule": [{"fault": "down", "percent": 101}]},
        {"rule": [{"fault": "down", "infno": []}]},
        {"rule": [{"fault": "delay"}]},
        {"rule": [{"fault": "delay", "seconds": 601}]},
        {"rule": [{"fault": "refuse", "infcode": 0}]},
        {"rule": [{"fault": "down", "count": -1}]},
        {"rule": [{"fault": "down"}] * 101},
    ],
)
def test_a_script_that_cannot_be_followed_is_refused(document: object) -> None:
    with pytest.raises(ScriptError):
        script_from(document)
