"""The player of the demo: order, failure, times, and nothing left behind."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from server.demo.narrator import JsonNarrator, StoryTeller
from server.demo.play import play
from server.demo.stage import Stage, Told
from server.demo.story import STEPS, Step
from server.programs import StepFailedError, ask, environment, program


def step(name: str, body: Callable[[Stage], Told]) -> Step:
    return Step(name=name, chapter="Chapter", title=name.title(), play=body)


def works(stage: Stage) -> Told:
    stage.known["folder"] = stage.folder
    return Told(line="it works", notes=["a note"], details={"answer": 42})


def fails(_stage: Stage) -> Told:
    raise StepFailedError("it does not")


def surprised(_stage: Stage) -> Told:
    raise KeyError("receipt_id")


def test_steps_are_told_in_order_up_to_the_first_that_fails(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    steps = [step("one", works), step("two", fails), step("three", works)]

    ok = play(steps, JsonNarrator(), models_dir=tmp_path)

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert not ok
    assert [(line["step"], line["ok"]) for line in lines] == [("one", True), ("two", False), ("summary", False)]
    assert lines[0]["answer"] == 42
    assert lines[1]["error"] == "it does not"
    assert lines[2]["failed"] == "two"


def test_an_answer_of_another_shape_fails_the_step_and_not_the_program(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert not play([step("one", surprised)], JsonNarrator(), models_dir=tmp_path)

    assert "KeyError" in json.loads(capsys.readouterr().out.splitlines()[0])["error"]


def test_the_temporary_folder_and_every_process_are_gone_in_the_end(tmp_path: Path) -> None:
    met: list[Stage] = []

    def starts(stage: Stage) -> Told:
        met.append(stage)
        stage.start("sleeper", "python", "-c", "import time; time.sleep(60)")
        return Told(line="started")

    assert not play(
        [step("one", starts), step("two", fails)], StoryTeller(Console(file=io.StringIO())), models_dir=tmp_path
    )

    [stage] = met
    assert not stage.folder.exists()
    assert not stage.running


def test_a_process_that_ignores_the_polite_signal_is_killed_by_its_pid(tmp_path: Path) -> None:
    stage = Stage(folder=tmp_path, models_dir=tmp_path)
    script = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        'print(\'{"event": "up"}\', flush=True); time.sleep(60)'
    )
    stubborn = stage.start("stubborn", "python", "-c", script)
    stubborn.wait_for("up", within=20)

    assert stubborn.stop(within=0.2) == -9
    stage.close()


def test_a_folder_that_is_kept_is_named_in_the_end(tmp_path: Path) -> None:
    out = io.StringIO()

    assert play(
        [step("one", works)], StoryTeller(Console(file=out, width=100)), models_dir=tmp_path, keep=tmp_path / "kept"
    )

    assert (tmp_path / "kept").is_dir()
    for words in ("刷脸 Shualian", "✓ One", "it works", "a note", "All 1 steps", "kept"):
        assert words in out.getvalue()


def test_the_demo_runs_the_programs_beside_this_python_and_no_stray_setting_reaches_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SHUALIAN_HTTP_PORT", "1")

    assert "SHUALIAN_HTTP_PORT" not in environment({})
    assert environment({"SHUALIAN_DATA_DIR": "x"})["SHUALIAN_DATA_DIR"] == "x"
    with pytest.raises(StepFailedError, match="not installed"):
        program("no-such-program")


def test_what_a_command_says_about_its_failure_reaches_the_step(tmp_path: Path) -> None:
    env = environment({"SHUALIAN_DATA_DIR": str(tmp_path)})

    with pytest.raises(StepFailedError, match=r"site list left with 4: .*ca init"):
        ask([program("shualian"), "site", "list"], env=env)


def test_the_story_has_the_steps_that_were_promised() -> None:
    names = [told.name for told in STEPS]

    assert len(set(names)) == len(names)
    assert names[:2] == ["models", "authority"]
    assert names.index("maker") < names.index("registered") < names.index("enrolled")
    assert names[-5:] == ["next_authority", "rotated", "revoked", "healed", "books"]
