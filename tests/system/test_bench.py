"""Two benches that start a platform of their own run at the smallest size and say what they promise to say.

`handshakes` and `fleet` stand on the same parts; `make bench` runs them all.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import http2
from bench.deployment import percentile
from bench.face_load import not_matched
from bench.face_window import Told
from device_registry import AuditLog
from shualian.terminal.v1 import face_pb2
from tests.support.clock import Clock
from tests.support.database import SqliteDatabase

ROOT = Path(__file__).parents[2]
SECONDS_MAX = 300

KEYS = {
    "enrollments": (
        "enrollment_ratio enrollments_per_second enrollments_bare_per_second enrollment_server_ms enrollment_settings"
    ),
    "face_memory": (
        "face_memory_sessions face_memory_bytes_per_session face_memory_rss_kib_warm face_memory_rss_kib_last "
        "face_memory_rss_kib_max face_memory_ends face_memory_settings"
    ),
    "revocation": (
        "revocation_terminals revocation_many revocation_p50_ms revocation_p99_ms revocation_max_ms "
        "revocation_at_once_p50_ms revocation_at_once_p99_ms revocation_at_once_max_ms "
        "revocation_in_a_row_p50_ms revocation_in_a_row_p99_ms revocation_in_a_row_max_ms"
    ),
}


def measured(*arguments: str) -> dict[str, Any]:
    """Return the figures of one run, as `shualian bench --json` prints them."""
    done = subprocess.run(
        [sys.executable, "-m", "server", "bench", *arguments, "--quick", "--json"],
        cwd=ROOT, capture_output=True, text=True, timeout=SECONDS_MAX, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


@pytest.mark.timeout(SECONDS_MAX + 10)
def test_a_rate_is_measured_beside_its_yardstick() -> None:
    figures = measured("enrollments")

    assert KEYS["enrollments"].split() == [key for key in figures if key not in {"python", "quick", "seconds"}]
    assert all(value > 0 for value in figures.values() if isinstance(value, float))


@pytest.mark.timeout(SECONDS_MAX + 10)
def test_a_few_terminals_are_measured_as_ten_thousand_are() -> None:
    figures = measured("revocation", "--terminals", "10")

    assert KEYS["revocation"].split() == [key for key in figures if key not in {"python", "quick", "seconds"}]
    assert figures["revocation_terminals"] == 10


@pytest.mark.timeout(SECONDS_MAX + 10)
def test_face_sessions_end_as_they_are_meant_to_while_memory_is_read() -> None:
    figures = measured("face_memory", "--sessions", "31")

    assert KEYS["face_memory"].split() == [key for key in figures if key not in {"python", "quick", "seconds"}]
    assert figures["face_memory_ends"] == {"INSUFFICIENT": 20, "ABANDONED": 10, "MATCHED": 1}


@pytest.mark.timeout(SECONDS_MAX + 10)
def test_honest_face_sessions_are_decided_alone_and_beside_others() -> None:
    figures = measured("face_load", "--sessions", "2")

    assert figures["face_load_ratio"] > 0
    assert figures["face_load_alone_sessions"] == 2
    assert figures["face_load_at_once"] == 2
    assert figures["face_load_full_sessions"] >= 2
    assert figures["face_load_beside_sessions"] == 1
    for name in ("alone", "full", "beside"):
        unrecognised = figures[f"face_load_{name}_sessions"] - figures[f"face_load_{name}_matched"]
        assert sum(figures[f"face_load_{name}_not_matched"].values()) == unrecognised


def test_an_honest_person_who_was_not_recognised_is_counted_with_the_reason_that_the_audit_has(
    sqlite_database: SqliteDatabase,
) -> None:
    audit = AuditLog(now=Clock().now)
    ends = {"s-1": "", "s-2": "challenge_not_done", "s-3": "challenge_not_done"}
    outcomes = {
        "s-1": face_pb2.DECISION_OUTCOME_MATCHED,
        "s-2": face_pb2.DECISION_OUTCOME_INSUFFICIENT,
        "s-3": face_pb2.DECISION_OUTCOME_INSUFFICIENT,
        "s-4": face_pb2.DECISION_OUTCOME_NOT_MATCHED,
    }
    told = [
        Told(session_id=each, decision=face_pb2.Decision(outcome=outcome), actions=(), sent=(), seconds=1)
        for each, outcome in outcomes.items()
    ]

    with sqlite_database.engine.begin() as connection:
        for each, reasons in ends.items():
            audit.append(connection, actor="t", action="face.decided", subject=each, details={"reasons": reasons})
        counted = not_matched(connection, audit, told)

    assert counted == {"INSUFFICIENT: challenge_not_done": 2, "NOT_MATCHED": 1}


def test_a_measurement_that_does_not_exist_is_told_with_those_that_do() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "nonsense"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode != 0
    assert "no measurement nonsense" in done.stderr
    assert "handshakes" in done.stderr


def test_frames_are_taken_off_whole_and_the_rest_waits() -> None:
    received = bytearray(http2.message(b"one") + http2.message(b"two")[:-1])

    frames = list(http2.frames_in(received))

    assert [list(http2.messages_in(bytearray(frame.payload))) for frame in frames] == [[b"one"]]
    assert bytes(received) == http2.message(b"two")[:-1]


@pytest.mark.parametrize(("part", "expected"), [(0.50, 50.0), (0.99, 99.0), (1.0, 100.0)])
def test_a_percentile_is_a_value_that_was_measured(part: float, expected: float) -> None:
    assert percentile([float(value) for value in range(100, 0, -1)], part) == expected
