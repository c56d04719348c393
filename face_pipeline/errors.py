"""What can go wrong between a picture and a decision, in the pipeline's own words."""

from typing import ClassVar

from face_pipeline.frames import Guidance, Modality


class FaceError(Exception):
    """Root of everything this package raises on purpose."""

    reason: ClassVar[str] = "FACE_ERROR"


class ModelError(FaceError):
    """A weight file cannot be used; nothing runs without it."""

    reason: ClassVar[str] = "MODEL_UNUSABLE"

    def __init__(self, *, model: str, detail: str) -> None:
        self.model = model
        self.detail = detail
        super().__init__(f"{model}: {detail}")


class ModelMissingError(ModelError):
    """The file is not in the models folder."""

    reason: ClassVar[str] = "MODEL_MISSING"


class ModelTamperedError(ModelError):
    """The file is there, but it is not the one the manifest names."""

    reason: ClassVar[str] = "MODEL_TAMPERED"


class ModelFetchError(ModelError):
    """The package that carries the file could not be had, or does not carry it."""

    reason: ClassVar[str] = "MODEL_FETCH_FAILED"


class ModelRewriteError(ModelError):
    """The fix-up for ONNX Runtime failed, or changed what the model computes."""

    reason: ClassVar[str] = "MODEL_REWRITE_FAILED"


class ModelContractError(ModelError):
    """The model loads, but its inputs or outputs are not what its job needs."""

    reason: ClassVar[str] = "MODEL_CONTRACT_BROKEN"


class ManifestError(FaceError):
    """The manifest of models cannot be read; every mistake is listed."""

    reason: ClassVar[str] = "MANIFEST_INVALID"

    def __init__(self, *, mistakes: tuple[str, ...]) -> None:
        self.mistakes = mistakes
        super().__init__("; ".join(mistakes))


class PolicyError(FaceError):
    """The thresholds contradict each other or a safety bound; every mistake is listed."""

    reason: ClassVar[str] = "FACE_POLICY_INVALID"

    def __init__(self, *, mistakes: tuple[str, ...]) -> None:
        self.mistakes = mistakes
        super().__init__("; ".join(mistakes))


class FrameError(FaceError):
    """One frame cannot be used; the session counts it and goes on."""

    reason: ClassVar[str] = "FRAME_UNUSABLE"


class FrameUndecodableError(FrameError):
    """The bytes are no complete picture of an encoding we take."""

    reason: ClassVar[str] = "FRAME_UNDECODABLE"

    def __init__(self, *, detail: str) -> None:
        self.detail = detail
        super().__init__(detail)


class FrameTooLargeError(FrameError):
    """The picture has more bytes or more pixels than the policy allows; it was not decoded."""

    reason: ClassVar[str] = "FRAME_TOO_LARGE"

    def __init__(self, *, size: int, size_max: int, unit: str) -> None:
        self.size = size
        self.size_max = size_max
        self.unit = unit
        super().__init__(f"{size} {unit}, at most {size_max}")


class FrameOrderError(FrameError):
    """Sequence numbers must rise and capture times must not go backwards."""

    reason: ClassVar[str] = "FRAME_OUT_OF_ORDER"

    def __init__(self, *, sequence: int, sequence_last: int) -> None:
        self.sequence = sequence
        self.sequence_last = sequence_last
        super().__init__(f"frame {sequence} after frame {sequence_last}")


class FrameIncompleteError(FrameError):
    """A picture that the terminal promised beside colour did not come with the frame."""

    reason: ClassVar[str] = "FRAME_INCOMPLETE"

    def __init__(self, *, missing: Modality) -> None:
        self.missing = missing
        super().__init__(f"without its {missing.value} picture")


class SessionEndedError(FaceError):
    """The session has given its verdict; a new one is needed."""

    reason: ClassVar[str] = "FACE_SESSION_ENDED"


class FaceQualityError(FaceError):
    """The portrait is not good enough to enroll; the guidance says what to mend."""

    reason: ClassVar[str] = "FACE_QUALITY"

    def __init__(self, *, guidance: Guidance) -> None:
        self.guidance = guidance
        super().__init__(guidance.value)


class EmbeddingShapeError(FaceError):
    """Two embeddings that are to be compared come from different models."""

    reason: ClassVar[str] = "EMBEDDING_MISMATCH"


class TemplateModelError(FaceError):
    """The template was made by another model than the one loaded; the person must be enrolled again."""

    reason: ClassVar[str] = "TEMPLATE_MODEL_MISMATCH"

    def __init__(self, *, template_model: str, loaded_model: str) -> None:
        self.template_model = template_model
        self.loaded_model = loaded_model
        super().__init__(f"made by {template_model}, loaded is {loaded_model}")


class TemplateSealError(FaceError):
    """A stored template does not open: wrong key, wrong person, wrong model, or changed bytes."""

    reason: ClassVar[str] = "TEMPLATE_SEAL_BROKEN"
