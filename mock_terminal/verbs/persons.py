"""Who sits before the cameras, and for which bill, as the options of a verb say it."""

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from mock_terminal.errors import InputError
from mock_terminal.eye import Cameras
from mock_terminal.inputs import claim_from, location_from
from mock_terminal.sitting import Anybody, Claim, Practitioner
from shualian.terminal.v1 import settlement_pb2, types_pb2

if TYPE_CHECKING:
    from mock_terminal.window import Window


def window_from(portrait: Path | None, landmarks: Path | None, *, cameras: Cameras, seed: int | None) -> "Window":
    """Return the window with somebody before it.

    Raises:
        InputError: nobody is there.
        PortraitError: that is no portrait.
    """
    if portrait is None or landmarks is None:
        raise InputError("a face needs --portrait and --landmarks")
    from mock_terminal.camera import Portrait  # noqa: PLC0415 - OpenCV, which who pays by card does not wait for
    from mock_terminal.window import Window  # noqa: PLC0415 - as above

    chosen = secrets.randbelow(1 << 31) if seed is None else seed
    return Window(Portrait.load(portrait, landmarks), cameras=cameras, seed=chosen)


def who_from(
    claim: Path | None, *, identify: bool = False, practitioner: str = "", at: str = ""
) -> Claim | Practitioner | Anybody:
    """Return who the person says to be.

    Raises:
        InputError: nothing is said, or two things at once.
    """
    if (claim is not None) + identify + bool(practitioner) != 1:
        raise InputError("say who it is, in one way: --claim FILE, --identify, or a practitioner's code")
    if claim is not None:
        return claim_from(claim)
    return practitioner_from(practitioner, at) if practitioner else Anybody()


def practitioner_from(code: str, at: str) -> Practitioner:
    """Return the practitioner with a code, at a place.

    Raises:
        InputError: there is no place.
    """
    if not at:
        raise InputError("a practitioner proves a place as well: --at LATITUDE,LONGITUDE")
    return Practitioner(code=code, location=location_from(at))


def business_type_from(number: int) -> types_pb2.BusinessType.ValueType:
    """Return the business type of a number such as 1301.

    Raises:
        InputError: there is none.
    """
    if number not in types_pb2.BusinessType.values():
        raise InputError(f"--business-type {number} is none of {types_pb2.BusinessType.values()[1:]}")
    return types_pb2.BusinessType.ValueType(number)


def bill_from(
    number: str,
    business_type: int,
    *,
    total_fen: int,
    not_covered_fen: int,
    stay_number: str = "",
    chronic_disease: str = "",
) -> settlement_pb2.Bill:
    """Return the bill.

    Raises:
        InputError: there is no such business type.
    """
    return settlement_pb2.Bill(
        bill_number=number,
        business_type=business_type_from(business_type),
        total_fen=total_fen,
        not_covered_fen=not_covered_fen,
        stay_number=stay_number,
        chronic_disease=chronic_disease,
    )
