"""How are the models loaded, and with which thresholds? Apart from the wiring, for it takes ONNX Runtime and OpenCV."""

from dataclasses import replace

from face_pipeline import FacePipeline, FacePolicy, load_manifest
from server.config import Config


def load_faces(config: Config) -> FacePipeline:
    """Load the models under the configured policy.

    Raises:
        ModelError: a model is missing or is not the one the manifest names.
    """
    return FacePipeline.load(
        manifest=load_manifest(config.models_manifest),
        models_dir=config.models_dir,
        policy=face_policy(config),
    )


def face_policy(config: Config) -> FacePolicy:
    """Return the pipeline's thresholds, those of them that are set in the configuration as set there."""
    standard = FacePolicy()
    return replace(
        standard,
        similarity_to_pay=config.face.similarity_min,
        similarity_low_value=min(standard.similarity_low_value, config.face.similarity_min),
        challenge_deadline=config.face.session_lifetime,
        frames_max=config.face.frames_max,
        frame_bytes_max=config.face.frame_bytes_max,
    )
