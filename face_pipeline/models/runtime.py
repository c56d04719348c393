"""How do the verified weight files become sessions that several threads may call?"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession, SessionOptions  # type: ignore[attr-defined] # re-exported without __all__

from face_pipeline.errors import FaceError, ModelContractError
from face_pipeline.frames import Image
from face_pipeline.models.weights import Job, Manifest, ModelInput, WeightFile, embedding_id, read_verified

FATAL_ONLY = 4  # what goes wrong is raised, and told once
DETECTOR_WARM_SIDE = 320
COLOURS = 3  # blue, green and red


class InferenceError(FaceError):
    """ONNX Runtime does not take the model or the picture; the text is its own."""

    reason = "INFERENCE_FAILED"


class OnnxSession:
    """One model in ONNX Runtime, one thread per call, safe to call from several threads.

    More threads inside one call do not help on two cores; calls side by side do (DESIGN 12).
    """

    def __init__(self, content: bytes) -> None:
        options = SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = FATAL_ONLY
        try:
            self._session = InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises a dozen classes that share no root of their own.
            raise InferenceError(str(error)) from error
        inputs = self._session.get_inputs()
        self.input_name = str(inputs[0].name)
        self.input_names = tuple(str(value.name) for value in inputs)
        self.output_names = tuple(str(value.name) for value in self._session.get_outputs())

    def run(self, planes: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return every output for one batch; input axes (picture, channel, y, x).

        Raises:
            InferenceError: the runtime failed; nothing may be concluded from it.
        """
        try:
            # By name: without names the runtime asks for them again at every call.
            outputs = self._session.run(self.output_names, {self.input_name: planes})
        except Exception as error:  # as above
            raise InferenceError(str(error)) from error
        return [np.asarray(output, np.float32) for output in outputs]


def as_planes(image: Image, spec: ModelInput, *, multiple: int = 1) -> NDArray[np.float32]:
    """Return a BGR picture as the model was trained on it: floats, axes (1, channel, y, x).

    Args:
        image: the picture; a fourth channel is left out.
        spec: what the model takes.
        multiple: of what height and width must be; black is added below and beside.
    """
    height, width = spec.height or image.shape[0], spec.width or image.shape[1]
    sized = image if image.shape[:2] == (height, width) else cv2.resize(image, (width, height))
    # Plane by plane: several times faster than cv2.dnn.blobFromImage here; and into one piece of memory, which takes
    # OpenCV half of the time that it takes with one of its own for each.
    channels = np.empty((sized.shape[2], height, width), np.uint8)
    cv2.split(sized, list(channels))
    planes = np.empty((1, COLOURS, height + -height % multiple, width + -width % multiple), np.float32)
    planes[0, :, :height, :width] = channels[COLOURS - 1 :: -1] if spec.channels == "RGB" else channels[:COLOURS]
    planes[:, :, height:] = 0
    planes[:, :, :, width:] = 0
    if (spec.mean, spec.scale) != (0.0, 1.0):
        planes -= np.float32(spec.mean)
        planes *= np.float32(spec.scale)
    return planes


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A session with what the manifest says about it."""

    file: WeightFile
    session: OnnxSession
    input: ModelInput

    def planes(self, image: Image, *, multiple: int = 1) -> NDArray[np.float32]:
        """Return a BGR picture as the batch of one that this model takes, resized where its size is fixed."""
        return as_planes(image, self.input, multiple=multiple)


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """The models a session needs, verified, loaded and warm."""

    detection: LoadedModel
    embedding: tuple[LoadedModel, ...]
    """Parts of one embedding; weights are in their manifest entries."""
    liveness: LoadedModel

    @classmethod
    def load(cls, manifest: Manifest, models_dir: Path) -> Self:
        """Check every hash, then load, then run each model once.

        Raises:
            ModelMissingError: a file is not there.
            ModelTamperedError: a file is another one.
            ModelContractError: a model does not take or give what its job needs.
        """
        cv2.setNumThreads(1)  # as with inference: callers side by side, one thread each
        detection, liveness = (manifest.model(job) for job in (Job.DETECTION, Job.LIVENESS))
        files = (detection, *manifest.embedding_parts, liveness)
        contents = [read_verified(file, models_dir) for file in files]  # all, before anything is loaded
        first, *parts, last = (_loaded(file, content) for file, content in zip(files, contents, strict=True))
        return cls(detection=first, embedding=tuple(parts), liveness=last)

    @property
    def versions(self) -> dict[str, str]:
        """Job to model id, for the record of a decision."""
        return {
            Job.DETECTION.value: self.detection.file.model_id,
            Job.EMBEDDING.value: embedding_id([part.file for part in self.embedding]),
            Job.LIVENESS.value: self.liveness.file.model_id,
        }


def _loaded(file: WeightFile, content: bytes) -> LoadedModel:
    if file.input is None or file.output is None:
        raise ModelContractError(model=file.name, detail="the manifest entry needs input and output")
    try:
        session = OnnxSession(content)
    except InferenceError as error:
        raise ModelContractError(model=file.name, detail=str(error)) from error
    if len(session.input_names) != 1:
        raise ModelContractError(model=file.name, detail="exactly one input is needed: the picture")
    try:
        picture = _warm_picture(file.input)
        outputs = session.run(picture)
        others = session.run(np.ascontiguousarray(picture[:, :, ::-1]))
    except InferenceError as error:
        raise ModelContractError(model=file.name, detail=f"does not take its input: {error}") from error
    size = len(outputs) if file.job is Job.DETECTION else outputs[0].shape[-1]
    if size != file.output.size:
        raise ModelContractError(model=file.name, detail=f"gives {size} values, {file.output.size} are needed")
    if file.job is Job.EMBEDDING and not _tells_apart(outputs[0], others[0]):
        raise ModelContractError(model=file.name, detail="does not tell two pictures apart: everybody would match")
    return LoadedModel(file=file, session=session, input=file.input)


def _tells_apart(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    return bool(np.isfinite([one, other]).all()) and not np.allclose(one, other)


def _warm_picture(spec: ModelInput) -> NDArray[np.float32]:
    """Return a picture that is not zero: on zeros the kernels take a path no photo takes."""
    height, width = spec.height or DETECTOR_WARM_SIDE, spec.width or DETECTOR_WARM_SIDE
    ramp = np.linspace(0, 255, 3 * height * width, dtype=np.float32).reshape(1, 3, height, width)
    return np.ascontiguousarray((ramp - spec.mean) * spec.scale, np.float32)
