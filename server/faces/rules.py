"""What is asked of a face for this business and amount, and what is it good for afterwards?

A session is opened under one band of amounts. Its assertion pays no more than that band reaches: who opens a session
for a small bill, or for none, cannot pay a large one with it. The numbers are data: `rules.toml`, and an operator's own
file over it.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from face_pipeline import Assurance, ChallengePlan, Modality
from server.faces.errors import CameraInsufficientError, FaceNotHereError
from server.faces.other_ways import OTHER_WAYS
from shualian.terminal.v1 import face_pb2


class Similarity(StrEnum):
    """Which of the pipeline's thresholds a face must reach."""

    TO_PAY = "TO_PAY"
    LOW_VALUE = "LOW_VALUE"


class Need(StrEnum):
    """What a camera must have beside colour."""

    NIR = "NIR"
    DEPTH = "DEPTH"
    ANY = "ANY"
    """One of the two."""


class Standing(StrEnum):
    """What stood behind a face that was found to be alive."""

    COLOUR = "COLOUR"
    COLOUR_UNMOVED = "COLOUR_UNMOVED"
    SOLID = "SOLID"
    SOLID_UNMOVED = "SOLID_UNMOVED"


class BandName(StrEnum):
    """The bands of amounts, in rising order."""

    SMALL = "SMALL"
    ORDINARY = "ORDINARY"
    LARGE = "LARGE"


UNMOVED: Final = frozenset({Standing.COLOUR_UNMOVED, Standing.SOLID_UNMOVED})
"""Nobody was asked to move: never without a PIN or a practitioner, whatever the amount (face.proto)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one face is good for."""

    amount_limit_fen: int
    """It pays no more."""
    pin_free_limit_fen: int
    """Above this amount it pays only with a PIN beside it. 0: always."""
    staff_may_confirm: bool
    """A practitioner may confirm in the place of the PIN."""

    def within(self, bound: "Limits") -> "Limits":
        """Return these limits, no amount above that of `bound`."""
        amount_limit_fen = min(self.amount_limit_fen, bound.amount_limit_fen)
        return Limits(
            amount_limit_fen=amount_limit_fen,
            pin_free_limit_fen=min(self.pin_free_limit_fen, bound.pin_free_limit_fen, amount_limit_fen),
            staff_may_confirm=self.staff_may_confirm,
        )


