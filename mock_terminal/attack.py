"""What a bad terminal, or a bad person before a good one, tries; each must be refused.

Two are known to pass: before a colour camera alone a tablet that plays a person who obeys, and before every camera a
mask in the shape of the head. What happens then is told as it is; the platform bounds what is paid.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

import uuid_utils
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from grpc import aio

from mock_terminal import words
from mock_terminal.client import CALL_SECONDS_MAX, call
from mock_terminal.errors import (
    CHANGE_REQUEST,
    FIX_CLOCK,
    RETRY,
    AttackImpossibleError,
    HungUpError,
    PlatformRefusedError,
)
from mock_terminal.eye import Cameras, Eye
from mock_terminal.face import authenticate
from mock_terminal.injection import Injector, Recorder, reencoded
from mock_terminal.report import Reporter
from mock_terminal.scenes import Scene, Size
from mock_terminal.sitting import Claim, Sitting
from mock_terminal.window import Window
from shualian.terminal.v1 import face_pb2, settlement_pb2, settlement_pb2_grpc

STALE_BY: Final = timedelta(hours=1)


class Attack(StrEnum):
    """What is tried."""

    WRONG_PERSON = "wrong-person"
    """A living person claims to be somebody else: give the portrait of one and the claim of the other."""
    FLAT_PHOTO = "flat-photo"
    """A print of the right person, held and turned before the camera."""
    BENT_PHOTO = "bent-photo"
    """The print bent round like a face."""
    CUT_OUT = "cut-out"
    """The face cut out of the print and held before a head."""
    PAPER_MASK = "paper-mask"
    """The print on a mask in the shape of the head. Known to pass."""
    SCREEN_REPLAY = "screen-replay"
    """The right person on a tablet, a still picture."""
    SCREEN_VIDEO = "screen-video"
    """The right person on a tablet, a video that does what is asked. Known to pass where there is colour alone."""
    FROZEN = "frozen"
    """One good frame of the right person, again and again."""
    VIRTUAL_CAMERA = "virtual-camera"
    """Pictures of an honest session of this terminal, played again with new times and a good seal."""
    VIRTUAL_CAMERA_REENCODED = "virtual-camera-reencoded"
    """The same with every picture cropped and encoded anew."""
    TAMPERED_FRAME = "tampered-frame"
    """The right person; a frame is changed between the seal and the wire."""
    WRONG_KEY = "wrong-key"
    """The right person; the seal is signed with another key."""
    STRIPPED = "stripped"
    """The right person; infrared and depth are promised and not sent."""
    STALE_CLOCK = "stale-clock"
    """The right person; the pictures are an hour old."""
    BARE_ID_NUMBER = "bare-id-number"
    """No face at all: the ID number and nothing else."""


SCENES: Final[Mapping[Attack, Scene]] = {
    Attack.WRONG_PERSON: Scene.LIVE_HEAD,
    Attack.FLAT_PHOTO: Scene.FLAT_PHOTO,
    Attack.BENT_PHOTO: Scene.BENT_PHOTO,
    Attack.CUT_OUT: Scene.CUT_OUT,
    Attack.PAPER_MASK: Scene.MASK,
    Attack.SCREEN_REPLAY: Scene.SCREEN_REPLAY,
    Attack.SCREEN_VIDEO: Scene.SCREEN_VIDEO,
    Attack.FROZEN: Scene.FROZEN,
}
"""What is held before the camera, where that is all there is to it."""
KNOWN_GAPS: Final[Mapping[Attack, frozenset[Cameras]]] = {
    Attack.SCREEN_VIDEO: frozenset({Cameras.RGB}),
    Attack.PAPER_MASK: frozenset(Cameras),
}
"""What is known to pass, before which cameras."""
CHALLENGES_MAX: Final = 10
"""So often a virtual camera hangs up and calls again, until it is asked for what it has recorded."""
RECORDINGS_MAX: Final = 2
"""So often the right person is asked to look into the cameras, if it was not enough the first time."""
_ABOUT_THE_SESSION: Final = frozenset({CHANGE_REQUEST, RETRY, FIX_CLOCK})
"""Next actions of an error that refuses a session; any other is about the terminal, and says nothing of the attack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of one attack."""

    kind: Attack
    refused: bool
    how: str
    """The platform's outcome, or the reason of its error."""
    known_gap: bool = False
    amount_limit_fen: int = 0
    """What it could have paid at most, if it was not refused."""
    pin_free_limit_fen: int = 0
    """And without a PIN."""

    def as_fields(self) -> dict[str, object]:
        """Return it as fields of an event."""
        fields: dict[str, object] = {"kind": self.kind.value, "refused": self.refused, "how": self.how}
        if self.known_gap:
            fields["known_gap"] = True
        if not self.refused:
            fields |= {"amount_limit_fen": self.amount_limit_fen, "pin_free_limit_fen": self.pin_free_limit_fen}
        return fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try at the platform's money."""

    channel: aio.Channel
    report: Reporter
    claim: Claim
    bill: settlement_pb2.Bill
    sign: Callable[[bytes], bytes] = field(repr=False)
    window: Window | None
    """Nobody is needed there to try an ID number alone."""

    def eye(self, scene: Scene = Scene.LIVE_HEAD, *, obeys: bool = True, comes_back: bool = False) -> Eye:
        """Return the cameras with a scene before them.

        Raises:
            AttackImpossibleError: nobody is there.
        """
        if self.window is None:
            raise AttackImpossibleError("an attack with a face needs --portrait and --landmarks")
        return self.window.eye(scene, obeys=obeys, comes_back=comes_back)

    def sitting(self, eye: Eye) -> Sitting:
        """Return an honest terminal with these eyes."""
        return Sitting(
            who=self.claim,
            eye=eye,
            business_type=self.bill.business_type,
            amount_fen=self.bill.total_fen,
            sign=self.sign,
        )

    def has_known_gap(self, kind: Attack) -> bool:
        """Return whether an attack is known to pass before these cameras."""
        return self.window is not None and self.window.cameras in KNOWN_GAPS.get(kind, ())


