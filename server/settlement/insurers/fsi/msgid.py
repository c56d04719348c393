"""Which id does a message get? Institution, moment and a number within the second, never the same twice.

The number comes from our database, in the transaction that writes the message down, so replicas and restarts cannot
collide. The second never goes back: while the clock is behind the newest id, numbering goes on where it was, and when a
second's numbers are used up, the next second is begun early. How far ahead of the clock it may run is bounded.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Connection, insert, select, update

from server.settlement.insurers.fsi.errors import MessageIdsExhaustedError
from server.settlement.insurers.fsi.profile import MsgidSettings, StampForm
from server.settlement.quote import CHINA
from server.store.tables.fsi import fsi_sequences

AHEAD_MAX: Final = timedelta(hours=1)
"""How far ids may run ahead of the clock: a clock set back further than this is looked at by a person first."""
_FORMATS: Final = {StampForm.YEAR_4: "%Y%m%d%H%M%S", StampForm.YEAR_2: "%y%m%d%H%M%S"}


def next_msgid(connection: Connection, *, institution: str, now: datetime, settings: MsgidSettings) -> str:
    """Return a new id; part of the transaction that writes its message.

    Args:
        connection: a write transaction; writers take turns on every engine we have.
        institution: the sender's code.
        now: the clock.
        settings: the profile's layout.

    Raises:
        MessageIdsExhaustedError: the next id would lie more than `AHEAD_MAX` ahead of the clock.
    """
    clock_second = int(now.timestamp())
    second, number = _advanced(_newest(connection, institution), clock_second, number_max=_number_max(settings))
    if second - clock_second > AHEAD_MAX.total_seconds():
        raise MessageIdsExhaustedError
    values = {"second": second, "number": number}
    changed = connection.execute(
        update(fsi_sequences).where(fsi_sequences.c.institution == institution).values(values)
    ).rowcount
    if not changed:
        connection.execute(insert(fsi_sequences).values(institution=institution, **values))
    return msgid_from(institution, datetime.fromtimestamp(second, UTC), number, settings)


def msgid_from(institution: str, moment: datetime, number: int, settings: MsgidSettings) -> str:
    """Return the id as the profile writes it."""
    parts = {
        "institution": institution,
        "stamp": moment.astimezone(CHINA).strftime(_FORMATS[settings.stamp]),
        "sequence": f"{number:0{settings.sequence_length}}",
    }
    return settings.separator.join(parts[name] for name in settings.parts)


def _newest(connection: Connection, institution: str) -> tuple[int, int]:
    columns = fsi_sequences.c
    found = connection.execute(
        select(columns.second, columns.number).where(columns.institution == institution)
    ).one_or_none()
    return (0, 0) if found is None else (found.second, found.number)


def _advanced(newest: tuple[int, int], clock_second: int, *, number_max: int) -> tuple[int, int]:
    second, number = newest
    if clock_second > second:
        return clock_second, 1
    return (second, number + 1) if number < number_max else (second + 1, 1)


def _number_max(settings: MsgidSettings) -> int:
    return int(10**settings.sequence_length) - 1
