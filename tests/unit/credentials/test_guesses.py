"""The PINs that a thief tries first are not taken, and a terminal cannot try for ever."""

from datetime import timedelta

import pytest

from server.credentials.errors import PinGuessableError
from server.credentials.guesses import WrongPins, refuse_guessable
from tests.support.clock import Clock

ID_NUMBER = "110101195503076622"  # made up


@pytest.mark.parametrize(
    "pin",
    [
        "000000", "777777", "121212", "123123", "123456", "654321", "890123", "321098",
        "550307", "070355", "030755", "195503", "076622", "110101",
    ],
)  # fmt: skip
def test_a_repeated_counted_or_printed_pin_is_refused(pin: str) -> None:
    with pytest.raises(PinGuessableError) as caught:
        refuse_guessable(pin, id_number=ID_NUMBER)

    assert pin not in str(caught.value)


@pytest.mark.parametrize("pin", ["271828", "493817", "135790", "112233"])
def test_another_pin_is_taken(pin: str) -> None:
    refuse_guessable(pin, id_number=ID_NUMBER)


def test_i11_wrong_pins_are_forgotten_after_a_while_and_counted_for_each_terminal_alone() -> None:
    clock = Clock()
    wrong = WrongPins(now=clock.now, wrong_max=2, within=timedelta(minutes=10))

    assert [wrong.note("a"), wrong.note("a"), wrong.note("b")] == [False, True, False]
    clock.advance(timedelta(minutes=4))
    assert wrong.wait("a") == timedelta(minutes=6)
    assert wrong.wait("b") == timedelta()
    clock.advance(timedelta(minutes=6))
    assert wrong.wait("a") == timedelta()
