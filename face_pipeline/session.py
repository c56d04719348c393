"""One person before one terminal, frame by frame, until there is a verdict.

A session is a pure state machine: frames go in, guidance or a verdict comes out. It reads no clock, no file and no
database, so that a test can replay it. Cheap steps run on every frame (decode, search, quality), the passive model and
the cameras beside colour on the good ones, the embedding on few: the best frame at rest, one in each action, and before
each action one drawn at random, so that the liveness of one face does not speak for another. What all of it amounts to
is decided in one place (`liveness/fusion.py`). Only a face that was found to be live is ever compared to the template
(I9), and whatever is missing at the end is never read as a yes (I10).

A session belongs to one thread at a time; the stages it shares with other sessions are safe to share.
"""

import secrets
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

import numpy as np

from face_pipeline.beside import Beside
from face_pipeline.errors import FrameError, SessionEndedError
from face_pipeline.frames import (
    Challenge,
    Embedding,
    Face,
    Frame,
    Guidance,
    Image,
    LivenessSummary,
    Modality,
    Outcome,
    Progress,
    Template,
)
from face_pipeline.identity import Identity, SamePerson
from face_pipeline.intake import Intake, Pictures
from face_pipeline.liveness.challenge import Look, Performance
from face_pipeline.liveness.companions import Companions, Judged, judged, together
from face_pipeline.liveness.continuity import likeness, thumbnail
from face_pipeline.liveness.cues import CueReading, CueSays
from face_pipeline.liveness.evidence import Evidence, Stopwatch, Witness
from face_pipeline.liveness.fusion import Fusion, Liveness, fused
from face_pipeline.liveness.passive import PassiveLiveness
from face_pipeline.liveness.readings import readings
from face_pipeline.liveness.replay import frame_print
from face_pipeline.liveness.suspicion import Suspicion
from face_pipeline.models.runtime import Models
from face_pipeline.picture.alignment import aligned_crop
from face_pipeline.picture.detection import Detector
from face_pipeline.picture.embedding import Embedder
from face_pipeline.picture.pose import nose_offset
from face_pipeline.picture.quality import CropQuality, Demands, Steadiness, framing, posture, presence
from face_pipeline.policy import FacePolicy
from face_pipeline.verdict import NOT_LIVE, Verdict

