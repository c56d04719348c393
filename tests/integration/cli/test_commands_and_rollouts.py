"""What an operator does with commands and rollouts, asked of the real command line on a real database."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.cli.conftest import Ask

Register = Callable[[str], Any]


@pytest.fixture
def terminal(register: Register) -> str:
    """Return the serial number of a registered terminal."""
    register("SN-1")
    return "SN-1"


def test_a_command_is_queued_listed_and_taken_back(ask: Ask, terminal: str) -> None:
    sent = ask("command", "send", terminal, "set-configuration", "--heartbeat-seconds", "5", "--json").json
    assert (sent["action"], sent["heartbeat_interval_seconds"], sent["state"]) == ("SET_CONFIGURATION", 5.0, "WAITING")

    taken_back = ask("command", "cancel", sent["command_id"], "--reason", "wrong terminal", "--json").json

    assert taken_back["state"] == "CANCELLED"
    (listed,) = ask("command", "list", terminal, "--json").json["commands"]
    assert (listed["state"], listed["detail"]) == ("CANCELLED", "wrong terminal")
    again = ask("command", "cancel", sent["command_id"], "--reason", "again", "--json")
    assert (again.code, again.json["error"]["reason"]) == (1, "COMMAND_OVER")


def test_the_same_key_queues_once(ask: Ask, terminal: str) -> None:
    first = ask("command", "send", terminal, "RESTART", "--key", "night-1", "--json").json

    again = ask("command", "send", terminal, "restart", "--key", "night-1", "--json").json
    other = ask("command", "send", terminal, "lock", "--key", "night-1", "--json")

    assert again["command_id"] == first["command_id"]
    assert other.json["error"]["reason"] == "IDEMPOTENCY_KEY_REUSED"
    assert len(ask("command", "list", terminal, "--json").json["commands"]) == 1


def test_an_unlock_takes_the_place_of_a_lock_that_was_not_done(ask: Ask, terminal: str) -> None:
    ask("command", "send", terminal, "lock", "--reason", "glass broken")
    ask("command", "send", terminal, "unlock")

    commands = ask("command", "list", terminal, "--json").json["commands"]

    assert [(it["action"], it["state"], it["detail"]) for it in commands] == [
        ("UNLOCK", "WAITING", ""),
        ("LOCK", "SUPERSEDED", "NEWER_COMMAND"),
    ]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("set-configuration",), "INVALID_REQUEST"),
        (("lock", "--heartbeat-seconds", "5"), "INVALID_REQUEST"),
        (("offer-firmware", "--firmware", "0195a000-0000-7000-8000-00000000dead"), "INVALID_REQUEST"),
        (
            (
                "offer-firmware",
                "--firmware",
                "0195a000-0000-7000-8000-00000000dead",
                "--url",
                "https://mirror.example/f",
            ),
            "FIRMWARE_UNFIT",
        ),
        (("restart", "--lifetime", "2d"), "FIELD_INVALID"),
    ],
)
def test_an_order_that_does_not_fit_is_refused(
    ask: Ask, terminal: str, arguments: tuple[str, ...], reason: str
) -> None:
    refused = ask("command", "send", terminal, *arguments, "--json")

    assert refused.code != 0
    assert refused.json["error"]["reason"] == reason


@pytest.mark.usefixtures("terminal")
def test_a_rollout_without_anybody_is_refused_and_a_forecast_of_nobody_is_empty(ask: Ask) -> None:
    refused = ask("rollout", "start", "--action", "renew-certificate", "--reason", "yearly", "--json")
    forecast = ask("rollout", "forecast", "--json").json

    assert refused.json["error"]["reason"] == "ROLLOUT_EMPTY"  # it is registered, and has never enrolled
    assert (forecast["total"], forecast["laggards"]) == (0, [])
    assert ask("rollout", "list", "--json").json == {"rollouts": []}
    assert ask("rollout", "show", "0195a000-0000-7000-8000-00000000dead", "--json").json["error"]["reason"] == (
        "ROLLOUT_UNKNOWN"
    )
