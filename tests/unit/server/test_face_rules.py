"""What a face is asked for, and what it is good for, follows from business, amount and camera; the file is checked."""

from datetime import timedelta
from pathlib import Path

import pytest

from device_registry.model import SiteKind
from face_pipeline import Assurance, Modality
from server.faces.errors import CameraInsufficientError, FaceNotHereError, FaceRulesError
from server.faces.rules import BandName, FaceRules, Limits, SessionRule, Similarity
from server.faces.rules_file import load_rule_book, rule_book_from
from shualian.terminal.v1 import face_pb2, types_pb2

OUTPATIENT = int(types_pb2.BUSINESS_TYPE_OUTPATIENT_SETTLEMENT)
PHARMACY = int(types_pb2.BUSINESS_TYPE_PHARMACY_PURCHASE)
COLOUR_ALONE = frozenset[Modality]()
DEPTH = frozenset({Modality.DEPTH})
BOUND = Limits(amount_limit_fen=5_000_000, pin_free_limit_fen=50_000, staff_may_confirm=True)
TO_PAY, LOW_VALUE = 0.399, 0.37


def rules(changed: dict[str, object] | None = None, *, bound: Limits = BOUND) -> FaceRules:
    """Return the shipped rules, changed by what an operator's file would say."""
    return FaceRules(
        book=rule_book_from(changed or {}),
        bound=bound,
        similarity={Similarity.TO_PAY: TO_PAY, Similarity.LOW_VALUE: LOW_VALUE},
        deadline=timedelta(seconds=20),
    )


def asked(
    held: FaceRules | None = None,
    *,
    business_type: int = OUTPATIENT,
    amount_fen: int = 12_000,
    beside: frozenset[Modality] = COLOUR_ALONE,
    cannot_move: bool = False,
    purpose: "face_pb2.Purpose.ValueType" = face_pb2.PURPOSE_VERIFY,
) -> SessionRule:
    """Return the rule of an ordinary session; a test names what matters."""
    return (held or rules()).for_start(
        business_type=business_type, amount_fen=amount_fen, beside=beside, cannot_move=cannot_move, purpose=purpose
    )


def test_one_colour_camera_pays_little_and_still_less_without_a_pin() -> None:
    limits = asked().limits(Assurance.COLOUR)

    assert limits == Limits(amount_limit_fen=100_000, pin_free_limit_fen=20_000, staff_may_confirm=False)


def test_depth_pays_what_the_configuration_allows() -> None:
    limits = asked(amount_fen=0, beside=DEPTH).limits(Assurance.SOLID)

    assert limits == Limits(amount_limit_fen=5_000_000, pin_free_limit_fen=50_000, staff_may_confirm=False)


def test_no_rule_goes_beyond_the_configuration() -> None:
    tight = Limits(amount_limit_fen=8_000, pin_free_limit_fen=10_000, staff_may_confirm=True)

    limits = asked(rules(bound=tight)).limits(Assurance.COLOUR)

    assert (limits.amount_limit_fen, limits.pin_free_limit_fen) == (8_000, 8_000)


@pytest.mark.parametrize("beside", [COLOUR_ALONE, DEPTH])
def test_who_cannot_move_is_asked_nothing_and_never_pays_with_the_face_alone(beside: frozenset[Modality]) -> None:
    rule = asked(beside=beside, cannot_move=True)

    assert (rule.plan.turns, rule.plan.extras) == (0, 0)
    for assurance in Assurance:
        limits = rule.limits(assurance)
        assert (limits.pin_free_limit_fen, limits.staff_may_confirm) == (0, True)
        assert limits.amount_limit_fen <= 100_000


def test_a_session_for_a_small_bill_pays_no_large_one() -> None:
    small = asked(amount_fen=5_000, beside=DEPTH)
    ordinary = asked(amount_fen=5_001, beside=DEPTH)

    assert (small.band, small.similarity_min) == (BandName.SMALL, LOW_VALUE)
    assert small.limits(Assurance.SOLID).amount_limit_fen == 5_000
    assert (ordinary.band, ordinary.similarity_min) == (BandName.ORDINARY, TO_PAY)
    assert ordinary.limits(Assurance.SOLID).amount_limit_fen == 100_000