async def attempted(kind: Attack, attempt: Attempt) -> Result:
    """Try one thing that must not work; return what came of it.

    Raises:
        AttackImpossibleError: what the attack needs is not there.
        PlatformRefusedError: the platform refuses the terminal, whoever sits there.
    """
    if kind is Attack.BARE_ID_NUMBER:
        return await _with_a_bare_id_number(attempt)
    sitting, known_gap = await _sitting(kind, attempt), attempt.has_known_gap(kind)
    try:
        decision = await _decided(attempt, sitting)
    except PlatformRefusedError as refused:
        if refused.next_action not in _ABOUT_THE_SESSION:
            raise
        attempt.report.event("refused", **refused.as_fields())
        return Result(kind=kind, refused=True, how=refused.reason, known_gap=known_gap)
    return Result(
        kind=kind,
        refused=not decision.assertion,
        how=words.outcome_name(decision),
        known_gap=known_gap,
        amount_limit_fen=decision.amount_limit_fen,
        pin_free_limit_fen=decision.pin_free_limit_fen,
    )


async def _with_a_bare_id_number(attempt: Attempt) -> Result:
    """Ask for a quote and for money with an ID number alone."""
    bill, bare = attempt.bill, settlement_pb2.BareIdNumber(id_number=attempt.claim.id_number)
    authorization = settlement_pb2.Authorization(bare_id_number=bare)
    stub = settlement_pb2_grpc.SettlementServiceStub(attempt.channel)
    asked = settlement_pb2.PreSettleRequest(bill=bill, authorization=authorization)
    settle = settlement_pb2.SettleRequest(
        transaction_id=str(uuid_utils.uuid7()),
        quote_id=str(uuid_utils.uuid7()),
        bill=bill,
        authorization=authorization,
    )
    reasons: list[str] = []
    for ask in (
        lambda: stub.PreSettle(asked, timeout=CALL_SECONDS_MAX),
        lambda: stub.Settle(settle, timeout=CALL_SECONDS_MAX),
    ):
        try:
            await call(ask)
        except PlatformRefusedError as refused:
            reasons.append(refused.reason)
            attempt.report.event("refused", **refused.as_fields())
    if len(reasons) < 2:  # noqa: PLR2004  # both of the above
        return Result(kind=Attack.BARE_ID_NUMBER, refused=False, how="ANSWERED", amount_limit_fen=bill.total_fen)
    return Result(kind=Attack.BARE_ID_NUMBER, refused=True, how=reasons[0])


