"""Labels of a folder: what is wrong with them is named by file and line, all at once."""

from pathlib import Path

import pytest

from face_pipeline.evaluation.errors import LabelsError
from face_pipeline.evaluation.folders import IMAGES, LIVENESS, PAIRS, read_images, read_pairs, read_presentations


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with pictures a.jpg to d.jpg; nobody looks into them here."""
    for name in "abcd":
        (tmp_path / f"{name}.jpg").write_bytes(b"")
    return tmp_path


def label(folder: Path, name: str, *lines: str) -> None:
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_pairs_are_read_as_labelled(folder: Path) -> None:
    label(folder, PAIRS, "file_a,file_b,same,remark", "a.jpg,b.jpg,1,twins", "a.jpg,c.jpg,0,")

    pairs = read_pairs(folder)

    assert [(pair.file_a, pair.file_b, pair.same) for pair in pairs] == [
        ("a.jpg", "b.jpg", True),
        ("a.jpg", "c.jpg", False),
    ]


def test_every_mistake_in_pairs_is_named_by_its_line(folder: Path) -> None:
    (folder.parent / "outside.jpg").write_bytes(b"")
    label(folder, IMAGES, "file,person", "a.jpg,p1", "b.jpg,p1", "c.jpg,p2", "d.jpg,p3")
    label(
        folder,
        PAIRS,
        "file_a,file_b,same",
        "a.jpg,b.jpg,1",
        "a.jpg,b.jpg,yes",
        "a.jpg,z.jpg,0",
        "b.jpg,a.jpg,1",
        "a.jpg,c.jpg,1",
        "d.jpg,d.jpg,1",
        "../outside.jpg,a.jpg,0",
        ",a.jpg,0",
    )

    with pytest.raises(LabelsError) as refused:
        read_pairs(folder)

    assert refused.value.mistakes == (
        "verification_pairs.csv, line 3: same must be 1 or 0, not yes",
        "verification_pairs.csv, line 4: there is no picture z.jpg",
        "verification_pairs.csv, line 5: this pair was labelled in line 2 already",
        "verification_pairs.csv, line 6: same is 1, but verification_images.csv says p1 and p2",
        "verification_pairs.csv, line 7: the same picture twice says nothing",
        "verification_pairs.csv, line 8: ../outside.jpg lies outside the folder",
        "verification_pairs.csv, line 9: there is no picture (empty)",
    )


@pytest.mark.parametrize(
    ("lines", "mistake"),
    [
        (("file_a,same", "a.jpg,1"), "verification_pairs.csv, line 1: no column file_b"),
        (("file_a,file_b,same", "a.jpg,b.jpg,1"), "needs pairs of both kinds"),
        (("file_a,file_b,same", 'a.jpg,"b.jpg,1'), "cannot be read"),
    ],
)
def test_pairs_that_say_nothing_are_refused(folder: Path, lines: tuple[str, ...], mistake: str) -> None:
    label(folder, PAIRS, *lines)

    with pytest.raises(LabelsError, match=mistake):
        read_pairs(folder)


def test_a_folder_without_labels_is_told_what_it_needs(folder: Path) -> None:
    with pytest.raises(LabelsError, match="is not there; it needs the columns file, live, kind, instrument"):
        read_presentations(folder)


def test_labels_of_another_encoding_are_refused(folder: Path) -> None:
    (folder / IMAGES).write_bytes("file,person\na.jpg,Zoë\n".encode("latin-1"))

    with pytest.raises(LabelsError, match="cannot be read"):
        read_images(folder)


def test_images_need_two_persons_and_one_label_each(folder: Path) -> None:
    label(folder, IMAGES, "file,person", "a.jpg,p1", "a.jpg,p2", "b.jpg,")

    with pytest.raises(LabelsError) as refused:
        read_images(folder)

    assert refused.value.mistakes == (
        "verification_images.csv, line 3: a.jpg was labelled in line 2 already",
        "verification_images.csv, line 4: person is empty",
    )


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("file,live,kind,instrument", "b.jpg,0,SIMULATED_print,print"),
        ("file,live,kind,instrument", "b.jpg,0,print,simulated sheet"),
        ("file,live,kind,instrument,simulated", "b.jpg,0,print,print,1"),
    ],
)
def test_what_no_camera_saw_is_known_as_simulated(folder: Path, header: str, row: str) -> None:
    label(folder, LIVENESS, header, "a.jpg,1,photo,none" + ("," if "simulated" in header else ""), row)

    live, attack = read_presentations(folder)

    assert (live.simulated, attack.simulated) == (False, True)


def test_an_attack_names_its_instrument(folder: Path) -> None:
    label(folder, LIVENESS, "file,live,kind,instrument", "a.jpg,1,photo,", "b.jpg,0,print,", "c.jpg,2,print,print")

    with pytest.raises(LabelsError) as refused:
        read_presentations(folder)

    assert refused.value.mistakes == (
        "liveness_labels.csv, line 3: an attack needs a kind and an instrument",
        "liveness_labels.csv, line 4: live must be 1 or 0, not 2",
    )
