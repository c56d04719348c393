"""Keys of the face templates, and deletion that can be proven, asked of the real command line."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from face_pipeline import portrait
from face_pipeline.frames import Template
from face_pipeline.template_keys import HeldKeys
from face_pipeline.templates import open_sealed, seal
from server.config import load_config
from server.template_keys import TemplateKeyFiles
from tests.integration.cli.conftest import Ask
from tests.integration.cli.test_people_and_books import add_person

FIRST = "template.key"


@pytest.fixture
def person(ask: Ask, site: str, tmp_path: Path) -> str:  # noqa: ARG001 - the platform it is on
    """Return the id of somebody with a face."""
    picture = portrait(load_config(None, {}).models_dir, "grace_hopper")
    return str(add_person(ask, tmp_path, "--portrait", str(picture)).json["person_id"])


def the_database(tmp_path: Path) -> sqlite3.Connection:
    return sqlite3.connect(tmp_path / "data" / "shualian.sqlite")


def the_files(tmp_path: Path) -> bytes:
    return b"".join(path.read_bytes() for path in (tmp_path / "data").glob("shualian.sqlite*"))


def the_sealed(tmp_path: Path, person_id: str) -> bytes:
    with closing(the_database(tmp_path)) as database:
        found = database.execute("SELECT sealed FROM face_templates WHERE person_id = ?", (person_id,)).fetchone()
    return bytes(found[0]) if found else b""


def test_a_new_key_takes_the_place_of_the_old_one_which_can_then_be_dropped(
    ask: Ask, person: str, tmp_path: Path
) -> None:
    before = the_sealed(tmp_path, person)
    too_early = ask("person", "drop-key", FIRST)
    made = ask("person", "rekey", "--new-key", "--json")
    needed = ask("person", "drop-key", FIRST)
    between = ask("person", "keys", "--json").json
    rekeyed = ask("person", "rekey", "--json")
    again = ask("person", "rekey", "--json")
    newest = ask("person", "drop-key", "template-2.key")
    dropped = ask("person", "drop-key", FIRST, "--json")
    after = ask("person", "keys", "--json").json

    assert (too_early.code, needed.code, newest.code, dropped.code) == (1, 1, 1, 0)
    assert "1 templates still need it" in needed.err
    assert Path(made.json["made"]).stat().st_mode & 0o777 == 0o600
    assert between["left"] == 1
    assert [(key["file"], key["templates"]) for key in between["keys"]] == [("template-2.key", 0), (FIRST, 1)]
    assert (rekeyed.json, again.json) == ({"resealed": 1, "unopened": 0}, {"resealed": 0, "unopened": 0})
    assert [(key["file"], key["templates"], key["is_newest"]) for key in after["keys"]] == [("template-2.key", 1, True)]
    anew = the_sealed(tmp_path, person)
    keys = TemplateKeyFiles(tmp_path / "data" / "keys")
    assert anew != before
    assert len(open_sealed(anew, keys=keys, person_id=person).embedding) > 0
    assert ask("person", "show", person, "--json").json["face"] is True
    assert ask("person", "drop-key", "people-data.key").code == 1
    with closing(the_database(tmp_path)) as database:
        actions = [row[0] for row in database.execute("SELECT action FROM audit_log WHERE action LIKE 'template%'")]
    assert actions == ["template_key_made", "templates_rekeyed", "templates_rekeyed", "template_key_dropped"]


def test_what_no_key_opens_is_told_and_stays_and_keeps_its_key_from_being_dropped(
    ask: Ask, person: str, tmp_path: Path
) -> None:
    foreign = HeldKeys(b"f" * 32)
    numbers = np.full(128, 1 / np.sqrt(128), np.float32)
    sealed = seal(Template(embedding=numbers, model_id="m@0"), keys=foreign, person_id=person)
    with closing(the_database(tmp_path)) as database, database:
        database.execute("UPDATE face_templates SET sealed = ? WHERE person_id = ?", (sealed, person))
    ask("person", "rekey", "--new-key")

    rekeyed = ask("person", "rekey", "--json")
    usage = ask("person", "keys", "--json").json

    assert (rekeyed.code, rekeyed.json) == (1, {"resealed": 0, "unopened": 1})
    assert the_sealed(tmp_path, person) == sealed
    assert [key["templates"] for key in usage["keys"] if not key["file"]] == [1]


def test_a_forgotten_face_leaves_nothing_on_the_disk_and_a_receipt_that_can_be_checked(
    ask: Ask, person: str, tmp_path: Path
) -> None:
    sealed = the_sealed(tmp_path, person)
    too_early = ask("person", "verify-forgotten", person, "--json")
    was_there = sealed in the_files(tmp_path)

    forgotten = ask("person", "forget-face", person, "--reason", "asked to", "--json").json
    checked = ask("person", "verify-forgotten", person, "--json")

    files = the_files(tmp_path)
    assert was_there
    assert too_early.code == 1
    assert sealed not in files
    for at in range(0, len(sealed) - 32, 32):
        assert sealed[at : at + 32] not in files, at
    assert forgotten["scrubbed"] is True
    assert (checked.code, checked.json["forgotten"]) == (0, True)
    assert {name: checked.json["receipt"][name] for name in ("sealed_sha256", "audit_entry", "audit_hash")} == {
        name: forgotten[name] for name in ("sealed_sha256", "audit_entry", "audit_hash")
    }
    with closing(the_database(tmp_path)) as database:
        (details,) = database.execute("SELECT details FROM audit_log WHERE action = 'face_forgotten'").fetchone()
        events = database.execute("SELECT count(*) FROM events WHERE subject = ?", (person,)).fetchone()
    assert json.loads(details) == {"sealed_sha256": forgotten["sealed_sha256"]}
    assert events == (2,)  # remembered, forgotten: what running servers follow
    assert "yes" in ask("person", "verify-forgotten", person).out


def test_a_remnant_a_later_face_or_a_changed_record_is_found_out(ask: Ask, person: str, tmp_path: Path) -> None:
    sealed = the_sealed(tmp_path, person)
    ask("person", "forget-face", person, "--reason", "asked to")
    path = tmp_path / "data" / "shualian.sqlite"

    def failed() -> set[str]:
        found = ask("person", "verify-forgotten", person, "--json").json["findings"]
        return {finding["name"] for finding in found if finding["is_passed"] is False}

    whole = path.read_bytes()
    with path.open("ab") as file:
        file.write(bytes(200) + person.encode() + sealed)
    with_remnant = failed()
    path.write_bytes(whole)
    with closing(the_database(tmp_path)) as database, database:
        database.execute("INSERT INTO face_templates VALUES (?, ?, 0)", (person, sealed))
    with_row = failed()
    with closing(the_database(tmp_path)) as database, database:
        database.execute("PRAGMA secure_delete=ON")
        database.execute("DELETE FROM face_templates")
        database.execute("UPDATE audit_log SET details = '{}' WHERE action = 'face_forgotten'")
    with_changed_record = failed()

    assert with_remnant == {"database_files"}
    assert with_row == {"database_row", "database_files"}
    assert with_changed_record == {"audit_chain"}
