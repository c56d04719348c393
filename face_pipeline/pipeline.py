"""What does the platform ask of the face pipeline? Load it once, enroll portraits, open sessions."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from face_pipeline.errors import FaceQualityError
from face_pipeline.frames import Challenge, ChallengePlan, Face, Guidance, Image, Landmarks, Modality, Template
from face_pipeline.liveness.challenge import random_challenge
from face_pipeline.matching import checked_similarity_min, checked_template
from face_pipeline.models.runtime import Models
from face_pipeline.models.weights import Manifest
from face_pipeline.picture.alignment import aligned_crop
from face_pipeline.picture.decode import decode_portrait
from face_pipeline.picture.pose import nose_offset
from face_pipeline.picture.quality import CropQuality, Demands, framing, posture, presence
from face_pipeline.policy import FacePolicy
from face_pipeline.session import FaceSession, Stages


@dataclass(frozen=True, slots=True, kw_only=True)
class FacePipeline:
    """Loaded models and the policy they are used under. Safe to share between threads."""

    policy: FacePolicy
    stages: Stages
    model_versions: dict[str, str]

    @classmethod
    def load(cls, *, manifest: Manifest, models_dir: Path, policy: FacePolicy) -> Self:
        """Check, load and warm up the models.

        Raises:
            ModelMissingError, ModelTamperedError, ModelContractError: nothing may run without its model.
        """
        models = Models.load(manifest, models_dir)
        return cls(policy=policy, stages=Stages.of(models, policy), model_versions=models.versions)

    @property
    def model_id(self) -> str:
        """The embedding model, by name and hash; stored with each template."""
        return self.stages.embedder.model_id

    def enroll(self, image: bytes) -> Template:
        """Return the template of the one face in a portrait, JPEG or PNG.

        Raises:
            FaceQualityError: the portrait is not good enough; its guidance says why.
            FrameUndecodableError, FrameTooLargeError: it is no picture we take.
        """
        picture = decode_portrait(image, self.policy)
        demands = Demands.of_enrollment(self.policy)
        face = self._one_face(picture)
        crop = aligned_crop(picture, face.steady_points)
        turned = abs(nose_offset(face.points)) > self.policy.frontal_offset_max
        complaint = (
            framing(face, picture, self.policy, demands)
            or posture(face, self.policy)
            or CropQuality.of(crop, face.points, self.policy).complaint(self.policy, demands)
            or (Guidance.LOOK_STRAIGHT if turned else None)
        )
        if complaint is not None:
            raise FaceQualityError(guidance=complaint)
        return Template(embedding=self.stages.embedder.embedding(crop), model_id=self.model_id)

    def landmarks(self, image: bytes) -> Landmarks:
        """Return the five points of the one face in a picture, JPEG or PNG.

        Raises:
            FaceQualityError: there is no face, or more than one.
            FrameUndecodableError, FrameTooLargeError: it is no picture we take.
        """
        picture = decode_portrait(image, self.policy)
        points = [(float(x), float(y)) for x, y in self._one_face(picture).points]
        height, width = picture.shape[:2]
        return Landmarks(
            right_eye=points[0],
            left_eye=points[1],
            nose=points[2],
            right_mouth=points[3],
            left_mouth=points[4],
            image_width=width,
            image_height=height,
        )

    def challenge(self, plan: ChallengePlan | None = None) -> Challenge:
        """Return a fresh challenge, not to be foreseen; of the policy's own plan unless there is another."""
        return random_challenge(plan or self.policy.challenge_plan, secrets.SystemRandom())

    def open_session(
        self,
        *,
        challenge: Challenge,
        template: Template | None,
        similarity_min: float | None = None,
        beside: frozenset[Modality] = frozenset(),
        identify: bool = False,
        draw: Callable[[int], int] = secrets.randbelow,
    ) -> FaceSession:
        """Open a session for one person before one terminal.

        Args:
            challenge: from `challenge`, as it was told to the terminal.
            template: whom the person says to be; None when nobody is known under the claim: the session runs all the
                same and ends in NOT_MATCHED at best, so that the two cannot be told apart from outside.
            similarity_min: cosine to match; None for the policy's threshold to pay.
            beside: what the terminal promised beside colour: a frame without it is a bad one, and nobody is live
                without it.
            identify: whether the face is looked for among many: nothing is compared then; a live verdict carries it.
            draw: returns a number in [0, n) that nobody foresees.

        Raises:
            TemplateModelError: the template was made by another model.
            PolicyError: similarity_min is below the floor.
        """
        wanted = self.policy.similarity_to_pay if similarity_min is None else similarity_min
        return FaceSession(
            stages=self.stages,
            policy=self.policy,
            challenge=challenge,
            template=template and checked_template(template, self.model_id),
            similarity_min=checked_similarity_min(wanted),
            model_versions=self.model_versions,
            beside=beside,
            identify=identify,
            draw=draw,
        )

    def _one_face(self, picture: Image) -> Face:
        found = presence(self.stages.detector.faces(picture), self.policy)
        if isinstance(found, Guidance):
            raise FaceQualityError(guidance=found)
        return self.stages.detector.refined(picture, found)
