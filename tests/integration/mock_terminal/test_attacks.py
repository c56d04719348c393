"""Each attack does what it says, against a platform that follows a script; and what came of it is told as it was."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import cv2
import grpc
import numpy as np
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from mock_terminal.attack import CHEATS, SCENES, Attack, Attempt, attempted
from mock_terminal.camera import Portrait
from mock_terminal.errors import AttackImpossibleError, PlatformRefusedError
from mock_terminal.eye import Cameras
from mock_terminal.sealing import SealChain
from mock_terminal.sitting import Claim
from mock_terminal.window import Window
from shualian.terminal.v1 import face_pb2, settlement_pb2, types_pb2
from tests.integration.mock_terminal.conftest import Heard, Says
from tests.support.scripted_faces import MATCHED, NONCE, REFUSED, SESSION, Platform, before, says

KEY = ec.generate_private_key(ec.SECP256R1())
FRAMES = 4
SEALED = (says(seal_asked=face_pb2.SealAsked(last_sequence=FRAMES)), says(decision=REFUSED))
LET_IN = (says(seal_asked=face_pb2.SealAsked(last_sequence=FRAMES)), says(decision=MATCHED))
BILL = settlement_pb2.Bill(business_type=types_pb2.BUSINESS_TYPE_OUTPATIENT_SETTLEMENT, total_fen=12_000)


def somebody() -> Portrait:
    """Return a drawing with the points of a face."""
    points = np.array([[80, 90], [140, 90], [110, 125], [88, 155], [132, 155]], dtype=np.float64)
    image = np.full((220, 220, 3), (150, 170, 205), dtype=np.uint8)
    for x, y in points:
        cv2.circle(image, (int(x), int(y)), 6, (40, 40, 60), -1)
    return Portrait(image_bgr=image, points=points)


async def tried(kind: Attack, platform: Platform, heard: Heard, *, cameras: Cameras = Cameras.ALL) -> dict[str, object]:
    """Try one attack; return its result."""
    async with before(platform) as channel:
        attempt = Attempt(
            channel=channel,
            report=heard,
            claim=Claim(id_number="990000195101010017", name="林夏"),
            bill=BILL,
            sign=lambda content: KEY.sign(content, ec.ECDSA(hashes.SHA256())),
            window=Window(somebody(), cameras=cameras, seed=1),
        )
        return (await attempted(kind, attempt)).as_fields()


def seal_holds(platform: Platform, frames: Sequence[face_pb2.Frame]) -> bool:
    """Return whether the last seal is by this terminal's key and over these frames."""
    seal, chain = platform.answers[-1].seal, SealChain(session_id=SESSION, nonce=NONCE, frames_max=100)
    for frame in frames:
        chain.add(frame)
    try:
        KEY.public_key().verify(seal.signature, seal.content, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return seal.content == chain.seal(frames[-1].sequence, sign=lambda _: b"").content


async def test_a_tampered_frame_is_not_the_one_that_was_sealed(heard: Heard) -> None:
    platform = Platform(frames_wanted=FRAMES, script=SEALED)

    await tried(Attack.TAMPERED_FRAME, platform, heard)

    assert not seal_holds(platform, platform.frames[:FRAMES])


async def test_a_seal_by_a_wrong_key_is_over_the_right_frames(heard: Heard) -> None:
    platform = Platform(frames_wanted=FRAMES, script=SEALED)

    await tried(Attack.WRONG_KEY, platform, heard)

    seal = platform.answers[0].seal
    assert not seal_holds(platform, platform.frames[:FRAMES])
    assert face_pb2.SealContent.FromString(seal.content).frames == FRAMES


async def test_what_is_stripped_was_promised_and_is_under_a_good_seal(heard: Heard) -> None:
    platform = Platform(frames_wanted=FRAMES, script=SEALED)

    await tried(Attack.STRIPPED, platform, heard)

    assert list(platform.opened[0].camera.beside_colour) == [face_pb2.MODALITY_NIR, face_pb2.MODALITY_DEPTH]
    assert {len(frame.pictures) for frame in platform.frames} == {1}
    assert seal_holds(platform, platform.frames[:FRAMES])


async def test_a_stale_clock_stands_an_hour_back_and_the_consent_is_of_now(heard: Heard) -> None:
    platform = Platform(frames_wanted=1, script=[says(decision=REFUSED)])

    await tried(Attack.STALE_CLOCK, platform, heard)

    late = datetime.now(UTC) - platform.frames[0].captured_at.ToDatetime(UTC)
    asked = datetime.now(UTC) - platform.opened[0].consent.given_at.ToDatetime(UTC)
    assert timedelta(minutes=59) < late < timedelta(minutes=61)
    assert asked < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("kind", "is_the_same"), [(Attack.VIRTUAL_CAMERA, True), (Attack.VIRTUAL_CAMERA_REENCODED, False)]
)
async def test_a_virtual_camera_plays_an_honest_session_with_new_times_and_a_good_seal(
    heard: Heard, kind: Attack, *, is_the_same: bool
) -> None:
    platform = Platform(frames_wanted=FRAMES, script=LET_IN)

    await tried(kind, platform, heard)

    ends = next(place for place, frame in enumerate(platform.frames[1:], 1) if frame.sequence == 1)
    honest, played = platform.frames[:ends], platform.frames[ends:]
    seen = {shown(frame) for frame in honest}
    assert [shown(frame) in seen for frame in played[:FRAMES]] == [is_the_same] * FRAMES
    assert len({frame.pictures[0].data for frame in platform.frames}) == len(platform.frames)
    assert {len(frame.pictures) for frame in played} == {3}
    assert played[0].captured_at.ToDatetime() > honest[-1].captured_at.ToDatetime()
    assert seal_holds(platform, played[:FRAMES])


