"""Exit codes and events of verbs that end before a platform is asked."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from mock_terminal.attack import Attack
from mock_terminal.cli import app
from mock_terminal.errors import PlatformRefusedError
from mock_terminal.leaving import Exit
from mock_terminal.lock import Lock
from mock_terminal.report import Reporter

NOBODY = "127.0.0.1:1"


def left(*arguments: str) -> tuple[int, Mapping[str, Any]]:
    """Run a verb; return its exit code and its last event."""
    done = CliRunner().invoke(app, [*arguments, "--json"])
    lines = done.stdout.splitlines()
    return done.exit_code, json.loads(lines[-1]) if lines else {}


def test_each_exit_code_is_told_in_the_help() -> None:
    text = CliRunner().invoke(app, ["--help"]).stdout

    assert all(str(code.value) in text for code in Exit)


@pytest.mark.parametrize("verb", ["run", "renew", "resume"])
def test_a_terminal_that_is_not_enrolled_says_so(tmp_path: Path, verb: str) -> None:
    code, event = left(verb, "--platform", NOBODY, "--state", str(tmp_path / "none"))

    assert code == Exit.USAGE
    assert (event["event"], event["reason"]) == ("failed", "STATE_UNUSABLE")


def test_a_bill_of_an_unknown_kind_is_refused_here() -> None:
    code, event = left("pay", "--platform", NOBODY, "--total-fen", "100", "--business-type", "4711")

    assert (code, event["reason"]) == (Exit.USAGE, "INPUT_UNUSABLE")


@pytest.mark.parametrize("given", [(), ("--claim", "missing.json")])
def test_a_face_without_a_claim_is_refused_here(given: tuple[str, ...]) -> None:
    code, event = left("pay", "--platform", NOBODY, "--total-fen", "100", *given)

    assert (code, event["reason"]) == (Exit.USAGE, "INPUT_UNUSABLE")


@pytest.mark.parametrize(
    "trust", [(), ("--root-fingerprint", "abc"), ("--root-fingerprint", "é" * 64), ("--root", "missing.pem")]
)
def test_without_a_root_to_trust_nothing_is_sent(tmp_path: Path, trust: tuple[str, ...]) -> None:
    enroll = ("enroll", "--serial", "S", "--token", "T", "--platform-enroll", NOBODY, "--state", str(tmp_path))

    code, event = left(*enroll, *trust)

    assert (code, event["reason"]) == (Exit.USAGE, "INPUT_UNUSABLE")


@pytest.mark.parametrize("address", ["127.0.0.1", ":7443", "127.0.0.1:port", ""])
def test_an_address_needs_host_and_port(tmp_path: Path, address: str) -> None:
    enroll = ("enroll", "--serial", "S", "--token", "T", "--state", str(tmp_path), "--root-fingerprint", "a" * 64)

    code, event = left(*enroll, "--platform-enroll", address)

    assert (code, event["reason"]) == (Exit.USAGE, "INPUT_UNUSABLE")


def test_nobody_at_the_address_is_unreachable(tmp_path: Path) -> None:
    enroll = ("enroll", "--serial", "S", "--token", "T", "--state", str(tmp_path), "--root-fingerprint", "a" * 64)

    code, event = left(*enroll, "--platform-enroll", NOBODY)

    assert (code, event["reason"]) == (Exit.UNREACHABLE, "PLATFORM_UNREACHABLE")


def test_an_unknown_attack_is_a_usage_error() -> None:
    assert left("attack", "bribery", "--platform", NOBODY)[0] == Exit.USAGE


def test_an_attack_that_is_not_named_is_a_usage_error() -> None:
    code, event = left("attack", "--platform", NOBODY)

    assert (code, event["reason"]) == (Exit.USAGE, "INPUT_UNUSABLE")
    assert all(kind.value in event["message"] for kind in Attack)


@pytest.mark.parametrize(
    "who",
    [
        (),
        ("--claim", "claim.json", "--identify"),
        ("--identify", "--practitioner", "D330100000001", "--at", "30.25,120.15"),
        ("--practitioner", "D330100000001"),
        ("--practitioner", "D330100000001", "--at", "here"),
    ],
    ids=["nobody", "two at once", "two others", "no place", "no such place"],
)
def test_a_session_needs_one_way_to_say_who_is_there(who: tuple[str, ...]) -> None:
    code, event = left("face", "--platform", NOBODY, *who)

    assert (code, event["reason"]) == (Exit.USAGE, "INPUT_UNUSABLE")


def test_i07_a_second_factor_that_is_none_is_refused_without_repeating_it(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "face.png"), np.zeros((60, 60, 3), np.uint8))
    (tmp_path / "points.json").write_text('{"points": [[1, 1], [9, 1], [5, 5], [2, 9], [8, 9]]}', encoding="utf-8")
    face = ("--portrait", str(tmp_path / "face.png"), "--landmarks", str(tmp_path / "points.json"))

    code, event = left("face", "--platform", NOBODY, "--identify", "--last-four", "12345", *face)

    assert (code, event["reason"]) == (Exit.USAGE, "INPUT_UNUSABLE")
    assert "12345" not in event["message"]


def test_a_locked_terminal_looks_at_nobody(tmp_path: Path) -> None:
    Lock(state=tmp_path).lock()

    code, event = left("face", "--platform", NOBODY, "--state", str(tmp_path), "--identify")

    assert (code, event["reason"]) == (Exit.REFUSED, "TERMINAL_LOCKED")


def test_a_table_has_every_column_that_any_row_has(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"kind": "flat-photo", "refused": True}, {"kind": "screen-video", "refused": False, "known_gap": True}]

    Reporter(as_json=False).table("attacks", rows)
    Reporter(as_json=True).table("attacks", rows)

    *table, line = capsys.readouterr().out.splitlines()
    assert [row.split() for row in table] == [
        ["kind", "refused", "known", "gap"],
        ["flat-photo", "yes"],
        ["screen-video", "no", "yes"],
    ]
    assert json.loads(line)["rows"] == rows


def test_brackets_in_the_platforms_words_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    Reporter(as_json=False).event("failed", public="say [/] or [bold]", actions=["TURN_LEFT", "TURN_RIGHT"], none=None)

    shown = capsys.readouterr().out
    assert "say [/] or [bold]" in shown
    assert "TURN_LEFT, TURN_RIGHT" in shown
    assert "none" not in shown


def test_a_platforms_details_never_hide_the_standard_ones() -> None:
    refused = PlatformRefusedError(code="ABORTED", reason="R", public="P", metadata={"code": "4711", "limit": "5"})

    assert refused.as_fields() == {"code": "ABORTED", "reason": "R", "public": "P", "limit": "5"}


@pytest.mark.parametrize(
    ("changes", "is_definite"),
    [
        ({}, True),
        ({"attempts": 2}, False),
        ({"is_platforms_word": False}, False),
        ({"code": "INTERNAL"}, False),
        ({"code": "UNAVAILABLE"}, False),
        ({"code": "RESOURCE_EXHAUSTED"}, False),
    ],
)
def test_only_the_platforms_own_no_to_a_first_attempt_is_definite(
    changes: dict[str, Any], *, is_definite: bool
) -> None:
    fields: dict[str, Any] = {"code": "FAILED_PRECONDITION", "reason": "R", "public": "", "is_platforms_word": True}

    assert PlatformRefusedError(**{**fields, **changes}).is_definite is is_definite
