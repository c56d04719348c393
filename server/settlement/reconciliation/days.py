"""When does a day begin and end? By the platform's calendar, told in UTC."""

from datetime import UTC, date, datetime, time, timedelta, tzinfo


def bounds_of(day: date, zone: tzinfo) -> tuple[datetime, datetime]:
    """Return the first moment of a day and the first one after it, UTC."""
    begins = datetime.combine(day, time(), tzinfo=zone)
    ends = datetime.combine(day + timedelta(days=1), time(), tzinfo=zone)
    return begins.astimezone(UTC), ends.astimezone(UTC)


def day_of(moment: datetime, zone: tzinfo) -> date:
    """Return the day that a moment falls in."""
    return moment.astimezone(zone).date()
