"""Who may confirm, and what is asked of a face, asked of the real command line."""

from pathlib import Path

import pytest

from face_pipeline import portrait
from server.commands.mistakes import ExitCode
from server.config import load_config
from tests.integration.cli.conftest import Ask, Reply

CODE, NAME = "D330100004217", "林若兰"  # made up
PLACE = ("--latitude", "30.25", "--longitude", "120.15", "--reason", "for practitioners")


def add_practitioner(ask: Ask, site: str, *more: str) -> Reply:
    picture = portrait(load_config(None, {}).models_dir, "grace_hopper")
    return ask(
        "practitioner", "add", "--code", CODE, "--name", NAME, "--site", site, "--portrait", str(picture), *more
    )  # fmt: skip


def test_i07_a_practitioner_is_shown_masked_rests_encrypted_and_leaves_with_the_face(
    ask: Ask, site: str, tmp_path: Path
) -> None:
    added = add_practitioner(ask, site, "--json")
    practitioner_id = added.json["practitioner_id"]

    shown = ask("practitioner", "show", practitioner_id)
    again = add_practitioner(ask, site, "--json")
    listed = ask("practitioner", "list", "--site", site, "--json")
    removed = ask("practitioner", "remove", practitioner_id, "--reason", "left the house", "--json")

    database = b"".join(path.read_bytes() for path in (tmp_path / "data").glob("shualian.sqlite*"))
    assert added.json["masked_name"] == "林**"
    assert [found["practitioner_id"] for found in listed.json["practitioners"]] == [practitioner_id]
    assert (again.code, again.json["error"]["reason"]) == (ExitCode.REFUSED, "PRACTITIONER_EXISTS")
    assert removed.json["removed_at"]
    assert ask("practitioner", "list", "--json").json == {"practitioners": []}
    for reply in (added, shown, listed, removed):
        assert NAME not in reply.out + reply.err
        assert CODE not in reply.out + reply.err
    for secret in (CODE, NAME):
        assert secret.encode() not in database


def test_who_adds_a_practitioner_hears_that_the_site_has_no_place_yet(ask: Ask, site: str) -> None:
    without = add_practitioner(ask, site)
    practitioner_id = ask("practitioner", "list", "--json").json["practitioners"][0]["practitioner_id"]
    ask("practitioner", "remove", practitioner_id, "--reason", "to add anew")
    ask("site", "update", site, *PLACE)
    with_place = add_practitioner(ask, site)

    assert "shualian site update" in without.out
    assert "shualian site update" not in with_place.out


@pytest.mark.parametrize("code", ["short", "D33010000421 7", "D3301ü0004217"])
def test_a_code_of_another_form_is_refused(ask: Ask, site: str, code: str) -> None:
    picture = portrait(load_config(None, {}).models_dir, "grace_hopper")
    refused = ask(
        "practitioner", "add", "--code", code, "--name", NAME, "--site", site, "--portrait", str(picture), "--json"
    )  # fmt: skip

    assert refused.json["error"]["reason"] == "PRACTITIONER_CODE_INVALID"


def test_the_rules_that_hold_are_printed_for_a_business_and_an_amount(ask: Ask) -> None:
    colour, solid = ask("face", "rules", "--amount-fen", "12000", "--json").json["cameras"]
    refused, large = ask("face", "rules", "--amount-fen", "300000", "--json").json["cameras"]

    assert (colour["band"], colour["amount_limit_fen"], colour["pin_free_limit_fen"]) == ("ORDINARY", 100_000, 20_000)
    assert colour["turns"] + colour["extras"] > solid["turns"] + solid["extras"]
    assert refused["refused"] == "CAMERA_INSUFFICIENT: needs DEPTH"
    assert (large["band"], large["refused"]) == ("LARGE", None)
    assert "¥1,000.00" in ask("face", "rules", "--amount-fen", "12000").out


def test_an_operators_own_rules_are_shown_and_their_mistakes_told(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "rules.toml"
    monkeypatch.setenv("SHUALIAN_FACE_RULES", str(own))
    own.write_text("[limits.COLOUR]\npin_free_limit_fen = 0\n", encoding="utf-8")
    held = ask("face", "rules", "--amount-fen", "12000", "--json")
    own.write_text("[limits.COLOR]\n[bands.SMALL]\nturns = 9\n", encoding="utf-8")
    wrong = ask("face", "rules", "--json")

    assert held.json["cameras"][0]["pin_free_limit_fen"] == 0
    assert wrong.code == ExitCode.CONFIGURATION
    assert wrong.json["error"]["reason"] == "FACE_RULES_INVALID"
    for part in ("[limits.COLOR] is not known", "[bands.SMALL] turns is a whole number from 2 to 6"):
        assert part in wrong.json["error"]["message"]


def test_a_business_type_that_is_none_is_named(ask: Ask) -> None:
    refused = ask("face", "rules", "--business-type", "1301", "--json")

    assert refused.code == ExitCode.USAGE
    assert "01301" in refused.json["error"]["next"]
