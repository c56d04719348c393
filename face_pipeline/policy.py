"""Which thresholds decide, in which unit, and where does each come from?"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from face_pipeline.errors import PolicyError

SIMILARITY_FLOOR: Final = 0.363  # FAR 1e-3 on LFW; OpenCV's published threshold for SFace; DESIGN 9: never below


@dataclass(frozen=True, slots=True, kw_only=True)
class FacePolicy:
    """Every threshold of the face pipeline. A copy with other values is another policy, with another `version`."""

    # Bounds on what is decoded.
    frame_bytes_max: int = 2 * 1024 * 1024
    """bytes; a 1080p JPEG at quality 95 has about 1 MB"""
    frame_pixels_max: int = 8_000_000
    """pixels, read from the header before decoding; portraits as well"""
    decode_side_min: int = 640
    """pixels; larger frames are scaled down while decoding, but the longer side not below this"""

    # Detection (DESIGN 9: no face missed in 13,233).
    detector_side: int = 320
    """pixels; frames are searched at this longer side: a face of 80 px in 640 is found at 40 px"""
    detector_score_search: float = 0.60
    """score in 0..1 from which something counts as a possible face"""
    detector_score_accept: float = 0.80
    """score in 0..1 from which it is one"""
    detector_overlap_max: float = 0.30
    """intersection over union above which two finds are one face (OpenCV's default)"""
    second_face_width_ratio: float = 0.50
    """a second face of this part of the first one's width makes it several faces"""

    # Quality (DESIGN 9).
    face_width_min: float = 80.0
    """pixels in the decoded frame; recognition holds to about 35 px, liveness does not"""
    face_width_min_enroll: float = 112.0
    """pixels"""
    face_width_fraction_max: float = 0.70
    """of the frame's width; nearer, the passive model no longer sees the surroundings it judges by"""
    cut_off_fraction_max: float = 0.10
    """of the face box outside the frame"""
    edge_margin_min: float = 0.12
    """face widths between any of the five points and the frame's edge; cut faces are found, with points made up"""
    roll_upright_degrees: float = 10.0
    """degrees; beyond it the face is turned upright and detected again"""
    roll_degrees_max: float = 30.0
    """degrees; beyond it the person is asked (TAR at 0.43 falls from 0.95 to 0.60)"""
    sharpness_min: float = 15.0
    """variance of the Laplacian of the 112 px crop"""
    sharpness_min_enroll: float = 40.0
    """same"""
    brightness_min: float = 35.0
    """mean gray of the crop, 0..255"""
    brightness_max: float = 185.0
    """same"""
    frontal_offset_max: float = 0.15
    """eye distances the nose may lie off the middle in a frontal frame"""
    still_offset_max: float = 0.06
    """eye distances the nose may wander while the head is at rest; the detector itself wanders by 0.02"""

    # Passive liveness (DESIGN 9: one cue of several; 0.5 as a start).
    passive_min: float = 0.50
    """probability of live, median over the good frames"""
    passive_frames_min: int = 5
    """good frames before the median may speak for live"""
    spoof_frames_min: int = 10
    """good frames before low ones alone end the session"""
    passive_low_share_max: float = 0.40
    """of all good frames of a session, whoever was in them; honest simulated visits have none, screens 0.6 to 1"""
    passive_rest_min: float = 0.70
    """probability of live of the frame at rest that is matched; simulated heads 0.87..1.0, screens 0.02..0.83"""
    passive_turn_min: float = 0.50
    """same, of a frame that counts as a turn; simulated heads 0.88..1.0 (a portrait of 90 px blown up: 0.21..1.0)"""

    # Head turn (DESIGN 9: real turns 0.63..0.80 over both sides, photos at most 0.18).
    challenge_turns: int = 3
    """turns asked for, in random order, both sides among them: six orders, so that a fixed video of turns fits one time
    in six; the third costs 0.4 s (honest simulated visits: median 1.8 s, with two 1.4 s)"""
    challenge_deadline: timedelta = timedelta(seconds=20)
    """from `Accepted`"""
    baseline_frames_min: int = 3
    """frontal frames that fix where this person's nose is at rest"""
    nose_side_min: float = 0.15
    """eye distances from rest, on each side: 0.30 over both"""
    nose_flat_max: float = 0.09
    """eye distances from rest that a turned photo reaches at most: half of its range"""
    foreshortening_min: float = 0.12
    """relative narrowing of eye distance against face height that shows that something was turned"""
    flat_frames_min: int = 3
    """frames turned but flat before this counts as evidence, at the deadline"""
    flat_frames_max: int = 12
    """frames turned but flat that end the session: one second of a picture turned in the hand"""
    between_min: float = 0.25
    """of nose_side_min: a head must be seen between rest and turn; below, the detector's wandering would do"""
    between_max: float = 0.90
    """same; 0.25 to 0.9 is 7 to 26 degrees, two frames at 75 degrees and 6 frames a second"""

    # Identity.
    continuity_min: float = 0.363
    """cosine of a turn, and of a frame drawn at random, to the face at rest; 0.6 and more at 30 degrees, 0.4 at 36"""
    continuity_misses_max: int = 2
    """frames that may fail this before the face counts as exchanged (one may be smeared)"""
    likeness_min: float = 0.65
    """correlation of a crop with the one before; below, it is asked who it is. Simulated: the same head 12 degrees on
    has 0.66 in 19 of 20 cases, two people have at most 0.61"""
    similarity_to_pay: float = 0.43
    """cosine (FAR 8e-5, person-averaged FRR 3.4 %)"""
    similarity_low_value: float = 0.40
    """cosine, for low amounts"""

    # Session bounds (I11).
    frames_max: int = 400
    """frames per session, used or not: 20 s at 20 per second"""
    bad_frames_max: int = 10
    """frames that do not decode or come out of order"""
    lost_frames_max: int = 3
    """frames in a row without the face before the evidence starts anew"""
    tracking_overlap_min: float = 0.15
    """intersection over union of the face in neighbouring frames; below it, it is another presence"""
    frame_gap_max: timedelta = timedelta(milliseconds=1500)
    """between frames looked at; after a longer one it is another presence. A loaded server skips some: hence not 1 s"""
    restarts_max: int = 3
    """presences that may break off in one session: one steps aside once or twice, not all the time"""

    def __post_init__(self) -> None:
        """Refuse a policy that contradicts itself or goes below the floor.

        Raises:
            PolicyError: with every mistake.
        """
        mistakes = tuple(sentence for wrong, sentence in self._checks() if wrong)
        if mistakes:
            raise PolicyError(mistakes=mistakes)

    @property
    def version(self) -> str:
        """Return a digest over every threshold: two policies with the same version decide alike."""
        fields = {field.name: str(getattr(self, field.name)) for field in dataclasses.fields(self)}
        return "face-" + hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]

    def _checks(self) -> list[tuple[bool, str]]:
        lowest_similarity = min(self.similarity_low_value, self.similarity_to_pay)
        shares = (
            "detector_score_search",
            "detector_score_accept",
            "detector_overlap_max",
            "passive_min",
            "passive_low_share_max",
            "passive_rest_min",
            "passive_turn_min",
            "between_min",
            "between_max",
            "continuity_min",
            "likeness_min",
        )
        counts = ("passive_frames_min", "baseline_frames_min", "flat_frames_min", "frames_max", "bad_frames_max")
        return [
            (lowest_similarity < SIMILARITY_FLOOR, f"similarity must not go below {SIMILARITY_FLOOR}"),
            (self.similarity_low_value > self.similarity_to_pay, "similarity_low_value exceeds similarity_to_pay"),
            (self.similarity_to_pay >= 1, "similarity_to_pay must be below 1"),
            (self.detector_score_search > self.detector_score_accept, "detector searches above what it accepts"),
            (self.sharpness_min > self.sharpness_min_enroll, "enrollment must not be laxer in sharpness_min"),
            (self.face_width_min > self.face_width_min_enroll, "enrollment must not be laxer in face_width_min"),
            (self.brightness_min >= self.brightness_max, "brightness_min must be below brightness_max"),
            (self.roll_upright_degrees > self.roll_degrees_max, "roll_upright_degrees exceeds roll_degrees_max"),
            (not 2 <= self.challenge_turns <= 6, "challenge_turns must be 2 to 6: both sides are needed"),  # noqa: PLR2004 - the sentence says it
            (self.nose_side_min <= self.nose_flat_max, "nose_side_min must exceed what a photo reaches, nose_flat_max"),
            (self.spoof_frames_min < self.passive_frames_min, "spoof_frames_min must be at least passive_frames_min"),
            (self.flat_frames_max < self.flat_frames_min, "flat_frames_max must be at least flat_frames_min"),
            (self.between_min >= self.between_max, "between_min must be below between_max"),
            (self.challenge_deadline <= timedelta(), "challenge_deadline must be positive"),
            (self.frame_gap_max <= timedelta(), "frame_gap_max must be positive"),
            *[(not 0 <= getattr(self, name) <= 1, f"{name} must lie in 0..1") for name in shares],
            *[(getattr(self, name) < 1, f"{name} must be at least 1") for name in counts],
        ]
