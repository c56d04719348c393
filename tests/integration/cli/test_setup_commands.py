"""Configuration, models and pages: what somebody meets who sets the platform up, and how mistakes are told."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from server.cli import VERBS
from server.commands.mistakes import NEXT, ExitCode
from server.store import open_engine
from server.store.migrations import alembic_config, newest_revision_id
from tests.integration.cli.conftest import Ask


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(ask: Ask, verb: str) -> None:
    reply = ask(verb, "--help")

    assert reply.code == 0
    assert "Usage" in reply.out


def test_the_main_help_names_every_verb_and_every_exit_code(ask: Ask) -> None:
    reply = ask("--help")

    assert [verb for verb in VERBS if verb not in reply.out] == []
    assert all(f"{code.value} " in reply.out for code in ExitCode)


def test_an_unknown_verb_is_a_usage_error(ask: Ask) -> None:
    assert ask("nonsense").code == ExitCode.USAGE


def test_all_mistakes_of_the_configuration_are_told_at_once(ask: Ask, tmp_path: Path) -> None:
    file = tmp_path / "shualian.toml"
    file.write_text('[http]\nport = 70000\n[log]\nlevel = "loud"\n[nothing]\nx = 1\n', encoding="utf-8")

    reply = ask("--config", str(file), "config", "show")

    assert reply.code == ExitCode.CONFIGURATION
    for word in ("http.port", "log.level", "nothing"):
        assert word in reply.err


def test_the_configuration_in_force_is_shown_with_the_environment_on_top(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "shualian.toml"
    file.write_text("[http]\nport = 8001\n[terminal]\nport = 8002\n", encoding="utf-8")
    monkeypatch.setenv("SHUALIAN_HTTP_PORT", "8003")

    shown = ask("--config", str(file), "config", "show", "--json").json

    assert (shown["http"]["port"], shown["terminal"]["port"]) == (8003, 8002)
    assert "port = 8003" in ask("--config", str(file), "config", "show").out


def test_missing_models_are_named_one_by_one(ask: Ask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SHUALIAN_MODELS_DIR", str(tmp_path / "empty"))

    verified = ask("models", "verify", "--json")
    looked = ask("face", "landmarks", __file__, "--json")

    assert verified.code == 1
    assert {file["state"] for file in verified.json["files"]} == {"missing"}
    assert looked.code == ExitCode.NOT_SET_UP
    assert looked.json["error"]["next"] == "Run `shualian models install`."


def test_the_list_of_models_tells_origin_and_licence(ask: Ask) -> None:
    files = ask("models", "list", "--json").json["files"]

    assert {"detection", "embedding", "liveness"} <= {file["job"] for file in files}
    assert all(file["licence"] and file["source"] and len(file["sha256"]) == 64 for file in files)


def test_pages_are_written_and_a_stale_one_is_named(ask: Ask, tmp_path: Path) -> None:
    folder = str(tmp_path / "docs")
    ask("docs", "write", "--folder", folder)
    fresh = ask("docs", "check", "--folder", folder, "--json")

    (tmp_path / "docs" / "errors.md").write_text("old", encoding="utf-8")
    stale = ask("docs", "check", "--folder", folder, "--json")
    (tmp_path / "docs" / "metrics.md").unlink()
    told = ask("docs", "check", "--folder", folder).out

    assert (fresh.code, fresh.json) == (0, {"ok": True, "stale": []})
    assert (stale.code, stale.json["stale"]) == (1, [str(tmp_path / "docs" / "errors.md")])
    assert "errors.md is stale; run `shualian docs write`" in told
    assert "metrics.md is missing; run `shualian docs write`" in told
    assert "`TERMINAL_REVOKED`" in ask("docs", "errors").out
    assert "`SHUALIAN_HTTP_PORT`" in ask("docs", "configuration").out


def test_what_to_do_next_is_only_told_for_reasons_that_exist() -> None:
    from server.errors import ANSWERS  # noqa: PLC0415 - slow, and this test alone needs it
    from server.secret_files import KeyFileMissingError  # noqa: PLC0415 - as above
    from server.settings import ConfigError  # noqa: PLC0415 - as above

    reasons = {getattr(kind, "reason", "") for kind in (*ANSWERS, KeyFileMissingError, ConfigError)}

    assert set(NEXT) - reasons == set()


@pytest.mark.usefixtures("site")
def test_i10_serve_refuses_to_start_without_models(ask: Ask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SHUALIAN_MODELS_DIR", str(tmp_path / "empty"))

    reply = ask("serve")

    assert reply.code == ExitCode.NOT_SET_UP
    assert "shualian models install" in reply.err


@pytest.mark.usefixtures("site")
def test_serve_says_where_it_listens_and_leaves_politely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for listener in ("ENROLLMENT", "TERMINAL", "ADMIN", "HTTP"):
        monkeypatch.setenv(f"SHUALIAN_{listener}_PORT", "0")
    ready_file = tmp_path / "ready.json"
    command = [str(Path(sys.executable).parent / "shualian"), "serve", "--ready-file", str(ready_file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        until = time.monotonic() + 40
        while not ready_file.exists() and server.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        server.terminate()
        out, err = server.communicate(timeout=20)

    ready = json.loads(ready_file.read_text("utf-8"))
    assert server.returncode == 0, err
    assert all(ready[port] in out for port in ("enrollment", "terminal", "http"))
    assert all(json.loads(line)["event"] for line in err.splitlines())


@pytest.mark.usefixtures("site")
@pytest.mark.usefixtures("site")
def test_a_command_that_looks_at_no_face_and_no_schema_loads_no_library_for_them() -> None:
    slow = {"alembic", "numpy", "cv2", "onnx", "onnxruntime", "starlette"}
    script = f"import sys; from server.cli import run; run(['site', 'list']); print({slow} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "set()"


def test_the_newest_revision_by_its_number_is_the_newest_one_to_alembic(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'empty.db'}")
    with engine.begin() as connection:
        heads = ScriptDirectory.from_config(alembic_config(connection)).get_heads()
    engine.dispose()

    assert heads == [newest_revision_id()]
