"""The keys of the face templates in their folder: the newest seals, each opens, and a new one needs no restart."""

from pathlib import Path

import numpy as np
import pytest

from face_pipeline.errors import TemplateSealError
from face_pipeline.frames import Template
from face_pipeline.template_keys import key_id_of
from face_pipeline.templates import key_id_in, open_sealed, seal
from server.config import Config
from server.keyring import make_keys
from server.secret_files import KeyFileError, KeyFileExposedError, KeyFileMissingError
from server.template_keys import KEYS_MAX, TemplateKeyFiles

PERSON = "p-1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_keys(Config(data_dir=tmp_path))
    return tmp_path / "keys"


def a_template() -> Template:
    return Template(embedding=np.full(128, 1 / np.sqrt(128), np.float32), model_id="m@0")


def test_a_key_that_somebody_else_made_is_used_without_a_restart(folder: Path) -> None:
    """Two processes: one that runs, and the command that makes the key."""
    running, command = TemplateKeyFiles(folder), TemplateKeyFiles(folder)
    before = seal(a_template(), keys=running, person_id=PERSON)

    command.make()
    by_command = seal(a_template(), keys=command, person_id=PERSON)
    opened = open_sealed(by_command, keys=running, person_id=PERSON)
    by_running = seal(a_template(), keys=running, person_id=PERSON)

    assert opened.model_id == "m@0"
    assert key_id_in(by_running) == key_id_in(by_command) != key_id_in(before)
    assert open_sealed(before, keys=running, person_id=PERSON).model_id == "m@0"
    assert list(running.by_file()) == ["template-2.key", "template.key"]


def test_a_dropped_key_opens_nothing_more_and_is_not_made_again(folder: Path, tmp_path: Path) -> None:
    keys = TemplateKeyFiles(folder)
    before = seal(a_template(), keys=keys, person_id=PERSON)
    keys.make()

    keys.drop("template.key")

    with pytest.raises(TemplateSealError):
        open_sealed(before, keys=TemplateKeyFiles(folder), person_id=PERSON)
    assert make_keys(Config(data_dir=tmp_path)) == []
    assert [path.name for path in folder.glob("template*")] == ["template-2.key"]
    assert keys.make().name == "template-3.key"


def test_keys_are_numbered_and_bounded(folder: Path) -> None:
    keys = TemplateKeyFiles(folder)
    for _ in range(KEYS_MAX - 1):
        keys.make()

    with pytest.raises(KeyFileError, match="drop old ones"):
        keys.make()
    assert next(iter(keys.by_file())) == f"template-{KEYS_MAX}.key"
    assert len({key_id_of(key) for key in keys.all()}) == KEYS_MAX


def test_a_key_that_is_missing_exposed_or_cut_short_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyFileMissingError):
        TemplateKeyFiles(tmp_path / "nowhere")
    (folder / "template.key").chmod(0o644)
    with pytest.raises(KeyFileExposedError):
        TemplateKeyFiles(folder)
    (folder / "template.key").chmod(0o600)
    (folder / "template.key").write_bytes(b"short")
    with pytest.raises(KeyFileError, match="32 bytes"):
        TemplateKeyFiles(folder)
