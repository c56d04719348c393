"""`shualian person import`: people come in from a file and a folder of pictures, asked of the real command line."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from face_pipeline import portrait
from server.config import load_config
from server.credentials.identity import checksum
from tests.integration.cli.conftest import Ask

HEADER = "name,id_number,region,image,card_number,phone,site"
PHONE = "13800004321"


def an_id_number(serial: int) -> str:
    digits = f"99999919000101{serial:03d}"
    return digits + checksum(digits)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Return a folder with two good portraits, a picture of nothing, and a file that is no picture."""
    folder = tmp_path / "images"
    folder.mkdir()
    models = load_config(None, {}).models_dir
    (folder / "grace_hopper.jpg").write_bytes(portrait(models, "grace_hopper").read_bytes())
    small = cv2.imread(str(portrait(models, "astronaut")))  # a face of 90 px; 112 are wanted
    cv2.imwrite(str(folder / "astronaut.jpg"), cv2.resize(np.asarray(small), None, fx=1.5, fy=1.5))
    (folder / "text.jpg").write_bytes(b"no picture at all")
    (tmp_path / "outside.jpg").write_bytes((folder / "astronaut.jpg").read_bytes())
    return folder


def a_file(tmp_path: Path, *lines: str, header: str = HEADER) -> Path:
    path = tmp_path / "people.csv"
    path.write_text("\n".join([header, *lines, ""]), encoding="utf-8")
    return path


def imported(ask: Ask, file: Path, images: Path, *more: str) -> Any:  # noqa: ANN401 - what the command answered
    return ask("person", "import", str(file), "--images", str(images), *more, "--json")


def test_people_are_enrolled_with_face_card_phone_and_site(ask: Ask, site: str, tmp_path: Path, images: Path) -> None:
    file = a_file(
        tmp_path,
        f"某甲乙,{an_id_number(1)},110000,astronaut.jpg,A1234567890,{PHONE},Demo clinic",
        f"某丙,{an_id_number(2)},110000,grace_hopper.jpg,,,",
    )

    reply = imported(ask, file, images)

    assert reply.code == 0
    assert {key: reply.json[key] for key in ("added", "completed", "known", "refused")} == {
        "added": 2, "completed": 0, "known": 0, "refused": 0,
    }  # fmt: skip
    assert ask("person", "galleries", "--json").json["galleries"] == [
        {"site_id": site, "people": 1, "people_max": 1000}
    ]
    with closing(sqlite3.connect(tmp_path / "data" / "shualian.sqlite")) as database:
        for (person_id,) in database.execute("SELECT person_id FROM insured_people").fetchall():
            shown = ask("person", "show", person_id, "--json").json
            assert shown["face"] is True
            assert shown["balance_fen"] == 0


