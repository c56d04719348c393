"""Which thresholds decide, in which unit, and where does each come from?"""

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from face_pipeline.errors import PolicyError
from face_pipeline.frames import ChallengePlan

SIMILARITY_FLOOR: Final = (
    0.33  # FAR 9e-4 of 242,608 impostor pairs of LFW, both models fused (docs/models.md): never below
)


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
    roll_upright_degrees: float = 6.0
    """degrees; beyond it the face is turned upright and detected again"""
    roll_degrees_max: float = 36.0
    """degrees; beyond it the person is asked. TAR on faces rolled by 30 and 36 degrees: docs/models.md"""
    sharpness_min: float = 15.0
    """variance of the Laplacian of the 112 px crop"""
    sharpness_min_enroll: float = 40.0
    """same"""
    brightness_min: float = 35.0
    """mean gray of the crop, 0..255"""
    brightness_max: float = 185.0
    """same"""
    sharpness_share_min: float = 0.30
    """of the best sharpness of the session a moment ago; a motion of 7 px in the crop leaves 0.34 or less in 19 of 20
    (simulated on 698 faces of LFW)"""
    burnt_share_max: float = 0.12
    """of the inner face at 250 and more; 1 of 698 faces of LFW has more, 199 of 200 have at most 0.04"""
    swallowed_share_max: float = 0.30
    """of the inner face at 12 and less; 1 of 698 has more, 199 of 200 have at most 0.10"""
    evenness_min: float = 0.35
    """darker half of the face to the brighter one; none of 698 has less"""
    eyes_uncovered_min: float = 0.28
    """see `occlusion.Uncovered.eyes`: 3 of 475 frontal faces of LFW have less (some in dark glasses), and 93 % of those
    in simulated dark glasses"""
    mouth_uncovered_min: float = 0.25
    """see `occlusion.Uncovered.mouth`; a complaint needs this and the next one"""
    mouth_to_eyes_min: float = 0.75
    """see `occlusion.Uncovered.mouth_to_eyes`: none of 475 has less in both, over 99 % of those in simulated masks"""
    frontal_offset_max: float = 0.15
    """eye distances the nose may lie off the middle in a frontal frame"""
    rest_offset_max: float = 0.22
    """same, of a head at rest in a session: turns are measured from there, whatever way somebody likes to sit"""
    still_offset_max: float = 0.06
    """eye distances the nose may wander while the head is at rest; the detector itself wanders by 0.02"""

    # Passive liveness (DESIGN 9: one cue of several; 0.5 as a start).
    passive_min: float = 0.50
    """probability of live, median over the good frames, where no movement was asked, or none was shown in time"""
    passive_min_moved: float = 0.02
    """same, of somebody who is asked to move, where the way of the nose through turn and nod is the better judge of
    what is flat. Of 30 simulated heads from LFW portraits the model put 8 below 0.30 and 2 below 0.02; of screens
    with their rim in view half are about there, of prints and screens without a rim hardly any"""
    passive_frames_min: int = 5
    """good frames before the median may speak for live"""
    spoof_frames_min: int = 10
    """good frames before low ones alone end the session"""
    passive_low_share_max: float = 0.40
    """of all good frames of a session, whoever was in them; honest simulated visits have none, screens 0.6 to 1"""
    passive_rest_min: float = 0.70
    """probability of live of the frame at rest that is matched; simulated heads 0.87..1.0, screens 0.02..0.83"""
    passive_own_share: float = 0.50
    """of the presence's own median: enough for such a frame where the model doubts the whole presence"""
    passive_turn_min: float = 0.50
    """same, of a frame that counts as a turn; simulated heads 0.88..1.0 (a portrait of 90 px blown up: 0.21..1.0)"""

    # Head turn (DESIGN 9: real turns 0.63..0.80 over both sides, photos at most 0.18).
    challenge_turns: int = 2
    """turns asked for, in random order, both sides among them: two orders, three turns would make six"""
    challenge_extras: int = 1
    """nods and steps closer at random places between the turns: one makes twelve orders of two turns, so that a fixed
    video fits one time in twelve"""
    challenge_deadline: timedelta = timedelta(seconds=20)
    """from `Accepted`"""
    unmoved_frames_min: int = 15
    """good frames of somebody who is asked for nothing: three times what the passive model needs beside a challenge"""
    unmoved_span: timedelta = timedelta(seconds=3)
    """from the first to the last of them; longer than a visit with three turns takes (median 1.8 s, simulated)"""
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
    nose_drop_min: float = 0.065
    """heights between eyes and mouth that the nose moves down in a nod (see `liveness/parallax.py`); simulated heads
    0.05 at 8 degrees, 0.08 to 0.11 at 15, 0.08 to 0.15 at 22; prints at any tilt 0.01"""
    approach_growth_min: float = 1 / 3
    """relative growth of the face against rest; the sentence on the terminal says a third"""
    approach_frames_min: int = 2
    """frames between rest and there: a step takes most of a second, a picture that is enlarged does not"""
    growth_step_max: float = 0.25
    """relative growth from one good frame to the next; more is a jump, and the action begins anew"""
    gesture_time_min: timedelta = timedelta(milliseconds=120)
    """from rest to a turn or nod; 25 degrees in it are 200 degrees a second, about as fast as heads turn at will"""
    approach_time_min: timedelta = timedelta(milliseconds=300)
    """from rest to a third closer: 15 cm at half a metre, at half a metre a second"""
    attempt_max: timedelta = timedelta(seconds=2.5)
    """away from rest without an action, before the person is asked to begin again; a turn takes half a second"""
    between_min: float = 0.25
    """of the way: a head must be seen between rest and action; below, the detector's wandering would do"""
    between_max: float = 0.90
    """same; for a turn, 0.25 to 0.9 is 7 to 26 degrees, two frames at 75 degrees and 6 frames a second"""

    # Identity.
    continuity_min: float = 0.363
    """cosine of a turn, and of a frame drawn at random, to the face at rest, by the first embedding model alone; SFace
    gives 0.6 and more at 30 degrees, 0.4 at 36; 0.363 is OpenCV's published threshold for it"""
    continuity_misses_max: int = 2
    """frames that may fail this before the face counts as exchanged (one may be smeared)"""
    likeness_min: float = 0.75
    """correlation of a crop with the one before; below, it is asked who it is. Of two people in pictures of LFW, 99 of
    100 pairs have less than 0.75, 999 of 1000 less than 0.83; simulated heads 12 degrees on have 0.53 to 0.95"""
    similarity_to_pay: float = 0.399
    """cosine, both models fused: set for FAR 1e-4 on all impostor pairs of LFW (DESIGN 9; a sample: docs/models.md)"""
    similarity_low_value: float = 0.37
    """cosine, for low amounts: FAR 2e-4 on the same sample"""

    # Identification: one among the people of a site (DESIGN 9).
    similarity_identify: float = 0.46
    """cosine, both models fused. On the development set (386 probes, 320 people, 248,217 impostor pairs) nobody else
    came above 0.443; FAR falls to a quarter every 0.02 there, so about 1e-6 here: one wrong candidate in 1,000 visits
    to a site of 1,000. SFace alone wants 0.50 (DESIGN 9)"""
    identify_margin: float = 0.10
    """cosine by which somebody may be less alike than the best and still be the one: twins, and one person badly lit"""
    identify_candidates_max: int = 5
    """people who may look alike; more are taken for nobody: four characters would soon fit one of them by chance"""
    identify_shortlist: int = 256
    """people compared whole after the scan of the first part; so many are compared exactly, however they lie"""

    # Fusion.
    doubts_borne_solid: int = 1
    """judges that err (passive model, terminal's own check) that may doubt while infrared or depth are for the face"""
    companion_rest_min: int = 3
    """good frames at rest in which infrared or depth must speak for the face"""
    companion_against_min: int = 3
    """good frames that speak against it before that counts: one or two may be noise"""
    companion_against_share_max: float = 0.25
    """of all good frames of the session, whoever was in them"""
    prints_max: int = 64
    """prints of good frames that a verdict carries, 32 bytes each"""
    replay_distance_max: int = 10
    """bits of 256 in which two prints of one frame differ. Set on simulated visits (`python -m bench.replays`): encoded
    again, scaled or made brighter, 9 of 10 frames are within 10; of 3,540 pairs of visits of one person the nearest two
    frames differed in 14"""
    replay_frames_min: int = 3
    """frames of one earlier session, or half as many of any, that make a replay; one or two may be chance"""

    # Depth (measured on simulated heads and instruments, half of the people for tuning; docs/models.md).
    depth_valid_share_min: float = 0.60
    """of the inner face that must be measured; dark skin, glasses and beards leave holes"""
    depth_distance_mm_min: float = 250.0
    """millimetres; nearer than structured light sees"""
    depth_distance_mm_max: float = 1500.0
    """millimetres; nobody pays from farther away"""
    depth_noise_mm_max: float = 1.0
    """millimetres, standard deviation of a cell's median: a third of the least relief"""
    sheet_residual_mm_max: float = 2.0
    """millimetres, root mean square off the best bent sheet; below it, the face is a sheet"""
    relief_residual_mm_min: float = 3.0
    """same; a head has at least that"""
    sheet_share_max: float = 0.50
    """of the inner face that may lie on one bent sheet"""
    sheet_share_against: float = 0.58
    """same; above it, a sheet with holes was put before something else"""
    nose_mm_against: float = 6.0
    """millimetres of the nose's tip over a plane through the rest of the face; below it, there is none"""
    nose_mm_min: float = 12.0
    """same; a head has at least that"""

    # Infrared (likewise).
    infrared_offset_max: float = 0.80
    """eye distances its middle may lie off where colour has it; half of it is the detector on turned heads"""
    infrared_offset_against: float = 1.6
    """same; beyond it, infrared sees another face than colour does"""
    infrared_brightness_min: float = 25.0
    """mean gray of the inner face, 0..255; a screen has less"""
    infrared_brightness_max: float = 235.0
    """same; above it, the lamp drowns the face"""
    infrared_saturated_max: float = 0.20
    """of the inner face that may be cut off at white"""
    infrared_detail_min: float = 0.42
    """of the detail of colour, that infrared must show; simulated heads 0.52 to 0.76, dyes on paper at most 0.21 (with
    holes in it 0.43), carbon 0.39 to 0.75. Half of it in a turn. Of real skin and hair an assumption"""
    infrared_own_light_min: float = 0.026
    """of brightness, that infrared must show beyond that detail in each region of the face; simulated heads 0.032 to
    0.053, carbon on paper 0.005 to 0.020, also with holes for eyes and nose. Half of it in a turn"""

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

    @property
    def challenge_plan(self) -> ChallengePlan:
        """What people are asked to do unless somebody decides otherwise."""
        return ChallengePlan(turns=self.challenge_turns, extras=self.challenge_extras, deadline=self.challenge_deadline)

    def _checks(self) -> list[tuple[bool, str]]:
        lowest_similarity = min(self.similarity_low_value, self.similarity_to_pay)
        shares = (
            "detector_score_search",
            "detector_score_accept",
            "detector_overlap_max",
            "passive_min",
            "passive_min_moved",
            "passive_low_share_max",
            "passive_rest_min",
            "passive_turn_min",
            "passive_own_share",
            "between_min",
            "between_max",
            "continuity_min",
            "likeness_min",
            "companion_against_share_max",
            "identify_margin",
            "depth_valid_share_min",
            "sheet_share_max",
            "sheet_share_against",
            "infrared_saturated_max",
            "infrared_detail_min",
            "infrared_own_light_min",
        )
        counts = (
            "identify_candidates_max",
            "passive_frames_min",
            "baseline_frames_min",
            "flat_frames_min",
            "prints_max",
            "replay_frames_min",
            "frames_max",
            "bad_frames_max",
            "companion_rest_min",
            "companion_against_min",
            "approach_frames_min",
        )
        numbers = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return [
            *[
                (not math.isfinite(value), f"{name} must be a number: nothing is below or above NaN")
                for name, value in numbers.items()
                if isinstance(value, float)
            ],
            (lowest_similarity < SIMILARITY_FLOOR, f"similarity must not go below {SIMILARITY_FLOOR}"),
            (self.similarity_low_value > self.similarity_to_pay, "similarity_low_value exceeds similarity_to_pay"),
            (
                not self.similarity_to_pay <= self.similarity_identify < 1,
                "similarity_identify must be at least similarity_to_pay: among many, chance has many tries",
            ),
            (self.identify_shortlist <= self.identify_candidates_max, "identify_shortlist is below the candidates"),
            (self.similarity_to_pay >= 1, "similarity_to_pay must be below 1"),
            (self.detector_score_search > self.detector_score_accept, "detector searches above what it accepts"),
            (self.sharpness_min > self.sharpness_min_enroll, "enrollment must not be laxer in sharpness_min"),
            (self.face_width_min > self.face_width_min_enroll, "enrollment must not be laxer in face_width_min"),
            (self.brightness_min >= self.brightness_max, "brightness_min must be below brightness_max"),
            (self.roll_upright_degrees > self.roll_degrees_max, "roll_upright_degrees exceeds roll_degrees_max"),
            (not 2 <= self.challenge_turns <= 6, "challenge_turns must be 2 to 6: both sides are needed"),  # noqa: PLR2004 - the sentence says it
            (not 0 <= self.challenge_extras <= 3, "challenge_extras must be 0 to 3"),  # noqa: PLR2004 - as above
            (not 0 <= self.doubts_borne_solid <= 1, "doubts_borne_solid must be 0 or 1"),
            (self.unmoved_span < timedelta(seconds=1), "unmoved_span must be at least a second"),
            (
                self.unmoved_frames_min < self.passive_frames_min,
                "unmoved_frames_min is below passive_frames_min",
            ),
            (
                min(self.nose_drop_min, self.approach_growth_min, self.growth_step_max) <= 0,
                "an action must ask for something",
            ),
            (min(self.gesture_time_min, self.approach_time_min) < timedelta(), "no action takes less than no time"),
            (self.rest_offset_max < self.frontal_offset_max, "rest_offset_max is below frontal_offset_max"),
            (self.nose_side_min <= self.nose_flat_max, "nose_side_min must exceed what a photo reaches, nose_flat_max"),
            (self.passive_min_moved > self.passive_min, "passive_min_moved exceeds passive_min"),
            (self.spoof_frames_min < self.passive_frames_min, "spoof_frames_min must be at least passive_frames_min"),
            (self.flat_frames_max < self.flat_frames_min, "flat_frames_max must be at least flat_frames_min"),
            (self.between_min >= self.between_max, "between_min must be below between_max"),
            (
                not 0 < self.depth_distance_mm_min < self.depth_distance_mm_max,
                "depth_distance_mm_min must be positive and below depth_distance_mm_max",
            ),
            (
                self.relief_residual_mm_min < self.sheet_residual_mm_max,
                "relief_residual_mm_min must be at least sheet_residual_mm_max",
            ),
            (self.sheet_share_max > self.sheet_share_against, "sheet_share_max exceeds sheet_share_against"),
            (self.nose_mm_min < self.nose_mm_against, "nose_mm_min must be at least nose_mm_against"),
            (self.depth_noise_mm_max <= 0, "depth_noise_mm_max must be positive"),
            (
                not 0 <= self.infrared_brightness_min < self.infrared_brightness_max,
                "infrared_brightness_min must be below infrared_brightness_max",
            ),
            (
                not 0 < self.infrared_offset_max <= self.infrared_offset_against,
                "infrared_offset_max must be positive and not exceed infrared_offset_against",
            ),
            (
                self.attempt_max <= max(self.gesture_time_min, self.approach_time_min),
                "attempt_max leaves no time for an action",
            ),
            (self.infrared_own_light_min <= 0, "infrared_own_light_min must be positive"),
            (self.challenge_deadline <= timedelta(), "challenge_deadline must be positive"),
            (not 0 <= self.replay_distance_max < 64, "replay_distance_max must lie in 0..63: chance gives 128"),  # noqa: PLR2004 - the sentence says it
            (self.frame_gap_max <= timedelta(), "frame_gap_max must be positive"),
            *[(not 0 <= getattr(self, name) <= 1, f"{name} must lie in 0..1") for name in shares],
            *[(getattr(self, name) < 1, f"{name} must be at least 1") for name in counts],
        ]
