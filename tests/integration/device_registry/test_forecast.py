"""Who will miss their rotation is known before it happens."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Connection, update

from device_registry import Terminal, TerminalClass, TerminalState
from device_registry.errors import FieldInvalidError
from device_registry.rollouts.forecast import Forecast, Laggard, Mend, Missing, why_missing
from device_registry.tables import certificates, terminals, vitals
from tests.support.builders import RegistryBench, a_terminal

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
LIFE = 30 * DAY


@dataclass(frozen=True, kw_only=True)
class Ward:
    """Terminals whose certificate began a while ago, and that were last seen at some time."""

    connection: Connection
    bench: RegistryBench

    def terminal(
        self,
        *,
        ends_in: timedelta,
        seen_ago: timedelta | None,
        terminal_class: TerminalClass = TerminalClass.FACE,
        has_factory_key: bool = False,
        state: TerminalState = TerminalState.ACTIVE,
    ) -> Terminal:
        """Make one."""
        terminal = a_terminal(self.connection, self.bench.registry, terminal_class=terminal_class, state=state)
        now = self.bench.clock.now()
        whose = terminal.terminal_id
        self.connection.execute(
            update(certificates)
            .where(certificates.c.terminal_id == whose)
            .values(issued_at=now + ends_in - LIFE, not_after=now + ends_in)
        )
        self.connection.execute(
            update(vitals)
            .where(vitals.c.terminal_id == whose)
            .values(last_seen_at=None if seen_ago is None else now - seen_ago)
        )
        if has_factory_key:
            pinned = whose.replace("-", "").ljust(64, "0")
            self.connection.execute(
                update(terminals).where(terminals.c.terminal_id == whose).values(factory_key_sha256=pinned)
            )
        return terminal

    def forecast(self, horizon: timedelta = 7 * DAY) -> Forecast:
        """Look ahead."""
        return self.bench.forecasts.take(self.connection, horizon=horizon)


@pytest.fixture
def ward(connection: Connection, bench: RegistryBench) -> Ward:
    return Ward(connection=connection, bench=bench)


def only(forecast: Forecast) -> Laggard:
    (laggard,) = forecast.laggards
    return laggard


def test_who_is_away_while_its_certificate_ends_will_miss_it(ward: Ward) -> None:
    away = ward.terminal(ends_in=12 * DAY, seen_ago=4 * DAY)
    ward.terminal(ends_in=12 * DAY, seen_ago=14 * HOUR)  # off over night
    ward.terminal(ends_in=20 * DAY, seen_ago=4 * DAY)  # away as well, with time enough

    laggard = only(ward.forecast(horizon=15 * DAY))

    assert (laggard.terminal_id, laggard.missing) == (away.terminal_id, Missing.AWAY)
    assert ward.forecast(horizon=10 * DAY).total == 0


def test_who_was_never_seen_is_away(ward: Ward) -> None:
    ward.terminal(ends_in=DAY, seen_ago=None)

    assert only(ward.forecast()).missing is Missing.AWAY


def test_who_is_here_and_does_not_renew_will_miss_it(ward: Ward) -> None:
    stuck = ward.terminal(ends_in=2 * DAY, seen_ago=timedelta(0))

    laggard = only(ward.forecast())

    assert (laggard.terminal_id, laggard.missing) == (stuck.terminal_id, Missing.NOT_RENEWING)
    assert laggard.renew_after < ward.bench.clock.now() - DAY


def test_only_those_in_service_are_looked_at(ward: Ward) -> None:
    ward.terminal(ends_in=DAY, seen_ago=None, state=TerminalState.SUSPENDED)
    ward.terminal(ends_in=DAY, seen_ago=None, state=TerminalState.REVOKED)

    assert ward.forecast().total == 0


@pytest.mark.parametrize(
    ("ended_ago", "has_factory_key", "mend"),
    [
        (-DAY, False, Mend.GRACE),
        (6 * DAY, False, Mend.GRACE),  # class III: 7 days
        (8 * DAY, False, Mend.TECHNICIAN),
        (8 * DAY, True, Mend.FACTORY_KEY),
    ],
)
def test_how_it_can_be_mended_is_said(ward: Ward, ended_ago: timedelta, mend: Mend, *, has_factory_key: bool) -> None:
    ward.terminal(ends_in=-ended_ago, seen_ago=10 * DAY, has_factory_key=has_factory_key)

    forecast = ward.forecast()

    laggard = only(forecast)
    assert laggard.mend is mend
    assert forecast.by_mend == {mend: 1}
    assert forecast.lapsed == (ended_ago > timedelta(0))
    assert laggard.mendable_until == (laggard.not_after + 7 * DAY if mend is Mend.GRACE else None)


def test_grace_is_that_of_the_class(ward: Ward) -> None:
    ward.terminal(ends_in=-8 * DAY, seen_ago=10 * DAY, terminal_class=TerminalClass.CARD)

    assert only(ward.forecast()).mend is Mend.GRACE


def test_the_numbers_are_there_by_region_site_and_class(ward: Ward) -> None:
    here = ward.terminal(ends_in=DAY, seen_ago=None)
    ward.terminal(ends_in=2 * DAY, seen_ago=timedelta(0), terminal_class=TerminalClass.SCAN)

    forecast = ward.forecast()

    assert forecast.laggards[0].terminal_id == here.terminal_id
    assert forecast.by_region == {"330100": 2}
    assert forecast.by_site[here.site_id] == 1
    assert forecast.by_class == {TerminalClass.FACE: 1, TerminalClass.SCAN: 1}
    assert forecast.by_missing == {Missing.AWAY: 1, Missing.NOT_RENEWING: 1}


def test_a_horizon_without_bounds_is_refused(ward: Ward) -> None:
    for horizon in (-DAY, 366 * DAY):
        with pytest.raises(FieldInvalidError):
            ward.forecast(horizon=horizon)


def test_with_short_lives_the_bounds_are_short() -> None:
    now = datetime.fromisoformat("2026-03-02T08:00:00Z")
    life = timedelta(hours=10)

    def missing(seen_ago: timedelta, due_ago: timedelta) -> Missing | None:
        return why_missing(life=life, due=now - due_ago, last_seen_at=now - seen_ago, now=now)

    assert missing(seen_ago=HOUR, due_ago=-HOUR) is Missing.AWAY
    assert missing(seen_ago=HOUR / 2, due_ago=-HOUR) is None
    assert missing(seen_ago=timedelta(0), due_ago=HOUR / 2) is Missing.NOT_RENEWING
    assert missing(seen_ago=timedelta(0), due_ago=HOUR / 4) is None
