"""What infrared and depth say over a session, and which pictures they are asked about."""

from datetime import UTC, datetime

import pytest

from face_pipeline import Cue, CueSays, FacePolicy, Modality, Reason
from face_pipeline.liveness.companions import Companions, Judged, together
from face_pipeline.liveness.evidence import Evidence

POLICY = FacePolicy()
FOR, AGAINST, SILENT = CueSays.FOR, CueSays.AGAINST, CueSays.SILENT
DEPTH = frozenset({Modality.DEPTH})
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def said(*words: CueSays, companions: Companions | None = None, action: int | None = None) -> Companions:
    """Return companions whose depth camera said this, frame by frame."""
    companions = companions or Companions(DEPTH, POLICY)
    for word in words:
        companions.take({Modality.DEPTH: Judged(says=word, value=5.0)}, action=action)
    return companions


def at_rest(companions: Companions) -> CueSays:
    return companions.readings(0)[0].says


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], SILENT),
        ([FOR] * 2, SILENT),
        ([FOR] * 3, FOR),
        ([FOR] * 3 + [SILENT] * 2, FOR),
        ([FOR] * 3 + [SILENT] * 3, SILENT),
        ([FOR] * 9 + [AGAINST] * 2, FOR),
        ([FOR] * 8 + [AGAINST] * 3, AGAINST),
        ([FOR] * 9 + [AGAINST] * 3, FOR),
        ([AGAINST] * 2, SILENT),
        ([AGAINST] * 3, AGAINST),
    ],
)
def test_one_or_two_words_against_may_be_noise_several_are_not(words: list[CueSays], expected: CueSays) -> None:
    assert at_rest(said(*words)) is expected


def test_each_action_needs_a_word_of_its_own() -> None:
    companions = said(*[FOR] * 3)
    said(FOR, companions=companions, action=0)
    said(SILENT, companions=companions, action=1)

    rest, moved = companions.readings(2)

    assert (rest.name, rest.says) == (Cue.DEPTH, FOR)
    assert (moved.name, moved.says, moved.reason, moved.needed) == (
        Cue.DEPTH_MOVED,
        SILENT,
        Reason.DEPTH_MISSING,
        True,
    )
    assert (companions.followed(0), companions.followed(1)) == (True, False)


def test_a_new_presence_inherits_what_was_said_against_the_last_one_and_nothing_else() -> None:
    companions = said(*[FOR] * 3, *[AGAINST] * 2)
    said(FOR, companions=companions, action=0)

    companions.start_anew()

    assert at_rest(companions) is SILENT
    assert not companions.followed(0)
    assert at_rest(said(AGAINST, companions=companions)) is AGAINST


def test_both_cameras_must_follow_when_both_were_promised() -> None:
    companions = Companions(frozenset(Modality), POLICY)

    companions.take(
        {Modality.DEPTH: Judged(says=FOR, value=5.0), Modality.NIR: Judged(says=SILENT, value=0.0)}, action=0
    )

    assert not companions.followed(0)
    assert len(companions.readings(1)) == 4


def test_nothing_promised_is_nothing_asked() -> None:
    companions = Companions(frozenset(), POLICY)

    assert companions.readings(3) == ()
    assert companions.followed(0)


@pytest.mark.parametrize(
    ("words", "expected"),
    [([], SILENT), ([SILENT], SILENT), ([FOR, SILENT], FOR), ([FOR, AGAINST], AGAINST), ([FOR, FOR], FOR)],
)
def test_a_frame_is_vouched_for_by_one_camera_unless_another_is_against_it(
    words: list[CueSays], expected: CueSays
) -> None:
    found = {modality: Judged(says=word, value=0.0) for modality, word in zip(Modality, words, strict=False)}

    assert together(found) is expected


@pytest.mark.parametrize(
    ("before", "live", "expected"),
    [
        ([], 0.69, False),
        ([], 0.70, True),
        ([0.9] * 5, 0.69, False),
        ([0.6] * 4, 0.5, False),
        ([0.6] * 5, 0.3, True),
        ([0.6] * 5, 0.29, False),
    ],
)
def test_a_frame_must_look_alive_or_as_alive_as_a_doubtful_source_looks(
    *, before: list[float], live: float, expected: bool
) -> None:
    evidence = Evidence()
    for value in before:
        evidence.judged(value, NOON)

    assert evidence.looks_alive(live, POLICY.passive_rest_min, POLICY) is expected
