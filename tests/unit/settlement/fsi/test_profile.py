"""A province's dialect is data: what is shipped is right, what is wrong is told all at once."""

import tomllib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from server.settings import ConfigError
from server.settlement.insurers.fsi.envelope import Institution
from server.settlement.insurers.fsi.institutions import load_institutions
from server.settlement.insurers.fsi.kinds import Kinds
from server.settlement.insurers.fsi.profile import (
    NATIONAL,
    AmountForm,
    BodySignature,
    PathSettings,
    Profile,
    load_profile,
)
from tests.support.fsi import HOSPITAL

EXAMPLE = NATIONAL.with_name("example_province.toml")
SITE = "01980000-0000-7000-8000-00000000b001"


def test_the_national_profile_is_the_default_and_spells_every_key_out() -> None:
    written = tomllib.loads(NATIONAL.read_text(encoding="utf-8"))

    assert load_profile() == Profile()
    assert _keys_of(written) == _keys_of_records(Profile())


def test_a_province_changes_layout_paths_lengths_and_signature_by_data_alone() -> None:
    profile = load_profile(EXAMPLE)

    assert profile.msgid.parts == ("stamp", "institution", "sequence")
    assert profile.paths.of("2207") == "/fsi/api/outpatientSettleService/saveSettletment"
    assert profile.paths.of("3201") == "/fsi/api/hsecfc/localEncodeService/call"
    assert profile.lengths.infno == 6
    assert profile.envelope.amounts is AmountForm.NUMBER
    assert profile.signature.body is BodySignature.SM3_WITH_SM2
    assert profile.outpatient == Profile().outpatient


@pytest.mark.parametrize(
    ("infcode", "err_msg", "code"),
    [
        ("-4011", "", "PERSON_SUSPENDED"),
        ("-1", "参保人 已停保[7]", "PERSON_SUSPENDED"),
        ("-1", "查无此人，或已停保", "PERSON_UNKNOWN"),  # the first that fits
        ("-1", "系统繁忙", "-1"),
        ("-40", "已停保", "-40"),
    ],
)
def test_a_province_gives_its_refusals_a_meaning_by_code_and_words(infcode: str, err_msg: str, code: str) -> None:
    assert load_profile(EXAMPLE).answer.code_of(infcode=infcode, err_msg=err_msg) == code


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(
        '[msgid]\nparts = ["stamp", "stamp"]\nsequence_length = 99\n'
        '[lengths]\nmsgid = "long"\n'
        '[signature]\nbody = "RSA"\n'
        "[surprise]\nkey = 1\n"
    )

    with pytest.raises(ConfigError) as error:
        load_profile(wrong)

    told = " ".join(error.value.mistakes)
    assert len(error.value.mistakes) == 4
    for key in ("msgid.sequence_length", "lengths.msgid", "signature.body", "surprise"):
        assert key in told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[msgid]\nparts = ["stamp"]\n', "msgid.parts"),
        ('[msgid]\nseparator = "-"\n', "msgid: has 32 characters"),
        ('[paths]\ndefault = "fsi"\n', "paths.default"),
        ('[paths]\nby_infno = ["1101:/x"]\n', "paths.by_infno"),
        ('[paths]\nby_infno = ["1101=x"]\n', "paths.by_infno"),
        ('[outpatient]\nbusiness_types = ["1301"]\n', "outpatient.business_types"),
        ('[pharmacy]\nbusiness_types = ["01301"]\n', "stands in outpatient"),
        ('[session]\nagain_codes = ["999"]\n', "session.again_codes"),
        ('[answer]\nrefusals = ["-1:已停保"]\n', "answer.refusals"),
        ('[answer]\nrefusals = ["=PERSON_SUSPENDED"]\n', "answer.refusals"),
        ('[answer]\nrefusals = ["-1=SULKING"]\n', "no such kind"),
        ('[answer]\nrefusals = ["999=PERSON_SUSPENDED"]\n', "so it is no refusal"),
    ],
)
def test_what_contradicts_itself_is_told(text: str, told: str, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(text)

    with pytest.raises(ConfigError, match=told):
        load_profile(wrong)


def test_a_profile_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        load_profile(tmp_path / "none.toml")


def test_a_path_may_hold_an_equals_sign() -> None:
    assert PathSettings(by_infno=("1101=/a?b=c",)).of("1101") == "/a?b=c"


def test_use_types_pick_the_family_of_calls() -> None:
    kinds = Kinds(Profile())

    visit, purchase = kinds.of(1301), kinds.of(2121)

    assert visit is not None
    assert purchase is not None
    assert (visit.quote, visit.settle, visit.undo) == ("2206", "2207", "2208")
    assert (purchase.quote, purchase.settle, purchase.undo) == ("2101", "2102", "2103")
    assert kinds.of(1103) is None


def test_each_site_may_speak_for_an_institution_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "institutions.toml"
    file.write_text(f'[sites."{SITE}"]\ncode = "P99010000002"\nname = "示例药店"\nregion = "990200"\n')

    institutions = load_institutions(file, default=HOSPITAL, profile=Profile())

    assert institutions.of_site(SITE) == Institution(code="P99010000002", name="示例药店", region="990200")
    assert institutions.of_site("another") == HOSPITAL
    assert institutions.with_code("P99010000002").region == "990200"
    assert institutions.with_code("H00000000000").region == HOSPITAL.region
    assert sorted(each.code for each in institutions) == ["H99010000001", "P99010000002"]


def test_mistakes_about_institutions_are_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "institutions.toml"
    file.write_text('other = 1\n[sites.a]\ncode = "SHORT"\nname = "n"\nregion = "x"\n[sites.b]\ncode = 1\nmore = 2\n')

    with pytest.raises(ConfigError) as error:
        load_institutions(file, default=HOSPITAL, profile=Profile())

    told = " ".join(error.value.mistakes)
    for part in ("other: unknown", "sites.a: the institution's code", "sites.a: the region", "sites.b.name: missing"):
        assert part in told
    for part in ("sites.b.region: missing", "sites.b.more: unknown", "sites.b.code: must be a text"):
        assert part in told


def _keys_of(table: Mapping[str, object], where: str = "") -> set[str]:
    found: set[str] = set()
    for name, value in table.items():
        found |= _keys_of(value, f"{where}{name}.") if isinstance(value, dict) else {f"{where}{name}"}
    return found


def _keys_of_records(record: object, where: str = "") -> set[str]:
    found: set[str] = set()
    for each in fields(record):  # type: ignore[arg-type] # each is a dataclass
        value = getattr(record, each.name)
        found |= _keys_of_records(value, f"{where}{each.name}.") if is_dataclass(value) else {f"{where}{each.name}"}
    return found
