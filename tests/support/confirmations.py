"""A practitioner at the desk of a test, and what their face signs."""

from sqlalchemy import Connection, func, insert, select, update

from device_registry.model import SiteKind
from device_registry.tables import sites
from server.store.tables.practitioners import practitioners, staff_assertions
from tests.support.money import OUTPATIENT, Money

DOCTOR = "01980000-0000-7000-8000-00000000d001"


async def a_practitioner(money: Money, practitioner_id: str = DOCTOR) -> str:
    """Write a practitioner of the caller's site down, and return the id."""
    now = money.clock.now()

    def write(connection: Connection) -> None:
        known = connection.scalar(select(sites.c.site_id).where(sites.c.site_id == money.caller.site_id))
        if known is None:
            site = {"site_id": money.caller.site_id, "name": "Willow Bridge Hospital", "region": money.caller.region}
            connection.execute(insert(sites).values(**site, kind=SiteKind.HOSPITAL, added_at=now))
        connection.execute(
            insert(practitioners).values(
                practitioner_id=practitioner_id,
                site_id=money.caller.site_id,
                code_index=practitioner_id.replace("-", "").encode(),
                code_sealed=b"sealed",
                name_sealed=b"sealed",
                added_at=now,
            )
        )

    await money.unit_of_work.write(write)
    return practitioner_id


async def a_confirmation(
    money: Money,
    practitioner_id: str = DOCTOR,
    *,
    terminal_id: str | None = None,
    business_type: int = OUTPATIENT,
) -> str:
    """Return a fresh assertion of a practitioner, as their face session ends with."""
    issued = await money.unit_of_work.write(
        lambda connection: money.staff_assertions.issue(
            connection,
            terminal_id=terminal_id or money.caller.terminal_id,
            session_id=money.an_id(),
            practitioner_id=practitioner_id,
            business_type=business_type,
        )
    )
    return issued.token


async def unused_confirmations(money: Money) -> int:
    """Return how many of them are unused."""
    unused = select(func.count()).select_from(staff_assertions).where(staff_assertions.c.used_at.is_(None))
    return await money.unit_of_work.read(lambda connection: connection.scalar(unused) or 0)


async def puts_out_of_service(money: Money, practitioner_id: str = DOCTOR) -> None:
    """End a practitioner's service now."""
    await money.unit_of_work.write(
        lambda connection: connection.execute(
            update(practitioners)
            .where(practitioners.c.practitioner_id == practitioner_id)
            .values(removed_at=money.clock.now())
        )
    )