NOTHING: Final = Limits(amount_limit_fen=0, pin_free_limit_fen=0, staff_may_confirm=False)
"""What a face that signs is good for: no money."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """How much of a challenge is asked, before a colour camera alone and before one with more."""

    turns: int
    extras: int
    turns_solid: int
    extras_solid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """What is asked up to an amount."""

    name: BandName
    up_to_fen: int
    similarity: Similarity
    moves: Moves
    needs: frozenset[Need]

    def lacks(self, beside: frozenset[Modality]) -> str:
        """Return what a camera with this beside colour lacks, in words; empty when it is enough."""
        lacking = sorted(need for need in self.needs - {Need.ANY} if Modality(need.lower()) not in beside)
        if not lacking and Need.ANY in self.needs and not beside:
            return "NIR or DEPTH"
        return " and ".join(lacking)


WILDCARD: Final = "*"
"""At the end of a region: all that begin so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where a face may be used."""

    site_kinds: frozenset[str]
    """As the registry calls them."""
    regions: tuple[str, ...]
    """Of sites; with a `*` at the end, all that begin so."""

    def allow(self, *, site_kind: str, region: str) -> bool:
        """Return whether a face may be used at a site."""
        return site_kind in self.site_kinds and any(
            region.startswith(told[:-1]) if told.endswith(WILDCARD) else region == told for told in self.regions
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeRules:
    """What holds for one business type."""

    bands: tuple[Band, ...]
    """In rising order; the last one reaches any amount the protocol knows."""
    limits: Mapping[Standing, Limits]
    places: Places


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleBook:
    """What the shipped rules and the operator's own say together."""

    common: TypeRules
    by_type: Mapping[int, TypeRules]
    """By business type as the protocol counts it, 02121 is 2121; others follow `common`."""
    practitioner: Moves
    tolerance_metres: int

    def of(self, business_type: int) -> TypeRules:
        """Return what holds for a business type."""
        return self.by_type.get(business_type, self.common)

    def anywhere(self, limits: Limits, *, business_type: int) -> Limits:
        """Return what a face with these limits, shown for one business type, is good for whatever it pays for.

        That is the least that a face like it is good for. Limits do not say what stood behind the face, so whatever
        may have stood behind it bounds them.
        """
        here = self.of(business_type).limits
        like = [standing for standing, most in here.items() if limits == limits.within(most) and _agree(limits, most)]
        for rules in (self.common, *self.by_type.values()):
            for standing in like or here:
                limits = limits.within(rules.limits[standing])
        return limits


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRule:
    """What is asked of one session, and what its face will be good for."""

    version: str
    """Of the whole rules: two rules with the same version ask and allow alike."""
    band: BandName | None
    """None for a face that signs: there is no amount."""
    plan: ChallengePlan
    similarity_min: float
    """Cosine that the face must reach."""
    required: frozenset[Modality]
    """What the camera had to promise, and did; where one of several was enough, what it promised."""
    is_strict: bool
    """Whether that is the full threshold."""
    cannot_move: bool
    by_standing: Mapping[Standing, Limits]

    def limits(self, assurance: Assurance) -> Limits:
        """Return what a face that was found to be alive with this assurance is good for."""
        return self.by_standing[_standing(assurance, cannot_move=self.cannot_move)]

    def proves_holder(self, assurance: Assurance) -> bool:
        """Return whether such a face does something to a credential, too: it was alike enough, and no picture."""
        return self.is_strict and _standing(assurance, cannot_move=self.cannot_move) not in UNMOVED


