"""How is the catalogue of errors printed: our reason, the status, the insurer's codes, and what the cashier reads?"""

from collections.abc import Iterator, Mapping
from typing import Final

from server.answers import Answer, NextAction
from server.answers.cashier import REFUSED, Words, sentences
from server.errors import ANSWERS, INTERNAL_REASON

HEAD: Final = """# Error catalogue

Printed by `shualian docs catalogue` from `server/errors.py` and `server/answers/cashier.toml`; do not edit by hand. For
each reason that somebody at a counter can meet: the gRPC status, the insurer's code where it comes from there, and the
sentence for the cashier. The sentence travels with the refusal as `google.rpc.LocalizedMessage`, in Chinese unless the
call's metadata says `accept-language: en`. It says what to do next and nothing about anybody. What the makers of
terminals program against stands in [errors.md](errors.md).

"""

REFUSALS: Final = """
## When the insurer refuses

All of these are `INSURER_REFUSED` (FAILED_PRECONDITION); `code` in the metadata tells them apart. Numbers are `infcode`
of the core, in the dialect of the [core simulator](operations/core-simulator.md#when-it-refuses); the nation fixes 0
(good) and -1 (failed) only, and a code that is not listed is told in the words of `INSURER_REFUSED` above. Words are
our own client's, which had not asked, or could not use what it was told. What leaves the outcome open (no answer, a
gateway's 999, an answer that cannot be read) is never a refusal: it is `OUTCOME_UNKNOWN`, and the platform itself looks
it up and settles or undoes it.

"""

FALLBACKS: Final = """
## For every other reason

What a terminal meets at the door, or what only its makers can mend, is told by the [next action](protocol.md):

"""


def catalogue_page() -> str:
    """Return docs/error-catalogue.md."""
    return HEAD + "\n".join([*_reasons(), REFUSALS, *_refusals(), FALLBACKS, *_actions()]) + "\n"


def _reasons() -> Iterator[str]:
    yield "| Reason | Status | Next action | For the cashier | In English |"
    yield "| --- | --- | --- | --- | --- |"
    answers = _answers()
    for reason, words in sorted(sentences().by_reason.items()):
        answer = answers[reason]
        yield f"| `{reason}` | {answer.code.name} | {answer.next_action} | {_cells(words)} |"


def _refusals() -> Iterator[str]:
    yield "| Kind | Codes | For the cashier | In English |"
    yield "| --- | --- | --- | --- |"
    for refusal in sentences().refusals:
        codes = ", ".join(f"`{code}`" for code in refusal.codes)
        yield f"| {refusal.kind} | {codes} | {_cells(refusal.words)} |"
    yield f"| any other | | {_cells(sentences().by_reason[REFUSED])} |"


def _actions() -> Iterator[str]:
    yield "| Next action | For the cashier | In English |"
    yield "| --- | --- | --- |"
    for action in NextAction:
        yield f"| {action} | {_cells(sentences().by_next_action[action])} |"
    yield ""
    yield f"`{INTERNAL_REASON}`, a mistake of ours, is told as {NextAction.WAIT}."


def _cells(words: Words) -> str:
    return " | ".join(words.values())


def _answers() -> Mapping[str, Answer]:
    return {getattr(kind, "reason", ""): answer for kind, answer in ANSWERS.items()}