async def _sitting(kind: Attack, attempt: Attempt) -> Sitting:
    """Return an honest sitting with what is wrong about it."""
    if kind in SCENES:
        return attempt.sitting(attempt.eye(SCENES[kind], obeys=kind is not Attack.FROZEN))
    if kind in {Attack.VIRTUAL_CAMERA, Attack.VIRTUAL_CAMERA_REENCODED}:
        remade = reencoded if kind is Attack.VIRTUAL_CAMERA_REENCODED else None
        injector = Injector(await _recorded(attempt), remade=remade)
        return replace(attempt.sitting(injector), stays_for=injector.can)
    return CHEATS[kind](attempt.sitting(attempt.eye()))


async def _decided(attempt: Attempt, sitting: Sitting) -> face_pb2.Decision:
    """Hold the session; one that was hung up is tried again, since the next challenge is another one."""
    for _ in range(CHALLENGES_MAX):
        try:
            return await authenticate(attempt.channel, sitting, attempt.report)
        except HungUpError:
            attempt.report.event("hung_up")
    raise AttackImpossibleError(f"in {CHALLENGES_MAX} sessions nothing was asked that was recorded")


async def _recorded(attempt: Attempt) -> Recorder:
    """Let the right person in once, who was told to make it easy to cut; remember what the cameras saw."""
    for _ in range(RECORDINGS_MAX):
        recorder = Recorder(attempt.eye(comes_back=True))
        decision = await authenticate(attempt.channel, attempt.sitting(recorder), attempt.report)
        if decision.outcome != face_pb2.DECISION_OUTCOME_INSUFFICIENT:
            break
    if not decision.assertion:
        raise AttackImpossibleError(f"there is no honest session to record: it got {words.outcome_name(decision)}")
    attempt.report.event("recorded", moments=len(recorder.moments))
    return recorder


def _changed(frame: face_pb2.Frame) -> face_pb2.Frame:
    """Return every third frame with its colour picture encoded anew: nobody sees it, and the seal does."""
    if frame.sequence % 3:
        return frame
    pictures = [reencoded(frame.pictures[0]), *frame.pictures[1:]]
    return face_pb2.Frame(sequence=frame.sequence, captured_at=frame.captured_at, pictures=pictures)


class _Stripped:
    """An eye that promises more than it delivers."""

    def __init__(self, eye: Eye) -> None:
        if not eye.beside:
            raise AttackImpossibleError("colour alone has nothing to strip: give --camera all")
        self._eye: Final = eye

    @property
    def size(self) -> Size:
        """Width and height of the colour picture, pixels."""
        return self._eye.size

    @property
    def beside(self) -> tuple[face_pb2.Modality.ValueType, ...]:
        """What it promises."""
        return tuple(self._eye.beside)

    def told(self, hint: face_pb2.Hint.ValueType) -> None:
        """Let the patient hear it."""
        self._eye.told(hint)

    def pictures(self, t: float) -> tuple[face_pb2.Picture, ...]:
        """Return the colour picture alone."""
        return tuple(self._eye.pictures(t)[:1])


def _signed_by_another(honest: Sitting) -> Sitting:
    stranger = ec.generate_private_key(ec.SECP256R1())
    return replace(honest, sign=lambda content: stranger.sign(content, ec.ECDSA(hashes.SHA256())))


CHEATS: Final[Mapping[Attack, Callable[[Sitting], Sitting]]] = {
    Attack.TAMPERED_FRAME: lambda honest: replace(honest, after_sealing=_changed),
    Attack.WRONG_KEY: _signed_by_another,
    Attack.STRIPPED: lambda honest: replace(honest, eye=_Stripped(honest.eye)),
    Attack.STALE_CLOCK: lambda honest: replace(honest, clock=lambda: datetime.now(UTC) - STALE_BY),
}
"""What a terminal does wrong with the right person before it."""
