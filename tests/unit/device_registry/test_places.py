"""Where sites are, how far it is, and when they are open."""

from datetime import UTC, datetime, time, timedelta

import pytest

from device_registry.errors import FieldInvalidError
from device_registry.fleet.places import OpeningHours, Position, metres_between
from device_registry.fleet.whereabouts import ORIGINS_MAX, origins_from, positions_from, with_origin, with_position

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
SOUTH_GATE = Position(latitude=30.2500, longitude=120.1500)


def test_one_degree_of_latitude_is_a_hundred_and_eleven_kilometres() -> None:
    one_north = Position(latitude=31.25, longitude=120.15)

    assert metres_between(SOUTH_GATE, one_north) == pytest.approx(111_195, rel=1e-3)
    assert metres_between(SOUTH_GATE, SOUTH_GATE) == 0


def test_the_date_line_is_no_long_way() -> None:
    west, east = Position(latitude=0, longitude=179.99), Position(latitude=0, longitude=-179.99)

    assert metres_between(west, east) == pytest.approx(2_224, rel=1e-2)


def test_hours_over_midnight_include_the_night() -> None:
    night = OpeningHours.from_text("22:00-06:00")

    assert [night.include(time(hour)) for hour in (22, 3, 6, 12)] == [True, True, False, False]


@pytest.mark.parametrize("text", ["7:00-21:00", "07:00-24:00", "07:00-07:00", "always", "07:00 - 21:00"])
def test_hours_of_another_form_are_refused(text: str) -> None:
    with pytest.raises(FieldInvalidError, match="opening_hours"):
        OpeningHours.from_text(text)


def test_only_changes_of_origin_are_kept_and_only_the_last_few() -> None:
    column = None
    for number in range(20):
        for _ in range(3):
            column = with_origin(column, f"ipv4:192.0.2.{number}", NOW + timedelta(minutes=number))

    kept = origins_from(column)
    assert [change.origin for change in kept] == [
        f"ipv4:192.0.2.{number}" for number in range(19, 19 - ORIGINS_MAX, -1)
    ]
    assert kept[0].at == NOW + timedelta(minutes=19)


def test_an_unknown_origin_and_position_change_nothing() -> None:
    column = with_origin(None, "ipv4:192.0.2.1", NOW)

    assert with_origin(column, "", NOW) == column
    assert with_position(None, None, NOW) is None


def test_a_position_is_kept_to_ten_metres_and_a_repeat_brings_its_time_up_to_date() -> None:
    column = with_position(None, Position(latitude=30.250012345, longitude=120.1), NOW)
    column = with_position(column, Position(latitude=30.25003, longitude=120.1), NOW + timedelta(hours=1))

    (kept,) = positions_from(column)
    assert (kept.position.latitude, kept.at) == (30.25, NOW + timedelta(hours=1))
