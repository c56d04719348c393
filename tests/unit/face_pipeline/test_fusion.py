"""What the cues amount to: every combination that matters, and that a word against never helps."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from face_pipeline import (
    Assurance,
    CaptureFindings,
    Cue,
    CueReading,
    CueSays,
    FacePolicy,
    LivenessSummary,
    Outcome,
    Reason,
    SealFinding,
    Verdict,
)
from face_pipeline.liveness.fusion import Fusion, Liveness, capture_cues, fused

POLICY = FacePolicy()
FOR, AGAINST, SILENT = CueSays.FOR, CueSays.AGAINST, CueSays.SILENT
LIVE, SPOOF, LITTLE = Liveness.LIVE, Liveness.SPOOF_SUSPECTED, Liveness.INSUFFICIENT
ALWAYS = {
    Cue.DELIVERY: False,
    Cue.FRAMES: True,
    Cue.PASSIVE: True,
    Cue.PASSIVE_SHARE: False,
    Cue.IDENTITY: True,
    Cue.PRESENCE: False,
    Cue.FLATNESS: False,
}
"""Cues of every session, and whether nobody is live without them."""
MOVED, UNMOVED = {**ALWAYS, Cue.CHALLENGE: True}, {**ALWAYS, Cue.WATCHED: True}
INFRARED = {Cue.INFRARED: True, Cue.INFRARED_MOVED: True}
DEPTH = {Cue.DEPTH: True, Cue.DEPTH_MOVED: True}
SOUND = CaptureFindings(seal=SealFinding.VERIFIED, replayed_frames=0, terminal_says=None)


def cues(asked: dict[Cue, bool], **says: CueSays) -> tuple[CueReading, ...]:
    """Return readings that are all for the person, but for what is said otherwise."""
    return tuple(
        CueReading(
            name=name,
            says=says.get(name.value, FOR),
            value=None,
            threshold=None,
            reason=Reason.FEW_GOOD_FRAMES,
            needed=needed,
        )
        for name, needed in asked.items()
    )


def words(asked: dict[Cue, bool], **says: CueSays) -> tuple[Liveness, Assurance]:
    fusion = fused(cues(asked, **says), POLICY)
    return fusion.liveness, fusion.assurance


@pytest.mark.parametrize(
    ("asked", "assurance"),
    [
        (MOVED, Assurance.COLOUR),
        (UNMOVED, Assurance.COLOUR_UNMOVED),
        (MOVED | INFRARED, Assurance.COLOUR),
        (UNMOVED | {Cue.INFRARED: True}, Assurance.COLOUR_UNMOVED),
        (MOVED | DEPTH, Assurance.SOLID),
        (MOVED | INFRARED | DEPTH, Assurance.SOLID),
        (UNMOVED | {Cue.DEPTH: True}, Assurance.SOLID),
    ],
)
def test_a_face_that_everything_speaks_for_is_live_and_it_is_known_by_what(
    asked: dict[Cue, bool], assurance: Assurance
) -> None:
    assert words(asked) == (LIVE, assurance)


@pytest.mark.parametrize("name", ["identity", "presence", "flatness"])
@pytest.mark.parametrize("asked", [MOVED, UNMOVED, MOVED | DEPTH | INFRARED])
def test_one_hard_no_is_a_suspected_spoof_whatever_else_is_said(asked: dict[Cue, bool], name: str) -> None:
    assert words(asked, **{name: AGAINST}) == (SPOOF, Assurance.COLOUR_UNMOVED)


@pytest.mark.parametrize("name", ["infrared", "infrared_moved", "depth", "depth_moved"])
def test_a_camera_beside_colour_that_says_no_is_not_outvoted_by_the_other(name: str) -> None:
    assert words(MOVED | INFRARED | DEPTH, **{name: AGAINST})[0] is SPOOF


@pytest.mark.parametrize("name", ["challenge", "delivery"])
def test_a_wrong_turn_and_a_bad_line_are_no_attack_and_no_yes(name: str) -> None:
    fusion = fused(cues(MOVED | DEPTH, **{name: AGAINST}), POLICY)

    assert (fusion.liveness, fusion.is_final) == (LITTLE, True)


@pytest.mark.parametrize("name", ["passive", "passive_share"])
def test_with_one_colour_camera_the_passive_model_has_a_veto(name: str) -> None:
    assert words(MOVED, **{name: AGAINST})[0] is SPOOF
    assert words(UNMOVED, **{name: AGAINST})[0] is SPOOF


@pytest.mark.parametrize("asked", [MOVED | INFRARED, MOVED | DEPTH, MOVED | INFRARED | DEPTH])
def test_beside_infrared_or_depth_the_passive_model_alone_rejects_nobody_who_moves(asked: dict[Cue, bool]) -> None:
    assurance = Assurance.SOLID if Cue.DEPTH in asked else Assurance.COLOUR

    assert words(asked, passive=AGAINST, passive_share=AGAINST) == (LIVE, assurance)
    assert words(asked, passive=SILENT) == (LIVE, assurance)


def test_of_a_face_that_does_not_move_infrared_bears_no_doubt_and_depth_does() -> None:
    assert words(UNMOVED | {Cue.INFRARED: True}, passive=AGAINST)[0] is SPOOF
    assert words(UNMOVED | {Cue.INFRARED: True}, passive=SILENT)[0] is LITTLE
    assert words(UNMOVED | {Cue.DEPTH: True}, passive=AGAINST) == (LIVE, Assurance.SOLID)


def test_two_doubts_are_too_many_even_for_a_solid_face() -> None:
    readings = cues(MOVED | DEPTH | {Cue.TERMINAL: False}, passive=AGAINST, terminal=AGAINST)

    assert fused(readings, POLICY).liveness is SPOOF


def test_a_solid_face_bears_the_doubt_of_the_terminal_and_a_colour_picture_does_not() -> None:
    asked = {Cue.TERMINAL: False}

    assert words(MOVED | DEPTH | asked, terminal=AGAINST) == (LIVE, Assurance.SOLID)
    assert words(MOVED | asked, terminal=AGAINST)[0] is SPOOF


def test_the_terminals_own_yes_is_never_enough() -> None:
    asked = {Cue.TERMINAL: False}

    assert words(MOVED | asked, passive=AGAINST)[0] is SPOOF
    assert words(MOVED | asked, challenge=SILENT)[0] is LITTLE


def test_a_doubt_waits_while_depth_has_only_spoken_at_rest() -> None:
    fusion = fused(cues(MOVED | DEPTH, passive=AGAINST, depth_moved=SILENT, challenge=SILENT), POLICY)

    assert (fusion.liveness, fusion.is_final) == (LITTLE, False)


def test_a_doubt_does_not_wait_for_a_camera_that_has_said_nothing_yet() -> None:
    assert words(MOVED | DEPTH, passive=AGAINST, depth=SILENT, depth_moved=SILENT)[0] is SPOOF


@pytest.mark.parametrize("name", [name.value for name, needed in (MOVED | INFRARED | DEPTH).items() if needed])
def test_i10_what_is_needed_and_silent_is_never_a_yes(name: str) -> None:
    expected = LIVE if name == "passive" else LITTLE  # of a solid face it is not needed

    assert words(MOVED | INFRARED | DEPTH, **{name: SILENT})[0] is expected
    if name in {cue.value for cue in MOVED}:
        assert words(MOVED, **{name: SILENT})[0] is LITTLE


def test_i10_nothing_at_all_is_never_a_yes() -> None:
    assert fused((), POLICY).liveness is LITTLE


def test_every_reason_is_told_once_in_the_order_of_the_cues() -> None:
    readings = [
        replace(reading, reason=Reason.PASSIVE_LOW if "passive" in reading.name else Reason.FLAT_TURN)
        for reading in cues(MOVED, passive=AGAINST, passive_share=AGAINST, flatness=AGAINST)
    ]

    assert fused(readings, POLICY).reasons == (Reason.PASSIVE_LOW, Reason.FLAT_TURN)


STILL_IN_INFRARED = UNMOVED | {Cue.INFRARED: True}
SESSIONS = st.sampled_from(
    [MOVED, UNMOVED, STILL_IN_INFRARED, MOVED | INFRARED, MOVED | DEPTH, MOVED | INFRARED | DEPTH]
)
FINDINGS = st.builds(
    CaptureFindings,
    seal=st.sampled_from(SealFinding),
    replayed_frames=st.integers(0, 3),
    terminal_says=st.sampled_from([None, True, False]),
)


@st.composite
def sessions(draw: st.DrawFn) -> tuple[CueReading, ...]:
    asked = draw(SESSIONS)
    return cues(asked, **{name.value: draw(st.sampled_from(CueSays)) for name in asked})


@given(readings=sessions(), data=st.data())
def test_a_word_against_never_improves_the_end(readings: tuple[CueReading, ...], data: st.DataObject) -> None:
    worse_at = data.draw(st.integers(0, len(readings) - 1))
    worse = tuple(
        replace(reading, says=AGAINST) if place == worse_at else reading for place, reading in enumerate(readings)
    )

    assert fused(worse, POLICY).liveness >= fused(readings, POLICY).liveness


@given(readings=sessions(), findings=FINDINGS)
def test_how_the_frames_came_never_improves_the_end(
    readings: tuple[CueReading, ...], findings: CaptureFindings
) -> None:
    before = fused(readings, POLICY)

    after = fused((*readings, *capture_cues(findings)), POLICY)

    assert after.liveness >= before.liveness
    assert after.liveness is not LIVE or after.assurance == before.assurance


@given(readings=sessions())
def test_solid_is_only_what_depth_spoke_for_all_the_way(readings: tuple[CueReading, ...]) -> None:
    fusion: Fusion = fused(readings, POLICY)
    says = {reading.name: reading.says for reading in readings}

    if fusion.assurance is Assurance.SOLID:
        assert {says[name] for name in DEPTH if name in says} == {FOR}
        assert AGAINST not in [says[name] for name in INFRARED if name in says]
        assert fusion.liveness is LIVE


def a_verdict(*, outcome: Outcome = Outcome.MATCHED, readings: tuple[CueReading, ...] | None = None) -> Verdict:
    return Verdict(
        outcome=outcome,
        assurance=Assurance.COLOUR,
        liveness=LivenessSummary(passive_median=0.9, challenge_passed=True, continuity=0.8, reasons=()),
        cues=cues(MOVED) if readings is None else readings,
        similarity=0.7,
        prints=(b"p" * 32,),
        policy=POLICY,
        model_versions={},
        frames_used=20,
        stage_ms={},
    )


def test_a_sound_capture_changes_nothing_but_what_is_written_down() -> None:
    before = a_verdict()

    after = before.with_capture(SOUND)

    assert (after.outcome, after.assurance, after.similarity) == (before.outcome, before.assurance, before.similarity)
    assert {cue.name for cue in after.cues} - {cue.name for cue in before.cues} == {
        Cue.SEAL,
        Cue.REPLAY,
        Cue.TERMINAL,
    }


@pytest.mark.parametrize(
    ("changes", "outcome", "reason"),
    [
        ({"seal": SealFinding.MISSING}, Outcome.INSUFFICIENT, Reason.SEAL_MISSING),
        ({"seal": SealFinding.BROKEN}, Outcome.SPOOF_SUSPECTED, Reason.SEAL_BROKEN),
        ({"replayed_frames": 1}, Outcome.SPOOF_SUSPECTED, Reason.REPLAYED),
        ({"terminal_says": False}, Outcome.SPOOF_SUSPECTED, Reason.TERMINAL_DOUBTS),
    ],
)
@pytest.mark.parametrize("was", [Outcome.MATCHED, Outcome.NOT_MATCHED, Outcome.LIVE])
def test_i09_a_capture_that_is_not_sound_takes_the_yes_and_the_match_away(
    was: Outcome, changes: dict[str, object], outcome: Outcome, reason: Reason
) -> None:
    after = a_verdict(outcome=was).with_capture(replace(SOUND, **changes))  # type: ignore[arg-type]

    assert (after.outcome, after.similarity, after.probe) == (outcome, None, None)
    assert after.liveness.reasons == (reason,)
    assert after.assurance is Assurance.COLOUR_UNMOVED


@pytest.mark.parametrize("was", [Outcome.SPOOF_SUSPECTED, Outcome.INSUFFICIENT])
def test_a_sound_capture_makes_no_yes_of_a_no(was: Outcome) -> None:
    says = {"challenge": SILENT} if was is Outcome.INSUFFICIENT else {"flatness": AGAINST}

    after = a_verdict(outcome=was, readings=cues(MOVED, **says)).with_capture(replace(SOUND, terminal_says=True))

    assert after.outcome is was


def test_a_no_for_want_of_evidence_becomes_a_suspicion_when_the_frames_are_a_replay() -> None:
    after = a_verdict(outcome=Outcome.INSUFFICIENT, readings=cues(MOVED, challenge=SILENT)).with_capture(
        replace(SOUND, replayed_frames=5)
    )

    assert after.outcome is Outcome.SPOOF_SUSPECTED


def test_prints_stay_with_a_verdict_that_has_become_a_suspicion() -> None:
    assert a_verdict().with_capture(replace(SOUND, replayed_frames=5)).prints == (b"p" * 32,)
