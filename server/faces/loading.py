"""How are the models loaded, and with which thresholds? Apart from the wiring, for it takes ONNX Runtime and OpenCV."""

from dataclasses import replace

from face_pipeline import FacePipeline, FacePolicy, load_manifest
from face_pipeline.gallery import Layout
from server.config import Config
from server.faces.rules import FaceRules, Limits, Similarity
from server.faces.rules_file import load_rule_book


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
        similarity_identify=max(standard.similarity_identify, config.face.similarity_min),
        challenge_deadline=config.face.session_lifetime,
        frames_max=config.face.frames_max,
        frame_bytes_max=config.face.frame_bytes_max,
    )


def gallery_layout(pipeline: FacePipeline) -> Layout:
    """Return how the pipeline's embeddings are made up: of what each model was seen to give when it was loaded."""
    sizes = [part.file.output.size for part in pipeline.stages.embedder.parts if part.file.output]
    return Layout(model_id=pipeline.model_id, width=sum(sizes), first=sizes[0])


def face_rules(config: Config, policy: FacePolicy) -> FaceRules:
    """Return the rules of faces: what is shipped, what an operator's file changes, within what settlement allows.

    Raises:
        FaceRulesError: the rules ask for what is not there, or contradict themselves; lists every mistake.
    """
    return FaceRules(
        book=load_rule_book(config.face.rules),
        bound=Limits(
            amount_limit_fen=config.settlement.amount_limit_fen,
            pin_free_limit_fen=config.settlement.pin_free_limit_fen,
            staff_may_confirm=True,
        ),
        similarity={
            Similarity.TO_PAY: policy.similarity_to_pay,
            Similarity.LOW_VALUE: policy.similarity_low_value,
        },
        deadline=policy.challenge_deadline,
    )
