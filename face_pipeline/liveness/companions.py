"""What do infrared and depth say of the face that the colour picture shows?

Each good frame is judged by each camera that was promised. One that says no may be noise, several are not; and they
count over the whole session. What speaks for the person is counted for one presence alone, at rest and in each action:
a cut-out that is swapped in half way is seen there.
"""

import statistics
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from face_pipeline.frames import Face, Modality
from face_pipeline.intake import Pictures
from face_pipeline.liveness.cues import Cue, CueReading, CueSays, Reason
from face_pipeline.liveness.depth import relief
from face_pipeline.liveness.infrared import in_infrared, red_of
from face_pipeline.picture.detection import Detector
from face_pipeline.picture.registration import as_colour, points_in
from face_pipeline.policy import FacePolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What one camera said of one frame."""

    says: CueSays
    value: float


def judged(pictures: Pictures, face: Face, detector: Detector, policy: FacePolicy) -> dict[Modality, Judged]:
    """Return what each promised camera says of the face that the colour picture shows.

    Raises:
        FrameUndecodableError: two pictures of one frame have not the same shape.
        InferenceError: the detector failed.
    """
    found: dict[Modality, Judged] = {}
    if pictures.nir is not None:
        points = points_in(face.points, pictures.colour, pictures.nir)
        faces = detector.faces(as_colour(pictures.nir))
        infrared = in_infrared(pictures.nir, points, faces, red_of(pictures.colour, face.points), policy)
        found[Modality.NIR] = Judged(
            says=infrared.says,
            value=min(infrared.detail, infrared.own_light * policy.infrared_detail_min / policy.infrared_own_light_min),
        )
    if pictures.depth is not None:
        points = points_in(face.points, pictures.colour, pictures.depth)
        shape = relief(pictures.depth, points, policy)
        found[Modality.DEPTH] = Judged(says=shape.says, value=shape.sheet_residual_mm)
    return found


def together(found: Mapping[Modality, Judged]) -> CueSays:
    """Return what the cameras beside colour say of one frame: for it when one does and none is against it."""
    words = {reading.says for reading in found.values()}
    if CueSays.AGAINST in words:
        return CueSays.AGAINST
    return CueSays.FOR if CueSays.FOR in words else CueSays.SILENT


@dataclass(frozen=True, slots=True, kw_only=True)
class _Names:
    rest: Cue
    moved: Cue
    against: Reason
    missing: Reason


_NAMES = {
    Modality.NIR: _Names(
        rest=Cue.INFRARED,
        moved=Cue.INFRARED_MOVED,
        against=Reason.NOTHING_IN_INFRARED,
        missing=Reason.INFRARED_MISSING,
    ),
    Modality.DEPTH: _Names(
        rest=Cue.DEPTH, moved=Cue.DEPTH_MOVED, against=Reason.NO_RELIEF, missing=Reason.DEPTH_MISSING
    ),
}


class Companions:
    """Counts what the cameras beside colour said in one session."""

    def __init__(self, beside: frozenset[Modality], policy: FacePolicy) -> None:
        self._beside = sorted(beside)
        self._policy = policy
        self._frames: defaultdict[Modality, int] = defaultdict(int)
        self._against: defaultdict[Modality, int] = defaultdict(int)
        self.start_anew()

    def start_anew(self) -> None:
        """Forget what spoke for the presence that ended; not what spoke against it."""
        self._values: defaultdict[Modality, list[float]] = defaultdict(list)
        self._rest: defaultdict[Modality, list[CueSays]] = defaultdict(list)
        self._moved: defaultdict[Modality, set[int]] = defaultdict(set)

    def take(self, found: Mapping[Modality, Judged], *, action: int | None) -> None:
        """Count what was said of one good frame: in which action it was on its way, or None at rest."""
        for modality, reading in found.items():
            self._frames[modality] += 1
            self._against[modality] += reading.says is CueSays.AGAINST
            self._values[modality].append(reading.value)
            if action is None:
                self._rest[modality].append(reading.says)
            elif reading.says is CueSays.FOR:
                self._moved[modality].add(action)

    def followed(self, action: int) -> bool:
        """Return whether each promised camera spoke for the face on its way through an action."""
        return all(action in self._moved[modality] for modality in self._beside)

    def readings(self, actions: int) -> tuple[CueReading, ...]:
        """Return what the promised cameras say.

        Args:
            actions: how many the challenge has.
        """
        return tuple(reading for modality in self._beside for reading in self._of(modality, actions))

    def _of(self, modality: Modality, actions: int) -> list[CueReading]:
        names, values = _NAMES[modality], self._values[modality]
        is_against = self._is_against(modality)
        says = CueSays.FOR if self._is_for(modality) else CueSays.SILENT
        rest = CueReading(
            name=names.rest,
            says=CueSays.AGAINST if is_against else says,
            value=statistics.median(values) if values else None,
            threshold=self._threshold(modality),
            reason=names.against if is_against else names.missing,
            needed=True,
        )
        if not actions:
            return [rest]
        done = len(self._moved[modality])
        moved = CueReading(
            name=names.moved,
            says=CueSays.FOR if done >= actions else CueSays.SILENT,
            value=float(done),
            threshold=float(actions),
            reason=names.missing,
            needed=True,
        )
        return [rest, moved]

    def _is_for(self, modality: Modality) -> bool:
        """Return whether enough frames at rest speak for the face, and they are most of them."""
        said = self._rest[modality]
        count = said.count(CueSays.FOR)
        return count >= self._policy.companion_rest_min and 2 * count > len(said)

    def _is_against(self, modality: Modality) -> bool:
        against, frames = self._against[modality], self._frames[modality]
        return (
            against >= self._policy.companion_against_min
            and against > self._policy.companion_against_share_max * frames
        )

    def _threshold(self, modality: Modality) -> float:
        if modality is Modality.DEPTH:
            return self._policy.relief_residual_mm_min
        return self._policy.infrared_detail_min
