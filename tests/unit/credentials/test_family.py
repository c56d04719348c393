"""From which day on is nobody bound without their own face?"""

from datetime import date, timedelta

import pytest

from server.credentials.errors import IdNumberInvalidError
from server.credentials.family import needs_own_face
from server.credentials.identity import birth_date_of


@pytest.mark.parametrize(
    ("born", "from_day"),
    [
        (date(2010, 3, 2), date(2026, 3, 2)),
        (date(2010, 12, 31), date(2026, 12, 31)),
        (date(2008, 2, 29), date(2024, 2, 29)),
        (date(2084, 2, 29), date(2100, 3, 1)),  # 2100 has no leap day
    ],
)
def test_the_sixteenth_birthday_is_the_first_day_that_asks_for_the_own_face(born: date, from_day: date) -> None:
    assert needs_own_face(born, today=from_day)
    assert not needs_own_face(born, today=from_day - timedelta(days=1))


def test_a_number_without_a_birth_date_is_no_id_number() -> None:
    assert birth_date_of("990000201003020012") == date(2010, 3, 2)
    with pytest.raises(IdNumberInvalidError):
        birth_date_of("990000201002300012")


def test_a_number_may_name_a_year_after_which_there_are_no_sixteen() -> None:
    assert not needs_own_face(date(9990, 2, 28), today=date(2026, 11, 22))
