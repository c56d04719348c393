"""Who the insurer is, is chosen once: what a core needs is asked for at start, all of it at once."""

from pathlib import Path

import pytest

from server.config import load_config
from server.secret_files import KeyFileError
from server.settings import ConfigError
from server.settings.insurer import InsurerKind
from server.settlement.errors import InsurerUnavailableError
from server.settlement.insurers.absent import AbsentInsurer
from server.settlement.insurers.fsi.building import read_fsi
from server.settlement.insurers.fsi.profile import NATIONAL
from tests.support.fsi import a_claim

FSI = {
    "SHUALIAN_INSURER_KIND": "fsi",
    "SHUALIAN_FSI_BASE_URL": "https://core.example",
    "SHUALIAN_FSI_INSTITUTION_CODE": "H99010000001",
    "SHUALIAN_FSI_INSTITUTION_NAME": "示例市第一人民医院",
    "SHUALIAN_FSI_REGION": "990100",
    "SHUALIAN_FSI_PAASID": "shualian-test",
}


def test_the_local_insurer_is_the_default_and_asks_for_nothing() -> None:
    assert load_config(None, {}).insurer.kind is InsurerKind.LOCAL


def test_a_core_is_configured_by_address_institution_and_paasid() -> None:
    config = load_config(None, FSI)

    assert config.insurer.kind is InsurerKind.FSI
    assert config.fsi.base_url == "https://core.example"


def test_everything_that_is_missing_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        load_config(None, {"SHUALIAN_INSURER_KIND": "fsi"})

    told = " ".join(error.value.mistakes)
    for key in ("base_url", "institution_code", "institution_name", "paasid", "region"):
        assert f"fsi.{key}" in told


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"SHUALIAN_FSI_BASE_URL": "http://core.example"}, "must be https"),
        ({"SHUALIAN_FSI_BASE_URL": "https://me:pass@core.example"}, "password"),
        ({"SHUALIAN_FSI_REGION": "99O100"}, "six digits"),
        ({"SHUALIAN_FSI_ANSWER_TIMEOUT": "60s"}, "insurer_timeout"),
    ],
)
def test_what_cannot_be_is_told(changes: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        load_config(None, {**FSI, **changes})


def test_i03_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    config = load_config(None, FSI)
    with pytest.raises(KeyFileError, match="missing"):
        read_fsi(config.fsi, keys_dir=tmp_path)
    secret = tmp_path / "fsi-secret"
    secret.write_text("made-up-secret\n")
    secret.chmod(0o644)
    with pytest.raises(KeyFileError, match="mode"):
        read_fsi(config.fsi, keys_dir=tmp_path)
    secret.chmod(0o600)

    assert read_fsi(config.fsi, keys_dir=tmp_path).secrets.secret == secret.read_text().strip()


def test_keys_that_a_profile_needs_are_asked_for_together(tmp_path: Path) -> None:
    example = NATIONAL.with_name("example_province.toml")
    config = load_config(None, {**FSI, "SHUALIAN_FSI_PROFILE": str(example)})

    with pytest.raises(ConfigError) as error:
        read_fsi(config.fsi, keys_dir=tmp_path)

    told = " ".join(error.value.mistakes)
    for key in ("fsi.private_key", "fsi.core_key", "fsi.app_id"):
        assert key in told


async def test_i10_a_process_without_a_line_knows_nothing() -> None:
    absent = AbsentInsurer()

    assert absent.is_in_house is False
    for asking in (absent.quote(a_claim()), absent.query("x"), absent.cancel("x"), absent.reverse("x")):
        with pytest.raises(InsurerUnavailableError):
            await asking
    with pytest.raises(InsurerUnavailableError):
        absent.statements  # noqa: B018 - a property that refuses