def test_a_face_does_something_to_a_credential_when_it_was_alike_enough_and_had_moved() -> None:
    unmoved_by_rules = rules({"limits": {"COLOUR_UNMOVED": {"staff_may_confirm": False}}})

    assert asked(amount_fen=0).proves_holder(Assurance.COLOUR)
    assert not asked(amount_fen=4_000).proves_holder(Assurance.COLOUR)  # a laxer threshold, for a small bill
    assert not asked(cannot_move=True).proves_holder(Assurance.COLOUR)
    assert not asked(cannot_move=True, beside=DEPTH).proves_holder(Assurance.SOLID)
    assert not asked(unmoved_by_rules, cannot_move=True).proves_holder(Assurance.COLOUR)


def test_an_amount_that_is_not_told_is_held_to_the_full_threshold() -> None:
    for beside in (COLOUR_ALONE, DEPTH):
        assert asked(amount_fen=0, beside=beside).similarity_min == TO_PAY


def test_a_large_bill_is_refused_before_anybody_is_looked_at_when_the_camera_has_colour_alone() -> None:
    with pytest.raises(CameraInsufficientError) as refused:
        asked(amount_fen=100_001)

    assert refused.value.needed == "DEPTH"
    assert asked(amount_fen=100_001, beside=DEPTH).required == DEPTH


def test_one_of_two_cameras_can_be_required() -> None:
    held = rules({"bands": {"LARGE": {"needs": ["ANY"]}}})

    with pytest.raises(CameraInsufficientError) as refused:
        asked(held, amount_fen=100_001)

    assert refused.value.needed == "NIR or DEPTH"
    assert asked(held, amount_fen=100_001, beside=frozenset({Modality.NIR})).required == {Modality.NIR}


def test_a_modality_can_be_required_by_name() -> None:
    held = rules({"bands": {"ORDINARY": {"needs": ["DEPTH", "NIR"]}, "LARGE": {"needs": ["DEPTH", "NIR"]}}})

    with pytest.raises(CameraInsufficientError) as refused:
        asked(held, beside=DEPTH)

    assert refused.value.needed == "NIR"
    assert asked(held, beside=frozenset(Modality)).required == frozenset(Modality)


def test_a_colour_camera_alone_is_asked_for_more_than_one_with_depth() -> None:
    colour, solid = asked().plan, asked(beside=DEPTH).plan

    assert colour.turns + colour.extras > solid.turns + solid.extras
    assert min(colour.turns, solid.turns) >= 2  # both sides
    assert min(colour.extras, solid.extras) >= 1


def test_medicine_from_a_pharmacy_has_a_lower_limit() -> None:
    assert asked(business_type=PHARMACY).limits(Assurance.COLOUR).amount_limit_fen == 50_000


def test_a_practitioner_is_good_for_no_money_and_held_to_the_full_threshold() -> None:
    rule = asked(amount_fen=1, purpose=face_pb2.PURPOSE_PRACTITIONER)

    assert rule.similarity_min == TO_PAY
    assert {rule.limits(assurance).amount_limit_fen for assurance in Assurance} == {0}
    assert not any(rule.limits(assurance).staff_may_confirm for assurance in Assurance)


@pytest.mark.parametrize("beside", [COLOUR_ALONE, frozenset({Modality.NIR})], ids=["colour", "infrared"])
def test_a_practitioner_who_cannot_move_needs_a_camera_that_sees_depth(beside: frozenset[Modality]) -> None:
    with pytest.raises(CameraInsufficientError):
        asked(cannot_move=True, beside=beside, purpose=face_pb2.PURPOSE_PRACTITIONER)

    rule = asked(cannot_move=True, beside=DEPTH, purpose=face_pb2.PURPOSE_PRACTITIONER)
    assert (rule.plan.turns, rule.required) == (0, DEPTH)


def test_the_version_changes_with_every_number_and_only_then() -> None:
    tight = Limits(amount_limit_fen=1_000, pin_free_limit_fen=0, staff_may_confirm=True)
    versions = [
        rules().version,
        rules({"limits": {"COLOUR": {"amount_limit_fen": 99_999}}}).version,
        rules({"practitioner": {"tolerance_metres": 1}}).version,
        rules({"bands": {"LARGE": {"needs": ["NIR"]}}}).version,
        rules(bound=tight).version,
    ]

    assert len(set(versions)) == len(versions)
    assert rules().version == versions[0]


