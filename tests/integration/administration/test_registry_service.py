"""Sites and terminals over the admin port: registered, imported, listed, watched and decided about."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING

import grpc
import pytest
from sqlalchemy import select

from device_registry.operators.roles import Role
from device_registry.tables import audit_log
from shualian.admin.v1 import registry_pb2 as pb
from shualian.admin.v1.registry_pb2_grpc import RegistryServiceStub
from tests.integration.administration.conftest import Operators
from tests.support.operators import EnrolledOperator
from tests.support.platform import RunningPlatform, a_registered_terminal, refusal

if TYPE_CHECKING:
    from shualian.admin.v1.registry_pb2_grpc import RegistryServiceAsyncStub  # in the stubs alone

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECONDS_MAX = 30.0
NUMBERS = count(1)
NOBODY = pb.WatchTerminalsRequest(filter=pb.TerminalFilter(region="none"))


@asynccontextmanager
async def stub_of(operator: EnrolledOperator) -> AsyncIterator["RegistryServiceAsyncStub"]:
    async with operator.channel() as channel:
        yield RegistryServiceStub(channel)


async def a_site(stub: "RegistryServiceAsyncStub", *, region: str = "330100") -> pb.Site:
    asked = pb.AddSiteRequest(name=f"Clinic {next(NUMBERS)}", region=region, kind=pb.SITE_KIND_CLINIC)
    return (await stub.AddSite(asked)).site


def a_row(site: pb.Site, line: int, serial_number: str) -> pb.ImportRow:
    return pb.ImportRow(
        line=line,
        serial_number=serial_number,
        site_id=site.site_id,
        manufacturer="Maker",
        model="M1",
        terminal_class=pb.TERMINAL_CLASS_FACE,
        certification_number="C-1",
        record_number="R-1",
    )


async def test_a_decision_is_audited_with_the_operator_the_reason_and_the_call(
    running: RunningPlatform, operators: Operators
) -> None:
    terminal = await a_registered_terminal(running, serial_number="DECIDED")
    async with stub_of(operators[Role.SECURITY]) as stub:
        call = stub.RevokeTerminal(pb.RevokeTerminalRequest(terminal="DECIDED", reason="stolen from the van"))
        revoked = (await call).terminal
        request_id = dict(await call.trailing_metadata())["x-request-id"]

    rows = await running.platform.unit_of_work.read(
        lambda connection: connection.execute(
            select(audit_log.c.actor, audit_log.c.action, audit_log.c.reason, audit_log.c.request_id).where(
                audit_log.c.subject == terminal.terminal_id, audit_log.c.action == "terminal.revoked"
            )
        ).all()
    )
    assert revoked.state == pb.TERMINAL_STATE_REVOKED
    assert [tuple(row) for row in rows] == [
        ("operator:the-security", "terminal.revoked", "stolen from the van", request_id)
    ]


async def test_a_decision_without_a_reason_is_refused_by_field(operators: Operators) -> None:
    async with stub_of(operators[Role.SECURITY]) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.SuspendTerminal(pb.SuspendTerminalRequest(terminal="DECIDED"))

    assert refusal(refused.value).fields == ("reason",)


async def test_an_import_answers_each_row_and_a_dry_run_leaves_nothing(operators: Operators) -> None:
    async with stub_of(operators[Role.OPERATOR]) as stub:
        site = await a_site(stub)
        rows = [a_row(site, 1, "IMP-1"), a_row(site, 2, "two words"), a_row(site, 3, "IMP-3")]
        rows[2].terminal_class = 9  # type: ignore[assignment]  # what a newer client might send
        outcomes: dict[int, list[tuple[int, int, str]]] = {}
        for dry_run in (True, False, False):
            answer = await stub.ImportTerminals(pb.ImportTerminalsRequest(rows=rows, dry_run=dry_run))
            outcomes[len(outcomes)] = [(result.line, result.outcome, result.reason) for result in answer.results]

    refused = [
        (2, pb.IMPORT_OUTCOME_REFUSED, "FIELD_INVALID"),
        (3, pb.IMPORT_OUTCOME_REFUSED, "FIELD_INVALID"),
    ]
    assert outcomes == {
        0: [(1, pb.IMPORT_OUTCOME_REGISTERED, ""), *refused],
        1: [(1, pb.IMPORT_OUTCOME_REGISTERED, ""), *refused],
        2: [(1, pb.IMPORT_OUTCOME_UNCHANGED, ""), *refused],
    }


async def test_a_list_comes_in_pages_that_follow_each_other(operators: Operators) -> None:
    async with stub_of(operators[Role.OPERATOR]) as stub:
        site = await a_site(stub)
        rows = [a_row(site, line, f"PAGE-{line}") for line in range(1, 6)]
        await stub.ImportTerminals(pb.ImportTerminalsRequest(rows=rows))
        found, token, pages = [], "", 0
        while pages == 0 or token:
            page = await stub.ListTerminals(
                pb.ListTerminalsRequest(filter=pb.TerminalFilter(site_id=site.site_id), page_size=2, page_token=token)
            )
            found += [view.terminal.serial_number for view in page.terminals]
            token, pages = page.next_page_token, pages + 1

    assert found == [row.serial_number for row in rows]
    assert pages == 3


async def test_a_site_keeps_what_was_not_corrected(operators: Operators) -> None:
    async with stub_of(operators[Role.OPERATOR]) as stub:
        placed = pb.Place(latitude=30.25, longitude=120.16, radius_metres=300)
        site = (
            await stub.AddSite(pb.AddSiteRequest(name="Lake", region="330100", kind=pb.SITE_KIND_CLINIC, place=placed))
        ).site
        asked = pb.UpdateSiteRequest(site_id=site.site_id, opening_hours="07:00-21:00", reason="hours are known now")
        corrected = (await stub.UpdateSite(asked)).site

    assert corrected == pb.Site(
        site_id=site.site_id,
        name="Lake",
        region="330100",
        kind=pb.SITE_KIND_CLINIC,
        added_at=site.added_at,
        place=placed,
        opening_hours="07:00-21:00",
    )


async def test_a_watch_begins_with_everybody_and_goes_on_with_what_changes(operators: Operators) -> None:
    async with stub_of(operators[Role.OPERATOR]) as stub:
        site = await a_site(stub)
        await stub.ImportTerminals(pb.ImportTerminalsRequest(rows=[a_row(site, 1, "WATCH-1")]))
        where = pb.TerminalFilter(site_id=site.site_id, state=pb.TERMINAL_STATE_REGISTERED)
        told: list[str] = []
        async with asyncio.timeout(SECONDS_MAX):
            async for change in stub.WatchTerminals(pb.WatchTerminalsRequest(filter=where)):
                match change.WhichOneof("change"):
                    case "caught_up":
                        told.append(f"{change.caught_up} there")
                        rows = [a_row(site, 1, "WATCH-1"), a_row(site, 2, "WATCH-2")]
                        await stub.ImportTerminals(pb.ImportTerminalsRequest(rows=rows))
                    case "terminal":
                        told.append(change.terminal.terminal.serial_number)
                        if told[-1] == "WATCH-2":
                            await ban(operators, "WATCH-1")
                    case _:
                        told.append("gone")
                        break

    assert told == ["WATCH-1", "1 there", "WATCH-2", "gone"]


async def ban(operators: Operators, serial_number: str) -> None:
    async with stub_of(operators[Role.SECURITY]) as stub:
        await stub.BanTerminal(pb.BanTerminalRequest(terminal=serial_number, reason="a clone"))


@asynccontextmanager
async def watching(operator: EnrolledOperator, count: int) -> AsyncIterator["RegistryServiceAsyncStub"]:
    """Have an operator hold so many watches open while the block runs."""
    async with stub_of(operator) as stub:
        open_calls = [stub.WatchTerminals(NOBODY) for _ in range(count)]
        for call in open_calls:
            first = await call.read()
            assert isinstance(first, pb.WatchTerminalsResponse)
            assert first.WhichOneof("change") == "caught_up"
        yield stub
        for call in open_calls:
            call.cancel()


async def one_more(stub: "RegistryServiceAsyncStub") -> str:
    """Open one more watch and return how it ended, or that it did not."""
    call = stub.WatchTerminals(NOBODY)
    try:
        await call.read()
    except grpc.aio.AioRpcError as error:
        refused = refusal(error)
        return refused.reason if refused.retry_after else "no time to come back"
    call.cancel()
    return "watches"


async def test_i11_so_many_watches_are_open_and_no_more(operators: Operators) -> None:
    viewer, operator, security = (operators[role] for role in Role)
    async with watching(viewer, 3), watching(operator, 3), watching(security, 2) as stub:
        assert await one_more(stub) == "TOO_MANY_WATCHES"


async def test_i11_one_operators_watches_leave_places_for_the_others(operators: Operators) -> None:
    async with watching(operators[Role.VIEWER], 3) as stub, stub_of(operators[Role.OPERATOR]) as colleague:
        assert await one_more(stub) == "TOO_MANY_WATCHES"
        assert await one_more(colleague) == "watches"


async def test_an_operator_does_not_undo_a_revocation_by_registering_anew(
    running: RunningPlatform, operators: Operators
) -> None:
    former = await a_registered_terminal(running, serial_number="UNDONE")
    async with stub_of(operators[Role.SECURITY]) as security, stub_of(operators[Role.OPERATOR]) as stub:
        site = await a_site(stub)
        row = a_row(site, 1, "UNDONE")
        anew = pb.RegisterTerminalRequest(
            terminal=pb.NewTerminal(**{name.name: value for name, value in row.ListFields() if name.name != "line"})
        )
        await security.RevokeTerminal(pb.RevokeTerminalRequest(terminal="UNDONE", reason="stolen"))

        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.RegisterTerminal(anew)
        assert refusal(refused.value).reason == "ROLE_MISSING"
        shown = await stub.GetTerminal(pb.GetTerminalRequest(terminal=former.terminal_id))
        assert shown.terminal.state == pb.TERMINAL_STATE_REVOKED

        assert (await security.RegisterTerminal(anew)).terminal.state == pb.TERMINAL_STATE_REGISTERED
