"""The process: it tells where it listens, refuses to start half, and stops in good order."""

import asyncio
import json
import signal
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from device_registry import Authority, CertificateLifetimes
from face_pipeline import ModelMissingError
from monitoring.metrics import Metrics
from server import wiring
from server.config import Config
from server.keyring import make_keys, read_keys
from server.platform import build
from server.secret_files import KeyFileExposedError, KeyFileMissingError
from server.wiring import build_domain
from tests.support.platform import a_config

SERVE = """
import sys
from dataclasses import replace
from pathlib import Path
from server.config import load_config
from server.listeners import serve
config = load_config(None, {"SHUALIAN_DATA_DIR": sys.argv[1], "SHUALIAN_LIMITS_STOP_GRACE": "500ms",
    **{f"SHUALIAN_{name}_PORT": "0" for name in ("ENROLLMENT", "TERMINAL", "ADMIN", "HTTP")}})
serve(config, ready_file=Path(sys.argv[1]) / "ready.json")
"""


def prepared(folder: Path) -> Config:
    config = a_config(folder)
    make_keys(config)
    Authority.create(
        config.authority_dir,
        passphrase=config.ca_passphrase.read_bytes(),
        now=lambda: datetime.now(UTC),
        lifetimes=CertificateLifetimes(),
    )
    return config


async def test_it_says_where_it_listens_and_stops_on_sigterm(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("s")
    prepared(folder)
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", SERVE, str(folder))
    try:
        ready = await ready_file(folder / "ready.json", process)
        assert ready["pid"] == str(process.pid)
        assert all(ready[name] for name in ("enrollment", "terminal", "http", "diagnostics"))
        process.send_signal(signal.SIGTERM)

        assert await asyncio.wait_for(process.wait(), 30) == 0
        assert not Path(ready["diagnostics"]).exists()  # noqa: ASYNC240  # as above
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def ready_file(path: Path, process: asyncio.subprocess.Process) -> dict[str, str]:
    for _ in range(300):
        if path.exists():  # noqa: ASYNC240  # a test may wait for a disk
            found = json.loads(path.read_text(encoding="utf-8"))  # noqa: ASYNC240  # as above
            return {name: str(value) for name, value in found.items()}
        assert process.returncode is None
        await asyncio.sleep(0.1)
    raise AssertionError("not ready within 30 s")


def test_i10_without_models_nothing_starts(tmp_path: Path) -> None:
    config = prepared(tmp_path)
    domain = build_domain(replace(config, models_dir=tmp_path / "no-models"))

    with pytest.raises(ModelMissingError):
        build(domain, Metrics())
    domain.engine.dispose()


def test_i03_keys_are_made_once_for_their_owner_alone(tmp_path: Path) -> None:
    config = a_config(tmp_path)
    made = make_keys(config)

    assert {path.stat().st_mode & 0o777 for path in made} == {0o600}
    assert config.keys_dir.stat().st_mode & 0o777 == 0o700
    assert make_keys(config) == []
    assert "PRIVATE" not in repr(read_keys(config))


def test_i03_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    config = a_config(tmp_path)
    with pytest.raises(KeyFileMissingError):
        read_keys(config)
    made = make_keys(config)
    made[1].chmod(0o640)

    with pytest.raises(KeyFileExposedError):
        read_keys(config)


def test_all_rooms_lie_side_by_side() -> None:
    wiring.refuse_scattered_rooms()
