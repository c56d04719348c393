"""One person before one terminal, frame by frame, until there is a verdict.

A session is a pure state machine: frames go in, guidance or a verdict comes out. It reads no clock, no file and no
database, so that a test can replay it. Cheap steps run on every frame (decode, search, quality), the passive model on
the good ones, the embedding on few: the best frame at rest, one in each turn, and before each turn one drawn at random,
so that the liveness of one face does not speak for another. Only a face that was found to be live is ever compared to
the template (I9), and whatever is missing at the end is never read as a yes (I10).

A session belongs to one thread at a time; the stages it shares with other sessions are safe to share.
"""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from face_pipeline.alignment import aligned_crop
from face_pipeline.challenge import HeadTurn, nose_offset
from face_pipeline.continuity import likeness, thumbnail
from face_pipeline.decode import decode_frame
from face_pipeline.detection import Detector
from face_pipeline.embedding import Embedder
from face_pipeline.errors import FrameError, FrameOrderError, SessionEndedError
from face_pipeline.evidence import Evidence, Reason, Stopwatch, Witness
from face_pipeline.frames import (
    Challenge,
    Embedding,
    Face,
    Frame,
    Guidance,
    Image,
    LivenessSummary,
    Outcome,
    Progress,
    Template,
    Verdict,
)
from face_pipeline.liveness import PassiveLiveness
from face_pipeline.matching import similarity
from face_pipeline.policy import FacePolicy
from face_pipeline.quality import CropQuality, Demands, framing, posture, presence
from face_pipeline.runtime import Models
from face_pipeline.suspicion import Suspicion


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """The loaded models, each behind what it does. Shared by all sessions."""

    detector: Detector
    embedder: Embedder
    passive: PassiveLiveness

    @classmethod
    def of(cls, models: Models, policy: FacePolicy) -> "Stages":
        """Put loaded models to work."""
        return cls(
            detector=Detector(model=models.detection, policy=policy),
            embedder=Embedder(model=models.embedding),
            passive=PassiveLiveness(model=models.liveness),
        )


