"""What a national ID number, a name and a card number look like, written one way only, and what a screen may show."""

import re
import unicodedata
from dataclasses import dataclass, field
from datetime import MAXYEAR, date
from typing import Final

from server.credentials.errors import (
    CardNumberInvalidError,
    IdNumberInvalidError,
    NameInvalidError,
    PhoneNumberInvalidError,
    PractitionerCodeInvalidError,
)

NAME_LENGTH_MAX: Final = 50
_ID_NUMBER: Final = re.compile(r"[0-9]{17}[0-9X]")
_CARD_NUMBER: Final = re.compile(r"[A-Z0-9]{9,32}")
_PHONE_NUMBER: Final = re.compile(r"\+?[0-9]{7,15}")  # E.164 has at most 15 digits
_SPACING: Final = str.maketrans("", "", " -()")
_PRACTITIONER_CODE: Final = re.compile(r"[A-Z0-9]{8,32}")  # as in face.proto
_WEIGHTS: Final = tuple(2**place % 11 for place in range(17, 0, -1))  # GB 11643, ISO 7064 MOD 11-2
_CHECK_CHARACTERS: Final = "10X98765432"
_MIDDLE_DOTS: Final = str.maketrans(dict.fromkeys("•・∙‧⋅．", "·"))  # as typed in names of minorities
_DIGITS_SHOWN: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Name and number in clear: for whoever compares them with the register, and for nobody's eyes."""

    name: str = field(repr=False)
    id_number: str = field(repr=False)


def id_number_from_text(text: str) -> str:
    """Return the ID number in its one written form: full-width digits and a small x are forgiven.

    Raises:
        IdNumberInvalidError: wrong form or checksum.
    """
    number = unicodedata.normalize("NFKC", text).strip().upper()
    if not _ID_NUMBER.fullmatch(number) or number[-1] != checksum(number[:17]):
        raise IdNumberInvalidError
    return number


def birth_date_of(id_number: str) -> date:
    """Return the birth date that an ID number holds.

    Raises:
        IdNumberInvalidError: there is no such day.
    """
    try:
        return date(int(id_number[6:10]), int(id_number[10:12]), int(id_number[12:14]))
    except ValueError as error:
        raise IdNumberInvalidError from error


def birthday(born: date, years: int) -> date:
    """Return the day on which somebody has this age; born on a leap day means March 1 in other years."""
    year = min(born.year + years, MAXYEAR)  # a number may name any year
    try:
        return born.replace(year=year)
    except ValueError:
        return date(year, 3, 1)


def checksum(digits: str) -> str:
    """Return the 18th character for the first 17 digits.

    Source: GB 11643-1999, which takes it from ISO 7064 MOD 11-2.
    """
    total = sum(int(digit) * weight for digit, weight in zip(digits, _WEIGHTS, strict=True))
    return _CHECK_CHARACTERS[total % 11]


def name_from_text(text: str) -> str:
    """Return the name in its one written form, so that two ways of typing it agree.

    Raises:
        NameInvalidError: empty or too long.
    """
    name = unicodedata.normalize("NFKC", " ".join(text.translate(_MIDDLE_DOTS).split())).translate(_MIDDLE_DOTS)
    if not 1 <= len(name) <= NAME_LENGTH_MAX:
        raise NameInvalidError
    return name


def card_number_from_text(text: str) -> str:
    """Return the card number in its one written form.

    Raises:
        CardNumberInvalidError: wrong form.
    """
    number = unicodedata.normalize("NFKC", text).strip().upper()
    if not _CARD_NUMBER.fullmatch(number):
        raise CardNumberInvalidError
    return number


def practitioner_code_from_text(text: str) -> str:
    """Return the practitioner's code in its one written form.

    Raises:
        PractitionerCodeInvalidError: wrong form.
    """
    code = unicodedata.normalize("NFKC", text).strip().upper()
    if not _PRACTITIONER_CODE.fullmatch(code):
        raise PractitionerCodeInvalidError
    return code


def phone_number_from_text(text: str) -> str:
    """Return the phone number in its one written form: digits, perhaps after a plus.

    Raises:
        PhoneNumberInvalidError: wrong form.
    """
    number = unicodedata.normalize("NFKC", text).strip().translate(_SPACING)
    if not _PHONE_NUMBER.fullmatch(number):
        raise PhoneNumberInvalidError
    return number


def masked_name(name: str) -> str:
    """Return the first character, the rest starred; a name of one character is a star."""
    return name[0] + "*" * (len(name) - 1) if len(name) > 1 else "*"


def masked_id_number(number: str) -> str:
    """Return the first and last three characters, the rest starred."""
    return number[:_DIGITS_SHOWN] + "*" * (len(number) - 2 * _DIGITS_SHOWN) + number[-_DIGITS_SHOWN:]
