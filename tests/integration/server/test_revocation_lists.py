"""Lists of revoked certificates: what everybody may ask for costs one look at the end of the log until it changes."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest
from cryptography import x509
from sqlalchemy import Connection

from device_registry.errors import IssuerUnknownError
from device_registry.revocation.revocation_log import Revocations
from device_registry.revocation.revoked import RevokedCertificate
from server.crl import SIGNED_ANEW_AFTER, RevocationLists, SignedList
from server.store import UnitOfWork
from tests.support.builders import OPERATOR, RegistryBench, a_registry, a_terminal
from tests.support.database import Database, a_unit_of_work


class CountingRevocations(Revocations):
    """The real log, which counts how often all that is revoked was read."""

    reads = 0

    def revoked_certificates(self, connection: Connection, issuer_id: str, now: datetime) -> list[RevokedCertificate]:
        """Count, and read."""
        self.reads += 1
        return super().revoked_certificates(connection, issuer_id, now)


@dataclass(kw_only=True)
class Desk:
    """A registry and its lists."""

    bench: RegistryBench
    unit_of_work: UnitOfWork
    revocations: CountingRevocations = field(init=False)
    lists: RevocationLists = field(init=False)

    def __post_init__(self) -> None:
        clock = self.bench.clock
        self.revocations = CountingRevocations(now=clock.now, announce=self.bench.announcements.announce)
        self.lists = RevocationLists(
            unit_of_work=self.unit_of_work,
            revocations=self.revocations,
            authority=self.bench.authority,
            now=clock.now,
        )

    async def fetch(self) -> SignedList:
        """Ask for the active issuer's list."""
        return await self.lists.of(self.bench.authority.issuer_id)

    async def revoke_one(self) -> None:
        """Revoke a terminal."""

        def work(connection: Connection) -> None:
            terminal = a_terminal(connection, self.bench.registry)
            self.bench.registry.revoke(connection, terminal_id=terminal.terminal_id, reason="stolen", actor=OPERATOR)

        await self.unit_of_work.write(work)


@pytest.fixture
async def desk(database: Database, tmp_path: Path) -> AsyncIterator[Desk]:
    async with a_unit_of_work(database.engine) as unit_of_work:
        yield Desk(bench=a_registry(tmp_path), unit_of_work=unit_of_work)


async def test_a_list_is_read_once_until_something_is_revoked(desk: Desk) -> None:
    await desk.revoke_one()
    first = [await desk.fetch() for _ in range(5)]
    assert (len(set(map(id, first))), desk.revocations.reads) == (1, 1)

    await desk.revoke_one()
    second = [await desk.fetch() for _ in range(5)]

    assert (len(set(map(id, second))), desk.revocations.reads) == (1, 2)
    assert len(x509.load_der_x509_crl(second[0].der)) == 2
    assert second[0].number > first[0].number


async def test_an_entry_that_is_about_no_certificate_leaves_the_list_as_it_was_signed(desk: Desk) -> None:
    await desk.revoke_one()
    before = await desk.fetch()

    def suspend(connection: Connection) -> None:
        terminal = a_terminal(connection, desk.bench.registry)
        desk.bench.registry.suspend(connection, terminal_id=terminal.terminal_id, reason="odd", actor=OPERATOR)

    await desk.unit_of_work.write(suspend)
    after = [await desk.fetch() for _ in range(3)]

    assert {signed.der for signed in after} == {before.der}
    assert desk.revocations.reads == 2


async def test_an_unchanged_list_is_signed_anew_before_it_lapses(desk: Desk) -> None:
    before = await desk.fetch()
    desk.bench.clock.advance(SIGNED_ANEW_AFTER)

    after = await desk.fetch()

    assert after.number > before.number
    assert await desk.fetch() is after


async def test_nothing_is_read_for_an_issuer_that_somebody_made_up(desk: Desk) -> None:
    with pytest.raises(IssuerUnknownError):
        await desk.lists.of("nobody")

    assert desk.revocations.reads == 0