def shown(frame: face_pb2.Frame) -> bytes:
    """Return the pixels of the colour picture."""
    seen = cv2.imdecode(np.frombuffer(frame.pictures[0].data, np.uint8), cv2.IMREAD_COLOR)
    assert seen is not None
    return seen.tobytes()


async def test_a_virtual_camera_hangs_up_when_it_is_asked_for_what_it_has_not_recorded(heard: Heard) -> None:
    platform = Platform(frames_wanted=FRAMES, script=LET_IN, actions=[face_pb2.CHALLENGE_ACTION_NOD])

    with pytest.raises(AttackImpossibleError, match="nothing was asked"):
        await tried(Attack.VIRTUAL_CAMERA, platform, heard)

    assert heard.names.count("hung_up") == len(platform.opened) - 1  # all but the honest session
    assert len(platform.answers) == 1


async def test_without_an_honest_session_there_is_nothing_to_play(heard: Heard) -> None:
    with pytest.raises(AttackImpossibleError, match="SPOOF_SUSPECTED"):
        await tried(Attack.VIRTUAL_CAMERA, Platform(script=[says(decision=REFUSED)]), heard)


async def test_a_decision_without_an_assertion_is_a_refusal(heard: Heard) -> None:
    result = await tried(Attack.WRONG_KEY, Platform(script=[says(decision=REFUSED)]), heard)

    assert result == {"kind": "wrong-key", "refused": True, "how": "SPOOF_SUSPECTED"}


async def test_an_attack_that_is_let_in_is_told_as_such_with_what_it_could_have_paid(heard: Heard) -> None:
    decision = face_pb2.Decision(
        outcome=face_pb2.DECISION_OUTCOME_MATCHED, assertion="a.b.c", amount_limit_fen=100_000, pin_free_limit_fen=9
    )

    result = await tried(Attack.SCREEN_VIDEO, Platform(script=[says(decision=decision)]), heard, cameras=Cameras.RGB)

    assert result == {
        "kind": "screen-video",
        "refused": False,
        "how": "MATCHED",
        "known_gap": True,
        "amount_limit_fen": 100_000,
        "pin_free_limit_fen": 9,
    }


async def test_a_screen_is_no_known_gap_where_there_is_more_than_colour(heard: Heard) -> None:
    result = await tried(Attack.SCREEN_VIDEO, Platform(script=[says(decision=REFUSED)]), heard)

    assert "known_gap" not in result


@pytest.mark.parametrize(("word", "counts"), [("CHANGE_REQUEST", True), ("FIX_CLOCK", True), ("WAIT", False)])
async def test_an_error_about_the_terminal_says_nothing_of_the_attack(heard: Heard, word: str, *, counts: bool) -> None:
    says_no = Says(code=grpc.StatusCode.FAILED_PRECONDITION, reason="CAPTURE_CLOCK_OFF", metadata={"next_action": word})
    platform = Platform(refusal=says_no)

    if counts:
        result = await tried(Attack.STALE_CLOCK, platform, heard)
        assert (result["refused"], result["how"]) == (True, "CAPTURE_CLOCK_OFF")
    else:
        with pytest.raises(PlatformRefusedError):
            await tried(Attack.STALE_CLOCK, platform, heard)


async def test_colour_alone_has_nothing_to_strip(heard: Heard) -> None:
    with pytest.raises(AttackImpossibleError, match="--camera"):
        await tried(Attack.STRIPPED, Platform(script=SEALED), heard, cameras=Cameras.RGB)


def test_each_attack_is_one_of_a_scene_a_cheat_a_virtual_camera_or_a_bare_number() -> None:
    others = {Attack.VIRTUAL_CAMERA, Attack.VIRTUAL_CAMERA_REENCODED, Attack.BARE_ID_NUMBER}

    assert SCENES.keys() | CHEATS.keys() | others == set(Attack)
