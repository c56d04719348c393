"""Guardians and family accounts, asked of the real command line."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import insert

from server.commands.mistakes import ExitCode
from server.store import open_engine
from server.store.tables.credentials import credentials, family_bindings
from tests.integration.cli.conftest import Ask
from tests.support.credentials import an_id_number_of

CHILD, ADULT = date(2018, 6, 1), date(1962, 5, 4)
BINDING = "01980000-0000-7000-8000-00000000d001"
SEEN = ("--reason", "birth certificate seen")

Add = Callable[..., str]


@pytest.fixture
def add(ask: Ask, site: str) -> Add:
    """Return a function that adds somebody born on a day, and returns their id."""
    del site

    def adding(born: date, *more: str) -> str:
        added = ask(
            "person", "add", "--name", "苏小溪", "--id-number", an_id_number_of(born), "--region", "110000", "--no-pin",
            *more, "--json",
        )  # fmt: skip
        return str(added.json["person_id"])

    return adding


def bind(data: Path, *, holder: str, child: str, good_until: bool = True) -> None:
    """Have a binding, as a terminal would leave it."""
    now = datetime.now(UTC)
    engine = open_engine(f"sqlite:///{data / 'shualian.sqlite'}")
    with engine.begin() as connection:
        connection.execute(
            insert(credentials).values(
                credential_id=BINDING, person_id=holder, state="ACTIVE", identity_digest=b"0" * 32, activated_at=now
            )
        )
        connection.execute(
            insert(family_bindings).values(
                binding_id=BINDING, credential_id=BINDING, holder_id=holder, relative_id=child, place=1, bound_at=now,
                good_until=datetime(2034, 6, 1, tzinfo=UTC) if good_until else None,
            )
        )  # fmt: skip
    engine.dispose()


def test_guardians_are_written_down_shown_and_struck_out_with_the_binding_that_rests_on_them(
    ask: Ask, add: Add, tmp_path: Path
) -> None:
    mother, aunt = add(ADULT), add(ADULT)
    child = add(CHILD, "--guardian", mother)
    more = ask("person", "guardian", child, aunt, *SEEN, "--json")
    again = ask("person", "guardian", child, aunt, *SEEN, "--json")
    bind(tmp_path / "data", holder=aunt, child=child)
    shown = ask("person", "show", child, "--json").json["guardians"]

    ended = ask("person", "end-guardian", child, aunt, "--reason", "court order", "--json")
    nobody = ask("person", "end-guardian", child, aunt, "--reason", "court order", "--json")

    assert (more.json["new"], again.json["new"]) == (True, False)
    assert shown == [mother, aunt]
    assert ended.json["bindings_ended"] == [BINDING]
    assert nobody.code == ExitCode.REFUSED
    assert ask("person", "show", child, "--json").json["guardians"] == [mother]
    assert ask("person", "relatives", child, "--json").json["relatives"] == []
    trail = ask("audit", "list", "--json").out
    assert trail.count('"guardian.recorded"') == 2
    assert trail.count('"court order"') == 2  # the guardian, and the binding


def test_who_was_bound_with_their_own_face_stays_bound(ask: Ask, add: Add, tmp_path: Path) -> None:
    mother = add(ADULT)
    child = add(CHILD, "--guardian", mother)
    bind(tmp_path / "data", holder=mother, child=child, good_until=False)

    ended = ask("person", "end-guardian", child, mother, "--reason", "court order", "--json")

    assert ended.json["bindings_ended"] == []
    assert len(ask("person", "relatives", child, "--json").json["relatives"]) == 1


def test_a_guardian_is_grown_up_and_a_ward_is_not(ask: Ask, add: Add) -> None:
    mother, child, other = add(ADULT), add(CHILD), add(CHILD)
    refused = [
        ask("person", "guardian", mother, mother, *SEEN, "--json"),
        ask("person", "guardian", child, other, *SEEN, "--json"),
        ask("person", "guardian", child, "x", *SEEN, "--json"),
        ask("person", "guardian", child, mother, "--json"),  # without a reason
    ]

    assert [reply.code for reply in refused] == [*[ExitCode.REFUSED] * 3, ExitCode.USAGE]
    assert ask("person", "show", child, "--json").json["guardians"] == []


def test_one_binding_is_found_from_either_side_and_ended_with_a_reason(ask: Ask, add: Add, tmp_path: Path) -> None:
    stranger, child = add(ADULT), add(CHILD)
    bind(tmp_path / "data", holder=stranger, child=child)
    found = [ask("person", "relatives", who, "--json").json["relatives"] for who in (stranger, child)]

    ended = ask("person", "unbind-relative", found[1][0]["binding_id"], "--reason", "not their child", "--json")
    unknown = ask("person", "unbind-relative", "x", "--reason", "not their child", "--json")

    assert found[0] == found[1]
    assert (found[0][0]["holder_id"], found[0][0]["for"]) == (stranger, "苏**")
    assert ended.code == ExitCode.OK
    assert unknown.code == ExitCode.REFUSED
    assert ask("person", "relatives", stranger, "--json").json["relatives"] == []
    assert '"not their child"' in ask("audit", "list", "--json").out
