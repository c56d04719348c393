"""What does the person at the counter read when something is refused? One sentence a language, from `cashier.toml`.

docs/error-catalogue.md is printed from here: our reason, the gRPC status, the insurer's codes and the sentence, side
by side. A sentence says what to do next and nothing about anybody.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from server.answers import NextAction, Reply

LANGUAGES: Final[Mapping[str, str]] = {"zh": "zh-CN", "en": "en"}
"""Our languages, and how `LocalizedMessage.locale` names them; the first is told where nobody asks for another."""
REFUSED: Final = "INSURER_REFUSED"
"""The reason whose code, in the metadata, tells the insurer's refusals apart."""
_FILE: Final = Path(__file__).with_name("cashier.toml")

Words = Mapping[str, str]
"""One sentence, by language."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One kind of refusal by the insurer."""

    kind: str
    codes: Sequence[str]
    """Infcodes of the core, and our client's own words; the kind itself is a code where a profile names it."""
    words: Words


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentences:
    """All of them."""

    by_reason: Mapping[str, Words]
    refusals: Sequence[Refusal]
    by_next_action: Mapping[NextAction, Words]
    operators: frozenset[str]
    """Reasons that nobody at a counter meets."""

    def of(self, reason: str, *, code: str = "", next_action: NextAction = NextAction.WAIT) -> Words:
        """Return what to say.

        Args:
            reason: the reason of the refusal.
            code: the insurer's, if it refused.
            next_action: what is said where the reason has no sentence of its own.
        """
        if reason == REFUSED:
            for refusal in self.refusals:
                if code in {*refusal.codes, refusal.kind}:
                    return refusal.words
        return self.by_reason.get(reason) or self.by_next_action[next_action]


@cache
def sentences() -> Sentences:
    """Return the sentences of `cashier.toml`.

    Raises:
        KeyError: a sentence lacks a language, or a next action its sentence.
    """
    found = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return Sentences(
        by_reason={reason: _words(entry) for reason, entry in found["reasons"].items()},
        refusals=[
            Refusal(kind=kind, codes=tuple(entry["codes"]), words=_words(entry))
            for kind, entry in found["insurer"].items()
        ],
        by_next_action={action: _words(found["next_actions"][action.value]) for action in NextAction},
        operators=frozenset(found["operators"]["reasons"]),
    )


def spoken(reply: Reply, *, accepted: str = "") -> tuple[str, str]:
    """Return the locale and the sentence for a refusal.

    Args:
        reply: the refusal.
        accepted: what the caller's `accept-language` says; empty for our first language.
    """
    action = NextAction(reply.metadata.get("next_action", NextAction.WAIT.value))
    words = sentences().of(reply.reason, code=reply.metadata.get("code", ""), next_action=action)
    language = next((each for each in _asked_for(accepted) if each in LANGUAGES), next(iter(LANGUAGES)))
    return LANGUAGES[language], words[language]


def _asked_for(accepted: str) -> Iterator[str]:
    """Return the languages of an `accept-language` in their order; weights are not looked at."""
    for part in accepted[:100].split(","):
        yield part.partition(";")[0].strip().partition("-")[0].lower()


def _words(entry: Mapping[str, Any]) -> Words:
    return {language: str(entry[language]) for language in LANGUAGES}
