"""The catalogue of errors is whole: every reason has one sentence, and no sentence or code stands for two things."""

import re
from collections import Counter
from collections.abc import Iterator

import pytest

from server import errors
from server.answers import NextAction
from server.answers.cashier import LANGUAGES, REFUSED, Words, sentences, spoken
from server.commands.catalogue import catalogue_page
from server.core_simulator.errors import Infcode
from server.credentials.errors import CredentialError
from server.interceptors.errors import status_of
from server.settlement.errors import AmountOverLimitError, InsurerRefusedError, SettlementError
from server.settlement.insurers.fsi.refusals import RefusalKind

OURS = re.compile(r"shualian|gRPC|infcode|msgid|null|NULL")
"""Words that help nobody at a counter."""
ROOMS = ("server.settlement", "server.credentials", "server.faces", "face_pipeline")
"""Whose errors somebody at a counter meets; the doors' are told by their next action."""


def reason_of(kind: type[Exception]) -> str:
    return str(getattr(kind, "reason", ""))


EXPECTED = {
    reason_of(kind)
    for kind, answer in errors.ANSWERS.items()
    if kind.__module__.startswith(ROOMS) and answer.code is not errors.INTERNAL
}


def all_words() -> Iterator[tuple[str, Words]]:
    found = sentences()
    yield from found.by_reason.items()
    yield from ((f"insurer {refusal.kind}", refusal.words) for refusal in found.refusals)
    yield from ((action.value, words) for action, words in found.by_next_action.items())


EVERY = list(all_words())


@pytest.mark.parametrize("reason", sorted(EXPECTED))
def test_every_reason_of_a_counter_has_its_sentence(reason: str) -> None:
    """A new error gets its sentence in server/answers/cashier.toml, or stands there under operators."""
    found = sentences()

    assert (reason in found.by_reason) is not (reason in found.operators)


def test_no_sentence_is_left_of_a_reason_that_is_gone() -> None:
    known = {reason_of(kind) for kind in errors.ANSWERS}

    assert set(sentences().by_reason) | sentences().operators <= known


def test_no_reason_stands_for_two_errors() -> None:
    counted = Counter(reason_of(kind) for kind in errors.ANSWERS)

    assert [reason for reason, count in counted.items() if count > 1] == []


def test_no_code_stands_for_two_refusals() -> None:
    counted = Counter(code for refusal in sentences().refusals for code in {*refusal.codes, refusal.kind})

    assert [code for code, count in counted.items() if count > 1] == []


@pytest.mark.parametrize("kind", RefusalKind)
def test_every_kind_that_a_province_may_name_has_its_own_words(kind: RefusalKind) -> None:
    (refusal,) = [refusal for refusal in sentences().refusals if refusal.kind == kind.value]

    assert sentences().of(REFUSED, code=kind.value) == refusal.words


@pytest.mark.parametrize("infcode", [code for code in Infcode if code not in {Infcode.GOOD, Infcode.FAILED}])
def test_every_infcode_of_the_core_simulator_has_its_own_words(infcode: Infcode) -> None:
    assert any(str(int(infcode)) in refusal.codes for refusal in sentences().refusals)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_two_things_are_said_in_the_same_words(language: str) -> None:
    counted = Counter(words[language] for _, words in EVERY)

    assert [sentence for sentence, count in counted.items() if count > 1] == []


@pytest.mark.parametrize(("name", "words"), EVERY, ids=[name for name, _ in EVERY])
def test_a_sentence_is_short_and_in_words_of_the_counter(name: str, words: Words) -> None:
    assert 5 <= len(words["zh"]) <= 45
    assert len(words["en"]) <= 130
    assert re.search("[\u4e00-\u9fff]", words["zh"])
    assert words["en"].isascii()
    for sentence in words.values():
        assert not OURS.search(sentence), name
        assert sentence == sentence.strip(" .。")


def test_an_insurers_code_is_told_in_its_own_words_and_an_unknown_one_in_general_ones() -> None:
    known = spoken(errors.reply_to(InsurerRefusedError(code=str(int(Infcode.PERSON_SUSPENDED)))))
    unknown = spoken(errors.reply_to(InsurerRefusedError(code="-7777")))

    assert "暂停" in known[1]
    assert unknown == ("zh-CN", sentences().by_reason[REFUSED]["zh"])


@pytest.mark.parametrize(
    ("accepted", "locale"),
    [
        ("", "zh-CN"),
        ("en", "en"),
        ("en-US,zh;q=0.5", "en"),
        ("fr, en;q=0.3", "en"),
        ("fr", "zh-CN"),
        ("zh-TW", "zh-CN"),
    ],
)
def test_the_caller_chooses_the_language(accepted: str, locale: str) -> None:
    assert spoken(errors.reply_to(AmountOverLimitError(limit_fen=1)), accepted=accepted)[0] == locale


def test_what_has_no_sentence_is_told_by_its_next_action() -> None:
    unforeseen = spoken(errors.reply_to(KeyError("990000195101010011")))

    assert unforeseen[1] == sentences().by_next_action[NextAction.WAIT]["zh"]


def test_the_sentence_travels_to_terminals_alone() -> None:
    reply = errors.reply_to(AmountOverLimitError(limit_fen=1))

    told = {detail.TypeName() for detail in status_of(reply, accepted_language="").details}
    untold = {detail.TypeName() for detail in status_of(reply).details}

    assert told - untold == {"google.rpc.LocalizedMessage"}


def test_the_catalogue_names_every_reason_code_and_sentence() -> None:
    page = catalogue_page()

    for _, words in EVERY:
        assert all(sentence in page for sentence in words.values())
    assert all(f"`{code}`" in page for refusal in sentences().refusals for code in refusal.codes)
    assert f"| `{AmountOverLimitError.reason}` | FAILED_PRECONDITION |" in page


def test_money_and_credentials_are_among_the_rooms() -> None:
    """The walk above goes by the modules' names: it must not lose a room that moves."""
    assert {root.__module__.rpartition(".")[0] for root in (SettlementError, CredentialError)} <= set(ROOMS)