class FaceRules:
    """Finds the rule for a session."""

    def __init__(
        self,
        *,
        book: RuleBook,
        bound: Limits,
        similarity: Mapping[Similarity, float],
        deadline: timedelta,
    ) -> None:
        """Take the rules and what bounds them.

        Args:
            book: from `rules_file.load_rule_book`.
            bound: `settlement.amount_limit_fen` and `settlement.pin_free_limit_fen`; no rule goes beyond.
            similarity: cosine of each threshold, from the pipeline's policy.
            deadline: how long a person has for the challenge.
        """
        self._book = book
        self._bound = bound
        self._similarity = similarity
        self._deadline = deadline
        self.version = self._digest()

    @property
    def tolerance_metres(self) -> int:
        """How far outside of its site a terminal may stand at worst when a practitioner confirms."""
        return self._book.tolerance_metres

    def check_place(self, *, business_type: int, site_kind: str, region: str) -> None:
        """Refuse a face where it may not be used.

        Raises:
            FaceNotHereError: with the other ways; nobody need be asked or looked at.
        """
        if not self._book.of(business_type).places.allow(site_kind=site_kind, region=region):
            raise FaceNotHereError(other_ways=OTHER_WAYS)

    def for_start(
        self,
        *,
        business_type: int,
        amount_fen: int,
        beside: frozenset[Modality],
        cannot_move: bool,
        purpose: "face_pb2.Purpose.ValueType",
    ) -> SessionRule:
        """Return what is asked of a session.

        Args:
            business_type: as the protocol counts it, 01301 is 1301.
            amount_fen: the bill, 0 when it is not known yet.
            beside: what the camera promised beside colour.
            cannot_move: the person cannot do what a challenge asks.
            purpose: what the face is for.

        Raises:
            CameraInsufficientError: more than this camera has is needed; nobody need be looked at.
        """
        if purpose == face_pb2.PURPOSE_PRACTITIONER:
            return self._for_signature(self._book.practitioner, beside, cannot_move=cannot_move)
        rules = self._book.of(business_type)
        if purpose == face_pb2.PURPOSE_ACTIVATE:
            return self._for_signature(_strictest(rules.bands, beside).moves, beside, cannot_move=cannot_move)
        band = _band(rules.bands, amount_fen, beside)
        lacking = band.lacks(beside)
        if lacking:
            raise CameraInsufficientError(needed=lacking)
        reach = dataclasses.replace(self._bound, amount_limit_fen=min(self._bound.amount_limit_fen, band.up_to_fen))
        return SessionRule(
            version=self.version,
            band=band.name,
            plan=self._plan(band.moves, beside, cannot_move=cannot_move),
            similarity_min=self._similarity[band.similarity],
            required=_required(band.needs, beside),
            cannot_move=cannot_move,
            is_strict=band.similarity is Similarity.TO_PAY,
            by_standing={standing: limits.within(reach) for standing, limits in rules.limits.items()},
        )

    def _for_signature(self, moves: Moves, beside: frozenset[Modality], *, cannot_move: bool) -> SessionRule:
        """A still picture must neither stand in for a PIN nor activate a credential: who cannot move needs depth.

        Infrared is not enough: some prints look like a face in it, and nothing else is asked of them (docs/models.md).
        """
        if cannot_move and Modality.DEPTH not in beside:
            raise CameraInsufficientError(needed=Need.DEPTH.value)
        return SessionRule(
            version=self.version,
            band=None,
            plan=self._plan(moves, beside, cannot_move=cannot_move),
            similarity_min=self._similarity[Similarity.TO_PAY],
            required=frozenset({Modality.DEPTH}) if cannot_move else frozenset(),
            cannot_move=cannot_move,
            is_strict=True,
            by_standing=dict.fromkeys(Standing, NOTHING),
        )

    def _plan(self, moves: Moves, beside: frozenset[Modality], *, cannot_move: bool) -> ChallengePlan:
        if cannot_move:
            return ChallengePlan.nothing(self._deadline)
        turns, extras = (moves.turns_solid, moves.extras_solid) if beside else (moves.turns, moves.extras)
        return ChallengePlan(turns=turns, extras=extras, deadline=self._deadline)

    def _digest(self) -> str:
        told = json.dumps(
            [dataclasses.asdict(self._book), dataclasses.asdict(self._bound), dict(self._similarity)],
            default=sorted,  # a frozenset has no order of its own
            sort_keys=True,
        )
        return "rules-" + hashlib.sha256(f"{told}{self._deadline}".encode()).hexdigest()[:16]


def _agree(limits: Limits, most: Limits) -> bool:
    return limits.staff_may_confirm == most.staff_may_confirm


def _band(bands: tuple[Band, ...], amount_fen: int, beside: frozenset[Modality]) -> Band:
    """Return the band of an amount; of an unknown one the highest that the camera is enough for."""
    if amount_fen > 0:
        return next((band for band in bands if amount_fen <= band.up_to_fen), bands[-1])
    return _strictest(bands, beside)


def _strictest(bands: tuple[Band, ...], beside: frozenset[Modality]) -> Band:
    """Return the highest band that a camera is enough for."""
    return next((band for band in reversed(bands) if not band.lacks(beside)), bands[0])


def _required(needs: frozenset[Need], beside: frozenset[Modality]) -> frozenset[Modality]:
    named = frozenset(Modality(need.lower()) for need in needs - {Need.ANY})
    return beside if Need.ANY in needs else named


def _standing(assurance: Assurance, *, cannot_move: bool) -> Standing:
    """Return what stood behind a face; who was not asked to move has not moved, whatever else was seen."""
    if assurance is Assurance.SOLID:
        return Standing.SOLID_UNMOVED if cannot_move else Standing.SOLID
    if assurance is Assurance.COLOUR and not cannot_move:
        return Standing.COLOUR
    return Standing.COLOUR_UNMOVED