@pytest.mark.usefixtures("site")
def test_i07_a_second_run_goes_on_where_the_first_stopped_and_reports_tell_nobody_anything(
    ask: Ask, tmp_path: Path, images: Path
) -> None:
    """Bad lines stop no other; what is told about them is their number and column, never what stands in them."""
    lines = [
        f"某甲乙,{an_id_number(1)},110000,astronaut.jpg,A1234567890,{PHONE},",
        f"某丁,{an_id_number(3)},110000,text.jpg,,,",  # 3: no picture
        f"某戊,{an_id_number(4)[:-1]}?,110000,astronaut.jpg,,,",  # 4: no ID number
        f"某己,{an_id_number(5)},110000,../outside.jpg,,,",  # 5: not in the folder
        f"某庚,{an_id_number(6)},110000,missing.jpg,,,",  # 6: not there
        f"某辛,{an_id_number(1)},110000,grace_hopper.jpg,,,",  # 7: the first one's number
        f"某壬,{an_id_number(7)},110000,grace_hopper.jpg,A1234567890,,",  # 8: the first one's card
        f"某癸,{an_id_number(8)},110000,grace_hopper.jpg,,,Nowhere",  # 9: no site
        f",{an_id_number(9)},110000,grace_hopper.jpg,,,",  # 10: no name
        f"某子,{an_id_number(10)},110000,grace_hopper.jpg,,12,",  # 11: no phone
    ]
    file = a_file(tmp_path, *lines)

    first = imported(ask, file, images, "--report", str(tmp_path / "refused.json"))
    again = imported(ask, file, images)
    plain = ask("person", "import", str(file), "--images", str(images), "--report", str(tmp_path / "refused.csv"))

    assert first.code == 1
    assert (first.json["added"], first.json["refused"]) == (1, 9)
    assert [(bad["line"], bad["column"], bad["reason"]) for bad in first.json["bad_lines"]] == [
        (3, "image", "FRAME_UNDECODABLE"), (4, "id_number", "ID_NUMBER_INVALID"), (5, "image", "IMAGE_MISSING"),
        (6, "image", "IMAGE_MISSING"), (7, "id_number", "ID_NUMBER_REPEATED"), (8, "card_number", "CARD_TAKEN"),
        (9, "site", "SITE_UNKNOWN"), (10, "name", "FIELD_MISSING"), (11, "phone", "PHONE_NUMBER_INVALID"),
    ]  # fmt: skip
    assert (again.json["added"], again.json["known"], again.json["refused"]) == (0, 1, 9)
    report = json.loads((tmp_path / "refused.json").read_text(encoding="utf-8"))
    assert report == first.json["bad_lines"]
    told = first.out + again.out + plain.out + plain.err + (tmp_path / "refused.csv").read_text(encoding="utf-8")
    for secret in (
        "某甲乙",
        "某丁",
        "某戊",
        an_id_number(1),
        an_id_number(3),
        PHONE,
        "A1234567890",
        "outside",
        "Nowhere",
    ):
        assert secret not in told


def test_who_is_known_without_a_face_or_a_place_gets_what_is_missing(
    ask: Ask, site: str, tmp_path: Path, images: Path
) -> None:
    added = ask(
        "person", "add", "--name", "某甲乙", "--id-number", an_id_number(1), "--region", "110000", "--no-pin", "--json"
    ).json["person_id"]
    without_place = a_file(tmp_path, f"某甲乙,{an_id_number(1)},110000,astronaut.jpg,,,")
    first = imported(ask, without_place, images).json
    with_place = a_file(tmp_path, f"某甲乙,{an_id_number(1)},110000,astronaut.jpg,,,{site}")
    second, third = imported(ask, with_place, images).json, imported(ask, with_place, images).json
    other_name = a_file(tmp_path, f"某丙,{an_id_number(1)},110000,astronaut.jpg,,,{site}")
    fourth = imported(ask, other_name, images).json

    assert ask("person", "show", added, "--json").json["face"] is True
    assert (first["completed"], second["completed"], third["known"]) == (1, 1, 1)
    assert [bad["reason"] for bad in fourth["bad_lines"]] == ["PERSON_DIFFERS"]


def test_a_dry_run_looks_at_every_picture_and_changes_nothing(
    ask: Ask, site: str, tmp_path: Path, images: Path
) -> None:
    file = a_file(
        tmp_path,
        f"某甲乙,{an_id_number(1)},110000,astronaut.jpg,,,{site}",
        f"某丁,{an_id_number(3)},110000,text.jpg,,,",
    )

    reply = imported(ask, file, images, "--dry-run")

    assert (reply.json["added"], reply.json["refused"], reply.json["dry_run"]) == (1, 1, True)
    with closing(sqlite3.connect(tmp_path / "data" / "shualian.sqlite")) as database:
        for table in ("insured_people", "face_templates", "person_sites"):
            assert database.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)  # noqa: S608 - our own names


@pytest.mark.usefixtures("site")
def test_a_file_without_the_columns_is_refused_whole(ask: Ask, tmp_path: Path, images: Path) -> None:
    file = a_file(tmp_path, "某甲乙,1", header="name,number")

    reply = ask("person", "import", str(file), "--images", str(images))

    assert reply.code == 2
    assert "no column id_number, region, image" in reply.err