def test_a_file_changes_only_what_it_names(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(
        "[limits.COLOUR]\namount_limit_fen = 60_000\n[types.01302.limits.COLOUR]\npin_free_limit_fen = 0\n", "utf-8"
    )

    book = load_rule_book(file)
    held = FaceRules(
        book=book,
        bound=BOUND,
        similarity={Similarity.TO_PAY: TO_PAY, Similarity.LOW_VALUE: LOW_VALUE},
        deadline=timedelta(seconds=20),
    )

    everywhere = asked(held).limits(Assurance.COLOUR)
    dispensing = asked(held, business_type=1302).limits(Assurance.COLOUR)
    pharmacy = asked(held, business_type=PHARMACY).limits(Assurance.COLOUR)
    assert (everywhere.amount_limit_fen, everywhere.pin_free_limit_fen) == (60_000, 20_000)
    assert (dispensing.amount_limit_fen, dispensing.pin_free_limit_fen) == (60_000, 0)
    assert (pharmacy.amount_limit_fen, pharmacy.pin_free_limit_fen) == (50_000, 10_000)  # as shipped, still tighter


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(FaceRulesError) as refused:
        rule_book_from(
            {
                "colour": {},
                "bands": {"SMALL": {"turns": 1, "similarity": "LAX"}, "HUGE": {}, "ORDINARY": {"up_to_fen": 4_000}},
                "limits": {"COLOUR_UNMOVED": {"pin_free_limit_fen": 1}, "SOLID": {"staff_may_confirm": "yes"}},
                "practitioner": 7,
                "types": {"1301": {}, "02121": {"limits": {"COLOUR": {"amount": 1}}}},
            }
        )

    told = "\n".join(refused.value.mistakes)
    for part in (
        "[colour] is not known",
        "[bands.SMALL] turns is a whole number from 2 to 6",
        "[bands.SMALL] similarity is one of TO_PAY, LOW_VALUE",
        "[bands.HUGE] is not known",
        "[bands.ORDINARY] up_to_fen must be above that of SMALL",
        "[limits.COLOUR_UNMOVED] pin_free_limit_fen must be 0",
        "[limits.SOLID] staff_may_confirm is true or false",
        "[practitioner] is no table",
        "[types.1301] 1301 is no business type",
        "[types.02121.limits.COLOUR] amount is no setting here",
    ):
        assert part in told


def test_a_file_that_cannot_be_read_is_one_mistake(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("[limits", "utf-8")

    for name in ("broken.toml", "missing.toml"):
        with pytest.raises(FaceRulesError):
            load_rule_book(tmp_path / name)


def refused_at(held: FaceRules, business_type: int, *, site_kind: str = "HOSPITAL", region: str = "330100") -> bool:
    """Return whether a face is refused there."""
    try:
        held.check_place(business_type=business_type, site_kind=site_kind, region=region)
    except FaceNotHereError:
        return True
    return False


def test_as_shipped_a_face_may_be_used_everywhere_for_everything_on_the_national_list() -> None:
    held = rules()

    refused = [
        (kind, number)
        for kind in SiteKind
        for number in types_pb2.BusinessType.values()
        if number and refused_at(held, number, site_kind=kind.value)
    ]

    assert refused == []


def test_where_a_face_may_be_used_is_said_by_kind_of_site_region_and_business() -> None:
    held = rules(
        {
            "places": {"site_kinds": ["HOSPITAL", "CLINIC"], "regions": ["33*"]},
            "types": {"02121": {"places": {"site_kinds": ["PHARMACY"], "regions": ["330100"]}}},
        }
    )

    assert not refused_at(held, OUTPATIENT, site_kind="HOSPITAL", region="339900")
    assert refused_at(held, OUTPATIENT, site_kind="PHARMACY")
    assert refused_at(held, OUTPATIENT, region="110000")
    assert not refused_at(held, PHARMACY, site_kind="PHARMACY")
    assert refused_at(held, PHARMACY, site_kind="PHARMACY", region="330101")
    assert refused_at(held, PHARMACY, site_kind="HOSPITAL")
    assert held.version != rules().version


def test_a_place_that_cannot_be_is_told_with_all_other_mistakes() -> None:
    with pytest.raises(FaceRulesError) as refused:
        rules({"places": {"site_kinds": ["SHOP"], "regions": ["3*3"], "doors": 2}})

    mistakes = [mistake for mistake in refused.value.mistakes if mistake.startswith("[places]")]
    assert [mistake.split()[1] for mistake in mistakes] == ["doors", "site_kinds", "regions"]
