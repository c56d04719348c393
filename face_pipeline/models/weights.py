"""Which weight files do we run on, where are they, and are they the ones the manifest names?"""

import hashlib
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Any, Final

from face_pipeline.errors import ManifestError, ModelMissingError, ModelTamperedError

HOW_TO_INSTALL: Final = "run `shualian models install`"


class Kind(StrEnum):
    """What a listed file is."""

    MODEL = "model"
    PORTRAIT = "portrait"


class Job(StrEnum):
    """What a listed file does. Each model job is held by one file; the embedding may be held by several, by weight."""

    DETECTION = "detection"
    EMBEDDING = "embedding"
    LIVENESS = "liveness"
    PORTRAIT = "portrait"


WEIGHT_TOLERANCE: Final = 1e-6  # of the sum of weights: floats do not add up exactly
MODEL_JOBS: Final = (Job.DETECTION, Job.EMBEDDING, Job.LIVENESS)


class FileState(StrEnum):
    """What verification found."""

    VERIFIED = "verified"
    MISSING = "missing"
    TAMPERED = "tampered"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInput:
    """How pixels become the model's input: (value - mean) * scale, in this channel order and size (0: any)."""

    width: int
    height: int
    channels: str
    mean: float = 0.0
    scale: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOutput:
    """What comes out: in words, and the length of the last axis (for detection: the number of outputs)."""

    shape: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightFile:
    """One entry of the manifest."""

    name: str
    kind: Kind
    job: Job
    installed_sha256: str
    licence: str
    source: str
    about: str
    ecosystem: str = ""
    """pypi or npm; empty for the user's own file, which is used where it lies."""
    package: str = ""
    version: str = ""
    member: str = ""
    """Path of the file inside the package."""
    source_sha256: str = ""
    installed_as: str = ""
    rewrite: tuple[str, ...] = ()
    own_path: Path | None = None
    weight: float = 1.0
    """Embedding only: this model's part of the cosine; the parts add up to 1."""
    face: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Portraits only: where the face is, x, y, width, height in pixels."""
    input: ModelInput | None = None
    output: ModelOutput | None = None

    @property
    def model_id(self) -> str:
        """Name and hash: what is stored beside everything this model computed."""
        return f"{self.name}@{self.installed_sha256[:16]}"

    def path_in(self, models_dir: Path) -> Path:
        """Return where the file is once installed."""
        return self.own_path or models_dir / self.installed_as


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything that must be installed before a face can be looked at."""

    files: tuple[WeightFile, ...]

    def model(self, job: Job) -> WeightFile:
        """Return the model that does this job; for the embedding, the first of its parts."""
        return next(file for file in self.files if file.job is job)

    @property
    def embedding_parts(self) -> tuple[WeightFile, ...]:
        """The models that embed together; the first stands for all where a quick answer is enough."""
        return tuple(file for file in self.files if file.job is Job.EMBEDDING)

    @property
    def models(self) -> tuple[WeightFile, ...]:
        """The models, without the portraits."""
        return tuple(file for file in self.files if file.kind is Kind.MODEL)

    @property
    def portraits(self) -> tuple[WeightFile, ...]:
        """The portraits, without the models."""
        return tuple(file for file in self.files if file.kind is Kind.PORTRAIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStatus:
    """What verification found about one file."""

    file: WeightFile
    path: Path
    state: FileState
    found_sha256: str | None

    @property
    def ok(self) -> bool:
        """Whether the file may be used."""
        return self.state is FileState.VERIFIED


def load_manifest(extra: Path | None = None) -> Manifest:
    """Return the shipped manifest, with the user's own models in the place of those that do the same job.

    Args:
        extra: TOML file with `[[file]]` entries: `job`, `path`, `sha256`, and what differs from the shipped entry.
            Several for the embedding are parts of one, each with its `weight`.

    Raises:
        ManifestError: with every mistake found.
    """
    shipped = resources.files("face_pipeline").joinpath("models.toml").read_text(encoding="utf-8")
    mistakes: list[str] = []
    entries = [_shipped_entry(entry) for entry in tomllib.loads(shipped)["file"]]
    own: list[WeightFile] = []
    for entry in _own_entries(extra, mistakes) if extra else ():
        read = _own_entry(entry, shipped=entries, base=extra.parent if extra else Path(), mistakes=mistakes)
        own += [] if read is None else [read]
    replaced = {file.job for file in own}
    manifest = Manifest(files=(*(file for file in entries if file.job not in replaced), *own))
    mistakes += _contradictions(manifest)
    if mistakes:
        raise ManifestError(mistakes=tuple(mistakes))
    return manifest


def verify(manifest: Manifest, models_dir: Path) -> list[FileStatus]:
    """Return, for each file, whether it is there and is the one the manifest names."""
    return [_status(file, file.path_in(models_dir)) for file in manifest.files]


def read_verified(file: WeightFile, models_dir: Path) -> bytes:
    """Return the file's bytes, hashed as read, so that what is checked is what is used.

    Raises:
        ModelMissingError: it is not there.
        ModelTamperedError: it is another file.
    """
    path = file.path_in(models_dir)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelMissingError(model=file.name, detail=f"no file at {path}; {HOW_TO_INSTALL}") from error
    found = sha256_of(content)
    if found != file.installed_sha256:
        detail = f"{path} has SHA-256 {found}, the manifest says {file.installed_sha256}; {HOW_TO_INSTALL}"
        raise ModelTamperedError(model=file.name, detail=detail)
    return content


def portrait(models_dir: Path, name: str) -> Path:
    """Return the path of an installed portrait, after checking that it is the one the manifest names.

    Raises:
        KeyError: no portrait has this name.
        ModelMissingError: it is not installed.
        ModelTamperedError: it is another file.
    """
    file = {listed.name: listed for listed in load_manifest().portraits}[name]
    read_verified(file, models_dir)
    return file.path_in(models_dir)


def embedding_id(parts: Sequence[WeightFile]) -> str:
    """Return what is stored beside each template: the models that made it, with their weights if there are several."""
    if len(parts) == 1:
        return parts[0].model_id
    return "+".join(f"{part.weight:g}*{part.model_id}" for part in parts)


def sha256_of(content: bytes) -> str:
    """Return the SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _status(file: WeightFile, path: Path) -> FileStatus:
    try:
        found = sha256_of(path.read_bytes())
    except OSError:
        return FileStatus(file=file, path=path, state=FileState.MISSING, found_sha256=None)
    state = FileState.VERIFIED if found == file.installed_sha256 else FileState.TAMPERED
    return FileStatus(file=file, path=path, state=state, found_sha256=found)


def _shipped_entry(entry: Mapping[str, Any]) -> WeightFile:
    return WeightFile(**_converted(entry))


def _own_entries(extra: Path, mistakes: list[str]) -> list[dict[str, Any]]:
    try:
        entries = tomllib.loads(extra.read_text(encoding="utf-8")).get("file", [])
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        mistakes.append(f"{extra}: {error}")
        return []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        mistakes.append(f"{extra}: write each model as a [[file]] table")
        return []
    return entries


def _contradictions(manifest: Manifest) -> list[str]:
    """Return where the user's models do not go together."""
    jobs = [file.job for file in manifest.models if file.job is not Job.EMBEDDING]
    mistakes = [f"two models for {job}: only one can do it" for job in sorted(set(jobs)) if jobs.count(job) > 1]
    weights = [file.weight for file in manifest.embedding_parts]
    # Written so that a weight that is no number is a mistake as well.
    if not (all(0 < weight <= 1 for weight in weights) and abs(sum(weights) - 1) < WEIGHT_TOLERANCE):
        mistakes.append(f"the weights of the embedding models are {weights}: above 0, and 1 together")
    return mistakes


def _own_entry(
    entry: dict[str, Any], *, shipped: list[WeightFile], base: Path, mistakes: list[str]
) -> WeightFile | None:
    """Return the user's entry: what it does not say, it takes from the shipped one for the same job."""
    where = f"own model for {entry.get('job', '(no job)')}"
    found = [f"{where}: `{key}` is missing" for key in ("job", "path", "sha256") if not isinstance(entry.get(key), str)]
    if entry.get("job") not in MODEL_JOBS:
        found.append(f"{where}: job must be one of {', '.join(MODEL_JOBS)}")
    known = {"job", "path", "sha256", "name", "licence", "source", "about", "weight", "input", "output"}
    found += [f"{where}: `{key}` is not known" for key in entry if key not in known]
    if found:
        mistakes += found
        return None
    replaced = next(file for file in shipped if file.job == entry["job"])
    path = base / Path(entry["path"]).expanduser()
    try:
        return WeightFile(
            name=str(entry.get("name", path.stem)),
            kind=Kind.MODEL,
            job=replaced.job,
            installed_sha256=entry["sha256"].lower(),
            licence=str(entry.get("licence", "the user's own")),
            source=str(entry.get("source", "the user's own")),
            about=str(entry.get("about", replaced.about)),
            own_path=path,
            weight=float(entry.get("weight", 1.0)),
            input=ModelInput(**entry["input"]) if "input" in entry else replaced.input,
            output=ModelOutput(**entry["output"]) if "output" in entry else replaced.output,
        )
    except (TypeError, ValueError) as error:
        mistakes.append(f"{where}: {error}")
        return None


CONVERT: Final[Mapping[str, Callable[[Any], object]]] = {
    "kind": Kind,
    "job": Job,
    "rewrite": tuple,
    "face": tuple,
    "input": lambda table: ModelInput(**table),
    "output": lambda table: ModelOutput(**table),
}


def _converted(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: CONVERT[key](value) if key in CONVERT else value for key, value in entry.items()}