class FaceSession:
    """Feeds on frames until it knows."""

    def __init__(
        self,
        *,
        stages: Stages,
        policy: FacePolicy,
        challenge: Challenge,
        template: Template | None,
        similarity_min: float,
        model_versions: dict[str, str],
        draw: Callable[[int], int] = secrets.randbelow,
    ) -> None:
        self._stages = stages
        self._policy = policy
        self._demands = Demands.of_session(policy)
        self._challenge = challenge
        self._template = template
        self._similarity_min = similarity_min
        self._model_versions = model_versions
        self._draw = draw
        self._turn = HeadTurn(challenge, policy)
        self._evidence = Evidence(witness=Witness(draw))
        self._suspicion = Suspicion()
        self._watch = Stopwatch()
        self._seen: set[bytes] = set()
        self._first_at: datetime | None = None
        self._looked_at: datetime | None = None
        self._last: Frame | None = None
        self._frames = 0
        self._bad_frames = 0
        self._verdict: Verdict | None = None

    def feed(self, frame: Frame) -> Progress | Verdict:
        """Look at one frame. CPU-bound: call it in an executor.

        Raises:
            FrameUndecodableError, FrameTooLargeError, FrameOrderError: a bad frame is counted; the session goes on.
            SessionEndedError: there is a verdict already.
            InferenceError: a model failed; the session cannot go on.
        """
        if self._verdict is not None:
            raise SessionEndedError("the verdict was given")
        try:
            image = self._accepted(frame)
        except FrameError:
            self._bad_frames += 1
            if self._bad_frames > self._policy.bad_frames_max:
                return self._end(Outcome.INSUFFICIENT, Reason.BAD_FRAMES)
            raise
        if image is None:
            guidance = Guidance.HOLD_STILL
        elif self._late(frame):
            return self.expire()
        else:
            self._mind_the_gap(frame)
            guidance = self._look(image)
        verdict = self._decided()
        if verdict is None and self._frames >= self._policy.frames_max:
            verdict = self.expire()
        return verdict or self._progress(guidance)

    def expire(self) -> Verdict:
        """Return the verdict at the deadline: never a yes, and a suspicion where there is ground for one."""
        if self._verdict is not None:
            return self._verdict
        enough = self._evidence.good_frames >= self._policy.passive_frames_min
        doubtful = self._suspicion.mostly_paper(self._policy.passive_frames_min, self._policy)
        if doubtful or (enough and not self._passive_clear):
            return self._end(Outcome.SPOOF_SUSPECTED, Reason.PASSIVE_LOW)
        if self._suspicion.flat_frames >= self._policy.flat_frames_min and not self._turn.passed:
            return self._end(Outcome.SPOOF_SUSPECTED, Reason.FLAT_TURN)
        missing = [
            *([] if self._evidence.good_frames else [Reason.NO_FACE]),
            *([] if enough else [Reason.FEW_GOOD_FRAMES]),
            *([] if self._turn.passed else [Reason.CHALLENGE_NOT_DONE]),
        ]
        return self._end(Outcome.INSUFFICIENT, *missing)

    # One frame, step by step.

    def _accepted(self, frame: Frame) -> Image | None:
        """Return the decoded frame; None when the very same bytes were seen before and prove nothing new."""
        self._frames += 1
        last = self._last
        if last is not None and (frame.sequence <= last.sequence or frame.captured_at < last.captured_at):
            raise FrameOrderError(sequence=frame.sequence, sequence_last=last.sequence)
        self._last = frame
        self._first_at = self._first_at or frame.captured_at
        digest = hashlib.sha256(frame.jpeg).digest()
        if digest in self._seen:
            return None
        with self._watch.stage("decode"):
            image = decode_frame(frame.jpeg, self._policy)
        self._seen.add(digest)
        return image

    def _late(self, frame: Frame) -> bool:
        return self._first_at is not None and frame.captured_at - self._first_at > self._challenge.deadline

    def _mind_the_gap(self, frame: Frame) -> None:
        """Take what is seen after a long gap for another presence: nobody knows who was there meanwhile."""
        last, self._looked_at = self._looked_at, frame.captured_at
        if last is not None and frame.captured_at - last > self._policy.frame_gap_max:
            self._start_anew()

    def _look(self, image: Image) -> Guidance:
        with self._watch.stage("detect"):
            found = presence(self._stages.detector.faces(image), self._policy)
        if isinstance(found, Guidance):
            self._lose_face()
            return found
        self._follow(found)
        complaint = framing(found, image, self._policy, self._demands)
        if complaint is not None:
            return complaint
        with self._watch.stage("detect"):
            face = self._stages.detector.refined(image, found)
        complaint = posture(face, self._policy)
        if complaint is not None:
            return complaint
        with self._watch.stage("quality"):
            crop = aligned_crop(image, face.points)
            quality = CropQuality.of(crop)
        return quality.complaint(self._policy, self._demands) or self._take(image, face, crop, quality)

    def _lose_face(self) -> None:
        self._evidence.lost_frames += 1
        if self._evidence.lost_frames > self._policy.lost_frames_max:
            self._start_anew()

    def _follow(self, face: Face) -> None:
        """Keep to one presence: a face that jumps is another one, and inherits nothing."""
        last = self._evidence.last_box
        if last is not None and last.overlap(face.box) < self._policy.tracking_overlap_min:
            self._start_anew()
        self._evidence.last_box = face.box
        self._evidence.lost_frames = 0

    def _start_anew(self) -> None:
        self._suspicion.restarts += self._evidence.good_frames > 0
        self._evidence = Evidence(witness=Witness(self._draw))
        self._turn = HeadTurn(self._challenge, self._policy)

    def _take(self, image: Image, face: Face, crop: Image, quality: CropQuality) -> Guidance:
        """Add a good frame to the evidence; return what comes next."""
        with self._watch.stage("liveness"):
            live = self._stages.passive.live_probability(image, face.box)
        self._notice_another(crop)
        evidence, turn = self._evidence, self._turn
        evidence.passive.append(live)
        self._suspicion.judged(live, self._policy)
        spare: Image | None = crop
        if turn.index == 0 and live >= self._policy.passive_rest_min:
            spare = self._offer_anchor(face, crop, quality)
        if evidence.anchor is None:
            return turn.guidance  # nothing to hold a turn against
        reached = turn.observe(face.points)
        self._suspicion.flat_frames += turn.is_flat
        if reached and live >= self._policy.passive_turn_min and self._same_person(crop):
            turn.advance()
            evidence.witness.begin_again()
        elif spare is not None and not turn.is_far:
            evidence.witness.offer(spare)
        return turn.guidance

    def _notice_another(self, crop: Image) -> None:
        """Ask who it is when the face looks unlike the frame before; another one inherits nothing."""
        last, self._evidence.last_look = self._evidence.last_look, thumbnail(crop)
        if last is None or likeness(last, self._evidence.last_look) >= self._policy.likeness_min:
            return
        if self._evidence.anchor is not None:
            if self._cosine_to_anchor(crop) >= self._policy.continuity_min:
                return
            self._suspicion.identity_misses += 1
        self._start_anew()
        self._evidence.last_look = thumbnail(crop)

    def _offer_anchor(self, face: Face, crop: Image, quality: CropQuality) -> Image | None:
        """Keep the best frame at rest: frontal first, then sharp, then large. Return the crop that is left over."""
        offset = abs(nose_offset(face.points))
        if offset > self._policy.frontal_offset_max:
            return crop
        score = (1 - offset) * min(quality.sharpness, 4 * self._policy.sharpness_min_enroll) * face.box.width
        evidence = self._evidence
        if score <= evidence.anchor_score:
            return crop
        left_over, evidence.anchor, evidence.anchor_score = evidence.anchor, crop, score
        evidence.anchor_embedding = None
        return left_over

    def _same_person(self, turned: Image) -> bool:
        """Return whether the face in a turn, and in the frame drawn at random before it, is the face at rest."""
        witness = self._evidence.witness.crop
        if witness is None:
            return False  # nothing between the turns but the turns
        cosine = self._cosine_to_anchor(turned)
        if cosine < self._policy.continuity_min:
            self._suspicion.identity_misses += 1
            return False
        cosine_before = self._cosine_to_anchor(witness)
        if cosine_before < self._policy.continuity_min:
            self._suspicion.strangers += 1
            return False
        self._evidence.continuity += [cosine, cosine_before]
        return True

    def _cosine_to_anchor(self, crop: Image) -> float:
        with self._watch.stage("embed"):
            embedding = self._stages.embedder.embedding(crop)
        return similarity(embedding, self._anchor_embedding())

    def _anchor_embedding(self) -> Embedding:
        evidence = self._evidence
        if evidence.anchor is None:
            raise SessionEndedError("no frame at rest to compare with")
        if evidence.anchor_embedding is None:
            with self._watch.stage("embed"):
                evidence.anchor_embedding = self._stages.embedder.embedding(evidence.anchor)
        return evidence.anchor_embedding

    # Deciding.

    @property
    def _passive_clear(self) -> bool:
        median = self._evidence.passive_median
        return median is not None and median >= self._policy.passive_min

    def _decided(self) -> Verdict | None:
        """Return the verdict as soon as the evidence is enough; None when it is not."""
        evidence, policy = self._evidence, self._policy
        ground = self._suspicion.ground(policy)
        if ground is not None:
            return self._end(Outcome.SPOOF_SUSPECTED, ground)
        if evidence.good_frames >= policy.spoof_frames_min and not self._passive_clear:
            return self._end(Outcome.SPOOF_SUSPECTED, Reason.PASSIVE_LOW)
        if self._turn.went_wrong:
            return self._end(Outcome.INSUFFICIENT, Reason.WRONG_TURN)
        if self._turn.passed and evidence.good_frames >= policy.passive_frames_min and self._passive_clear:
            return self._matched()
        return None

    def _matched(self) -> Verdict:
        """Compare with the template; reached only by a face that was found to be live."""
        if self._template is None:
            return self._end(Outcome.NOT_MATCHED)
        cosine = similarity(self._anchor_embedding(), self._template.embedding)
        outcome = Outcome.MATCHED if cosine >= self._similarity_min else Outcome.NOT_MATCHED
        return self._end(outcome, cosine=cosine)

    def _progress(self, guidance: Guidance) -> Progress:
        return Progress(
            guidance=guidance,
            action_index=self._turn.index,
            action_fraction=self._turn.fraction,
            good_frames=self._evidence.good_frames,
        )

    def _end(self, outcome: Outcome, *reasons: Reason, cosine: float | None = None) -> Verdict:
        evidence = self._evidence
        self._verdict = Verdict(
            outcome=outcome,
            liveness=LivenessSummary(
                passive_median=evidence.passive_median,
                challenge_passed=self._turn.passed,
                continuity=min(evidence.continuity) if evidence.continuity else None,
                reasons=tuple(reason.value for reason in reasons),
            ),
            similarity=cosine,
            policy_version=self._policy.version,
            model_versions=self._model_versions,
            frames_used=self._frames,
            stage_ms=self._watch.milliseconds,
        )
        self._evidence = Evidence(witness=Witness(self._draw))  # nothing of the face outlives the verdict
        self._seen.clear()
        self._last = None
        return self._verdict
