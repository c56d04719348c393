"""What does a person say when the face alone does not tell who they are?"""

import re
import sys
from collections.abc import Sequence
from itertools import chain, repeat
from typing import Final

import typer

from mock_terminal.errors import InputError
from mock_terminal.sitting import SecondFactors
from shualian.terminal.v1 import face_pb2

_FOUR: Final = re.compile("[0-9]{3}[0-9X]")
_QUESTIONS: Final = {
    face_pb2.SECOND_FACTOR_KIND_ID_NUMBER_LAST_FOUR: "last four characters of your ID number",
    face_pb2.SECOND_FACTOR_KIND_PHONE_LAST_FOUR: "last four digits of your phone number",
}


def second_factors(*, id_number_last_four: str, phone_last_four: str) -> SecondFactors | None:
    """Return how the person answers: with what was given; else at the keyboard; None when nobody is at it.

    Raises:
        InputError: those are not four digits; the last of an ID number may be X.
    """
    given = [
        face_pb2.SecondFactor(kind=kind, value=_four(value))
        for kind, value in (
            (face_pb2.SECOND_FACTOR_KIND_ID_NUMBER_LAST_FOUR, id_number_last_four),
            (face_pb2.SECOND_FACTOR_KIND_PHONE_LAST_FOUR, phone_last_four),
        )
        if value
    ]
    if given:
        return insisting(given)
    return _at_the_keyboard if sys.stdin.isatty() else None


def insisting(answers: Sequence[face_pb2.SecondFactor]) -> SecondFactors:
    """Return somebody who gives each answer in turn, and then the last one again and again."""
    left = chain(answers, repeat(answers[-1]))

    def answer(_: face_pb2.SecondFactorAsked) -> face_pb2.SecondFactor:
        return next(left)

    return answer


def _at_the_keyboard(asked: face_pb2.SecondFactorAsked) -> face_pb2.SecondFactor:
    kind = asked.kinds[0]
    said = typer.prompt(f"The {_QUESTIONS.get(kind, 'four digits')}", hide_input=True)
    return face_pb2.SecondFactor(kind=kind, value=_four(said))


def _four(text: str) -> str:
    value = text.strip().upper()
    if not _FOUR.fullmatch(value):
        raise InputError("a second factor is four digits; the last of an ID number may be X")
    return value
