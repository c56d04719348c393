"""Settings are read once, checked at once, and documented where they stand."""

from datetime import timedelta
from pathlib import Path

import pytest

from server.config import Config, load_config, settings
from server.settings import ConfigError, duration_from_text


def written(folder: Path, text: str) -> Path:
    path = folder / "shualian.toml"
    path.write_text(text, encoding="utf-8")
    return path


def mistakes_in(path: Path | None, **environ: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load_config(path, environ)
    return caught.value.mistakes


def test_without_a_file_everything_has_a_default() -> None:
    config = load_config(None, {})

    assert config.enrollment.port == 7443
    assert config.database_url == "sqlite:///shualian-data/shualian.sqlite"
    assert config.keys_dir == Path("shualian-data/keys")


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, "[terminal]\nport = 1\naddress = '::1'\n")

    config = load_config(path, {"SHUALIAN_TERMINAL_PORT": "2", "PATH": "/bin"})

    assert (config.terminal.port, config.terminal.address) == (2, "::1")


def test_all_mistakes_are_told_at_once_with_the_nearest_name(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "data_dri = 'x'\n[registry]\ntoken_lifetime = '5s'\n[http]\nport = 'a'\n[log]\nlevel = 'loud'\n",
    )

    mistakes = mistakes_in(path, SHUALIAN_TERMINAL_PRT="1", SHUALIAN_FACE_SIMILARITY_MIN="nan")

    assert mistakes == (
        "environment: unknown variable SHUALIAN_TERMINAL_PRT; did you mean SHUALIAN_TERMINAL_PORT?",
        "unknown key data_dri; did you mean data_dir?",
        "http.port: must be a whole number",
        "registry.token_lifetime: 5s is outside 1min to 7d",
        "face.similarity_min: nan is outside 0.33 to 0.9",
        "log.level: must be one of debug, info, warning, error",
    )


def test_settings_that_contradict_each_other_are_refused() -> None:
    (mistake,) = mistakes_in(None, SHUALIAN_REGISTRY_OVERDUE_AFTER="30s")

    assert mistake == "registry.overdue_after: must be at least two heartbeat intervals"


@pytest.mark.parametrize(
    "url", ["postgresql://shualian:made-up@db/shualian", "postgresql://db/shualian?password=made-up&sslmode=require"]
)
def test_i03_a_password_in_the_database_url_is_refused_and_not_repeated(url: str) -> None:
    (mistake,) = mistakes_in(None, SHUALIAN_STORE_URL=url)

    assert mistake.startswith("store.url: must not hold a password")
    assert "made-up" not in mistake


def test_a_database_of_another_kind_is_refused() -> None:
    (mistake,) = mistakes_in(None, SHUALIAN_STORE_URL="mysql://db/shualian")

    assert mistake == "store.url: must begin with sqlite:/// or postgresql://"


def test_a_file_that_is_no_toml_is_one_mistake(tmp_path: Path) -> None:
    assert len(mistakes_in(written(tmp_path, "[[["))) == 1
    assert len(mistakes_in(tmp_path / "missing.toml")) == 1


@pytest.mark.parametrize(
    ("text", "seconds"), [("250ms", 0.25), ("90s", 90), ("5min", 300), ("1.5h", 5400), ("30d", 2_592_000)]
)
def test_durations_are_read_with_their_unit(text: str, seconds: float) -> None:
    assert duration_from_text(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "-1s", "1w", "1s 2s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        duration_from_text(text)


def test_every_setting_says_its_meaning_and_every_number_its_bound() -> None:
    for setting in settings():
        assert setting.meaning.endswith("."), setting.key
        if setting.kind in {"number", "whole number", "duration"}:
            assert setting.bound, setting.key


def test_the_defaults_keep_their_own_rules() -> None:
    assert load_config(None, {}).face == Config().face
