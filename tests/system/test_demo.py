"""The demo is the acceptance of the main job: real processes, from an empty folder to closed books."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from server.demo.story import STEPS

SHUALIAN = str(Path(sys.executable).parent / "shualian")
SECONDS_MAX = 480  # a minute on a quiet machine; this one may be busy with other tests


def shualian(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SHUALIAN, *arguments], env={**os.environ, **environment}, capture_output=True, text=True,
        timeout=SECONDS_MAX, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, dict[str, dict[str, Any]], Path]:
    """Return the exit code, the lines by step, and the folder that was kept."""
    kept = tmp_path_factory.mktemp("demo") / "kept"
    done = shualian("demo", "--json", "--keep", str(kept))
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines, done.stderr
    return done.returncode, {line["step"]: line for line in lines}, kept


@pytest.mark.timeout(SECONDS_MAX + 10)
def test_the_demo_plays_every_step_and_says_so(demo: tuple[int, dict[str, dict[str, Any]], Path]) -> None:
    code, lines, _ = demo

    assert [line for line in lines.values() if not line["ok"]] == []
    assert list(lines) == [*(step.name for step in STEPS), "summary"]
    assert all(line["ms"] >= 0 for line in lines.values())
    assert code == 0


@pytest.mark.timeout(SECONDS_MAX + 10)
def test_the_terminal_got_in_by_its_factory_identity_and_no_token_was_ever_made(
    demo: tuple[int, dict[str, dict[str, Any]], Path],
) -> None:
    _, lines, kept = demo

    with closing(sqlite3.connect(kept / "platform" / "shualian.sqlite")) as books:
        [pinned] = books.execute("SELECT terminal_id FROM terminals WHERE factory_key_sha256 IS NOT NULL").fetchall()
        [tokens] = books.execute("SELECT count(*) FROM enrollment_tokens").fetchall()
    assert pinned == (lines["enrolled"]["terminal_id"],) == (lines["registered"]["terminal_id"],)
    assert tokens == (0,)


@pytest.mark.timeout(SECONDS_MAX + 10)
def test_the_fleet_moved_to_the_next_authority(demo: tuple[int, dict[str, dict[str, Any]], Path]) -> None:
    _, lines, _ = demo

    following, rotated = lines["next_authority"], lines["rotated"]
    assert following["issuer_id"] != following["former_issuer_id"]
    assert rotated["issuer_id"] == following["issuer_id"]
    assert (rotated["share"], rotated["dependents_on_former"]) == ("100%", 0)
    assert rotated["certificates"] == ["CURRENT", "RETIRED"]


@pytest.mark.timeout(SECONDS_MAX + 10)
def test_i05_the_repeated_request_got_the_same_receipt_and_moved_no_money(
    demo: tuple[int, dict[str, dict[str, Any]], Path],
) -> None:
    _, lines, _ = demo

    settled, repeated = lines["settled"], lines["repeated"]
    parts = settled["pooled_fund_fen"] + settled["personal_account_fen"] + settled["self_pay_fen"]
    assert parts == settled["total_fen"]
    assert repeated["receipt_id"] == settled["receipt_id"]
    assert repeated["balance_fen"] == settled["personal_account_balance_fen"]


@pytest.mark.timeout(SECONDS_MAX + 10)
def test_what_stands_behind_a_face_decides_what_it_is_good_for(
    demo: tuple[int, dict[str, dict[str, Any]], Path],
) -> None:
    _, lines, _ = demo

    assert lines["face"]["sealed"]
    assert lines["face"]["pin_free_limit_fen"] > lines["colour_only"]["pin_free_limit_fen"] > 0
    assert (lines["unmoved"]["actions"], lines["unmoved"]["pin_free_limit_fen"]) == ([], 0)


@pytest.mark.timeout(SECONDS_MAX + 10)
def test_i09_whoever_only_looked_like_the_person_was_refused(demo: tuple[int, dict[str, dict[str, Any]], Path]) -> None:
    _, lines, _ = demo

    pretenders = ("flat_photo", "cut_out", "screen_replay", "virtual_camera")
    assert {lines[step]["outcome"] for step in pretenders} <= {"SPOOF_SUSPECTED", "INSUFFICIENT"}
    assert lines["wrong_person"]["outcome"] == "NOT_MATCHED"


@pytest.mark.timeout(SECONDS_MAX + 10)
def test_i02_the_revoked_terminal_lost_its_stream_and_how_soon_is_told(
    demo: tuple[int, dict[str, dict[str, Any]], Path],
) -> None:
    _, lines, _ = demo

    assert lines["revoked"]["reason"] == "TERMINAL_REVOKED"
    assert lines["revoked"]["cut_ms"] > 0


@pytest.mark.timeout(SECONDS_MAX + 10)
def test_i05_a_lost_answer_of_the_insurer_ends_settled_once_on_both_books(
    demo: tuple[int, dict[str, dict[str, Any]], Path],
) -> None:
    _, lines, kept = demo

    healed = lines["healed"]
    assert (healed["state"], healed["tried"][0], healed["tried"][-1]) == ("SETTLED", "NO_ANSWER", "SETTLED")
    with closing(sqlite3.connect(kept / "far-away" / "core-books.sqlite")) as books:
        booked = books.execute("SELECT state, fund_fen FROM settlements").fetchall()
    assert booked == [("SETTLED", healed["pooled_fund_fen"])]


@pytest.mark.timeout(SECONDS_MAX + 10)
def test_i07_nothing_personal_is_left_in_clear_in_what_the_platform_wrote(
    demo: tuple[int, dict[str, dict[str, Any]], Path],
) -> None:
    _, _, kept = demo

    from server.demo.stage import CARD_NUMBER, DOCTOR_NAME, ID_NUMBER, PERSON_NAME  # noqa: PLC0415 - the example of this test alone

    logs = [kept / f"{role}.log" for role in ("platform", "second platform", "core")]
    folders = [kept / "platform", kept / "far-away" / "platform"]
    written = [path for path in (*logs, *(each for folder in folders for each in folder.rglob("*"))) if path.is_file()]
    found = [
        (path.name, secret)
        for path in written
        for secret in (CARD_NUMBER, ID_NUMBER, PERSON_NAME, DOCTOR_NAME)
        if secret.encode() in path.read_bytes()
    ]
    assert len(written) >= 16
    assert found == []


def test_i10_without_models_the_demo_fails_and_says_which_step(tmp_path: Path) -> None:
    broken = tmp_path / "models"
    broken.write_text("a file where the folder should be", encoding="utf-8")

    done = shualian("demo", "--json", SHUALIAN_MODELS_DIR=str(broken))

    summary = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == 1
    assert (summary["ok"], summary["failed"]) == (False, "models")


@pytest.mark.timeout(SECONDS_MAX + 10)
def test_a_demo_that_is_terminated_stops_what_it_started(tmp_path: Path) -> None:
    command = [SHUALIAN, "demo", "--json", "--keep", str(tmp_path / "kept")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        serving = next(line for line in map(json.loads, demo.stdout) if line["step"] == "serving")
        demo.terminate()
        demo.communicate(timeout=SECONDS_MAX / 2)

    assert demo.returncode == 143
    with pytest.raises(ProcessLookupError):
        os.kill(serving["pid"], 0)