NEARLY: Final = 0.9  # of the time that who is not asked to move is watched


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """The loaded models, each behind what it does. Shared by all sessions."""

    detector: Detector
    embedder: Embedder
    passive: PassiveLiveness
    beside: Beside

    @classmethod
    def of(cls, models: Models, policy: FacePolicy) -> "Stages":
        """Put loaded models to work."""
        beside = Beside()
        return cls(
            detector=Detector(model=models.detection, policy=policy),
            embedder=Embedder(parts=models.embedding, beside=beside),
            passive=PassiveLiveness(model=models.liveness),
            beside=beside,
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
        beside: frozenset[Modality] = frozenset(),
        identify: bool = False,
        draw: Callable[[int], int] = secrets.randbelow,
    ) -> None:
        self._stages = stages
        self._policy = policy
        self._demands = Demands.of_session(policy)
        self._steadiness = Steadiness(policy)
        self._challenge = challenge
        self._template = template
        self._similarity_min = similarity_min
        self._identify = identify
        self._model_versions = model_versions
        self._draw = draw
        self._watch = Stopwatch()
        self._intake = Intake(policy=policy, beside=beside, watch=self._watch)
        self._suspicion = Suspicion()
        self._companions = Companions(beside, policy)
        self._prints: deque[bytes] = deque(maxlen=policy.prints_max)
        self._print: bytes | None = None
        """Of this frame."""
        self._looked_at: datetime | None = None
        self._cues: tuple[CueReading, ...] = ()
        self._verdict: Verdict | None = None
        self._begin()

    def _begin(self) -> None:
        """Begin the evidence of one presence."""
        self._evidence = Evidence()
        self._identity = Identity(
            embedder=self._stages.embedder, policy=self._policy, watch=self._watch, witness=Witness(self._draw)
        )
        self._performance = Performance(self._challenge, self._policy)
        self._in_vain = False
        """Whether the frame before showed the action done, and could not be built on for another reason."""
        self._companions.start_anew()

    def feed(self, frame: Frame) -> Progress | Verdict:
        """Look at one frame. CPU-bound: call it in an executor.

        Raises:
            FrameError: a bad frame is counted; the session goes on.
            SessionEndedError: there is a verdict already.
            InferenceError: a model failed; the session cannot go on.
        """
        if self._verdict is not None:
            raise SessionEndedError("the verdict was given")
        try:
            with self._stages.beside.looking():
                guidance = self._guided(self._intake.taken(frame))
        except FrameError:
            self._suspicion.bad_frames += 1
            if self._suspicion.bad_frames > self._policy.bad_frames_max:
                return self.expire()
            raise
        is_over = guidance is None or self._intake.frames >= self._policy.frames_max
        verdict = None if guidance is None else self._decided()
        if verdict is None and is_over:
            verdict = self.expire()
        return verdict or self._progress(guidance or Guidance.HOLD_STILL)

    def expire(self) -> Verdict:
        """Return the verdict at the deadline: never a yes, and a suspicion where there is ground for one."""
        if self._verdict is not None:
            return self._verdict
        return self._end(self._fused(over=True))

    # One frame, step by step.

    def _guided(self, pictures: Pictures | None) -> Guidance | None:
        """Look at a frame and return what the person should do; None when it was taken after the deadline."""
        self._print = None
        if pictures is None:
            return Guidance.HOLD_STILL
        if self._intake.time_since_first(pictures.at) > self._challenge.deadline:
            return None
        self._mind_the_gap(pictures.at)
        return self._look(pictures)

    def _mind_the_gap(self, at: datetime) -> None:
        """Take what is seen after a long gap for another presence: nobody knows who was there meanwhile."""
        last, self._looked_at = self._looked_at, at
        if last is not None and at - last > self._policy.frame_gap_max:
            self._start_anew()

    def _look(self, pictures: Pictures) -> Guidance:
        image = pictures.colour
        with self._watch.stage("detect"):
            found = presence(self._stages.detector.faces(image, pictures.small), self._policy)
        if isinstance(found, Guidance):
            self._lose_face()
            return found
        self._follow(found)
        complaint = framing(found, image, self._policy, self._demands)
        if complaint is not None:
            return complaint
        # The dearest step of most frames waits for nothing else from here on.
        live = self._stages.beside.begin(
            partial(self._stages.passive.live_probability, image, found.box, pictures.small)
        )
        with self._watch.stage("detect"):
            face = self._stages.detector.refined(image, found)
        complaint = posture(face, self._policy)
        if complaint is not None:
            return complaint
        with self._watch.stage("quality"):
            crop = aligned_crop(image, face.steady_points)
            quality = self._steadiness.judged(CropQuality.of(crop, face.points, self._policy))
        return quality.complaint(self._policy, self._demands) or self._take(pictures, face, crop, quality, live)

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
        self._begin()

    def _take(
        self, pictures: Pictures, face: Face, crop: Image, quality: CropQuality, live_probability: Callable[[], float]
    ) -> Guidance:
        """Add a good frame to the evidence; return what comes next."""
        with self._watch.stage("beside"):
            found = judged(pictures, face, self._stages.detector, self._policy)
        with self._watch.stage("print"):
            scale = np.float32(pictures.small.shape[1] / pictures.colour.shape[1])
            self._print = frame_print(pictures.small, face.points * scale)
            self._prints.append(self._print)
        self._notice_another(crop)
        has_rest = self._identity.anchor is not None
        reached = has_rest and self._observed(pictures, face, found)
        if reached and not self._in_vain:
            self._identity.embed_ahead(crop)
        with self._watch.stage("liveness"):
            live = live_probability()
        self._evidence.judged(live, pictures.at)
        self._suspicion.passive.append(live)
        beside = together(found)
        fit_to_rest = self._is_fit(live, self._policy.passive_rest_min, beside)
        spare: Image | None = crop
        if self._identity.anchor is None and fit_to_rest:
            spare = self._offer_anchor(face, crop, quality)
        if self._identity.anchor is None:
            self._companions.take(found, action=None)
            return self._performance.guidance  # nothing to hold an action against
        reached = reached if has_rest else self._observed(pictures, face, found)
        if spare is crop and fit_to_rest and self._performance.is_at_rest and self._performance.index == 0:
            spare = self._offer_anchor(face, crop, quality)
        fit_to_act = self._is_fit(live, self._policy.passive_turn_min, beside)
        if reached and fit_to_act and self._companions.followed(self._performance.index) and self._same_person(crop):
            self._performance.advance()
            self._identity.witness.begin_again()
            reached = False
        elif spare is not None and not self._performance.is_far:
            self._identity.witness.offer(spare)
        self._in_vain = reached
        if self._is_nearly_there():
            self._identity.prepare()
        if not self._performance.is_asked and self._evidence.is_watched(self._policy) and not self._identity.cosines:
            self._same_person(crop)
        return self._performance.guidance

    def _is_nearly_there(self) -> bool:
        """Return whether it will soon be asked whether it is still the same person."""
        if self._performance.is_asked:
            return self._performance.fraction >= self._policy.between_min
        return self._evidence.span >= NEARLY * self._policy.unmoved_span

    def _is_fit(self, live: float, minimum: float, beside: CueSays) -> bool:
        """Return whether a frame can be built on: infrared or depth vouch for it, or else the passive model."""
        if beside is CueSays.SILENT:
            return self._evidence.looks_alive(live, minimum, self._policy)
        return beside is CueSays.FOR

    def _observed(self, pictures: Pictures, face: Face, found: Mapping[Modality, Judged]) -> bool:
        """Follow the challenge with one frame; return whether the action under way is reached."""
        with self._watch.stage("challenge"):
            reached = self._performance.observe(Look(points=face.points, at=pictures.at, picture=pictures.colour))
        self._suspicion.flat_frames += self._performance.is_flat
        self._companions.take(found, action=None if self._performance.is_at_rest else self._performance.index)
        return reached

    def _notice_another(self, crop: Image) -> None:
        """Ask who it is when the face looks unlike the frame before; another one inherits nothing."""
        before, last, look = self._evidence.last_crop, self._evidence.last_look, thumbnail(crop)
        self._evidence.last_crop, self._evidence.last_look = crop, look
        if last is None or likeness(last, look) >= self._policy.likeness_min:
            return
        if self._identity.anchor is not None:
            if self._identity.looks_alike(crop, before):
                return
            self._suspicion.identity_misses += 1
        self._start_anew()
        self._evidence.last_crop, self._evidence.last_look = crop, look

    def _offer_anchor(self, face: Face, crop: Image, quality: CropQuality) -> Image | None:
        """Keep the best frame at rest: frontal, sharp, large, evenly lit. Return the crop that is left over."""
        offset = abs(nose_offset(face.points))
        if offset > self._policy.rest_offset_max:
            return crop
        sharpness = min(quality.sharpness, 4 * self._policy.sharpness_min_enroll)
        return self._identity.offer(crop, (1 - offset) * sharpness * face.box.width * quality.exposure.evenness)

    def _same_person(self, acting: Image) -> bool:
        """Return whether it is still the face at rest, and count it when it is not."""
        answer = self._identity.same_person(acting)
        self._suspicion.identity_misses += answer is SamePerson.ANOTHER
        self._suspicion.strangers += answer is SamePerson.STRANGER
        return answer is SamePerson.YES

    # Deciding.

    def _fused(self, *, over: bool) -> Fusion:
        self._cues = readings(
            evidence=self._evidence,
            identity=self._identity,
            suspicion=self._suspicion,
            performance=self._performance,
            companions=self._companions,
            policy=self._policy,
            over=over,
        )
        return fused(self._cues, self._policy)

    def _decided(self) -> Verdict | None:
        """Return the verdict as soon as the evidence is enough; None when it is not."""
        fusion = self._fused(over=False)
        if not fusion.is_final:
            return None
        return self._compared(fusion) if fusion.liveness is Liveness.LIVE else self._end(fusion)

    def _compared(self, fusion: Fusion) -> Verdict:
        """Compare with the template; reached only by a face that was found to be live."""
        if self._identify:
            return self._end(fusion, Outcome.LIVE, probe=self._identity.probe())
        if self._template is None:
            return self._end(fusion, Outcome.NOT_MATCHED)
        cosine = self._identity.cosine_to(self._template.embedding)
        outcome = Outcome.MATCHED if cosine >= self._similarity_min else Outcome.NOT_MATCHED
        return self._end(fusion, outcome, cosine=cosine)

    def _progress(self, guidance: Guidance) -> Progress:
        return Progress(
            guidance=guidance,
            action_index=self._performance.index,
            action_fraction=self._performance.fraction,
            good_frames=self._evidence.good_frames,
            frame_print=self._print,
        )

    def _end(
        self,
        fusion: Fusion,
        outcome: Outcome | None = None,
        *,
        cosine: float | None = None,
        probe: Embedding | None = None,
    ) -> Verdict:
        self._verdict = Verdict(
            outcome=outcome or NOT_LIVE.get(fusion.liveness, Outcome.INSUFFICIENT),
            assurance=fusion.assurance,
            liveness=LivenessSummary(
                passive_median=self._evidence.passive_median,
                challenge_passed=self._performance.is_asked and self._performance.passed,
                continuity=min(self._identity.cosines, default=None),
                reasons=tuple(reason.value for reason in fusion.reasons),
            ),
            cues=self._cues,
            similarity=cosine,
            probe=probe,
            prints=tuple(self._prints),
            policy=self._policy,
            model_versions=self._model_versions,
            frames_used=self._intake.frames,
            stage_ms=self._watch.milliseconds,
        )
        self._begin()  # nothing of the face outlives the verdict, but what the verdict holds
        self._intake.forget()
        self._prints.clear()
        self._print = None
        return self._verdict
