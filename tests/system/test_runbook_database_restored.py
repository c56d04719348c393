"""Last night's backup is put back: whoever was revoked since stays out, and what else was forgotten is told."""

import asyncio
import json
from functools import partial
from pathlib import Path

import pytest

from mock_terminal.journal import EntryState, Journal
from mock_terminal.leaving import Exit
from server.programs import Answer, Program
from tests.support.deployment import (
    ACCOUNT_FEN,
    SECONDS_MAX,
    Box,
    Cardholder,
    Deployment,
    a_box,
    a_cardholder,
    a_deployment,
    an_enrolled_box,
    balance_fen,
    eventually,
)
from tests.support.factory import MADE_AT
from tests.support.plant import a_plant, approve, register
from tests.support.runbook import Runbook, at_the_same_ports, the_runbook, told

REFUSED, NOT_SET_UP = 1, 4  # server/commands/mistakes.py


@pytest.mark.timeout(300)
async def test_a_restored_database_lets_nobody_in_until_its_lost_revocations_hold_again(tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    backup.mkdir()
    with (
        a_deployment(tmp_path / "p", registry_heartbeat_interval="2s", registry_overdue_after="8s") as platform,
        the_runbook("database-restored", platform) as book,
    ):
        book.here |= {"/backup": str(backup)}
        at_the_same_ports(platform)
        good, stolen, renewed = [await an_enrolled_box(platform) for _ in range(3)]
        made = await a_factory_made_box(platform)
        running = {box.serial_number: box.start("run") for box in (good, stolen, renewed, made)}
        for terminal in running.values():
            await heard(terminal, "connected")
        holder = await a_cardholder(platform)
        book.play("sqlite3")

        await asyncio.to_thread(platform.shualian, "terminal", "revoke", stolen.serial_number, "--reason", "stolen")
        assert await asyncio.to_thread(running[stolen.serial_number].wait, within=SECONDS_MAX) == Exit.REVOKED
        for box in (renewed, made):
            await asyncio.to_thread(platform.shualian, "command", "send", box.serial_number, "renew-certificate")
            await heard(running[box.serial_number], "renewed")
            await heard(running[box.serial_number], "connected")
        paid, broken_off = await a_bill(good, holder), await a_bill(good, holder, "--die-at", "answer-received")
        await asyncio.to_thread(platform.shualian, "audit", "checkpoint", "--reason", "every hour")

        restored(platform, book)
        await heard(running[good.serial_number], "connected")
        await comes_back_anew(platform, book, renewed, running[renewed.serial_number])
        await is_no_clone(book, made, running[made.serial_number])
        resumed = await asyncio.to_thread(good.verb, "resume")
        book.play("shualian ledger verify")
        book.play("shualian revocation witness")
        book.play("shualian audit verify")
        book.play("shualian terminal show", STOLEN=stolen.serial_number)
        thief = stolen.start("run")
        book.seen(json.dumps(await heard(thief, "stream_ended")))

        assert await asyncio.to_thread(thief.wait, within=SECONDS_MAX) == Exit.REVOKED
        assert resumed.event("reversed")["transaction_id"] == broken_off
        kept = {entry.transaction_id: entry.state for entry in Journal(good.state).entries()}
        assert kept == {paid: EntryState.SETTLED, broken_off: EntryState.REVERSED}
        found = platform.query("SELECT transaction_id, state FROM settlements WHERE terminal_id IS NOT NULL")
        assert found == [(broken_off, "REVERSED")]  # what was paid: no trace, as the page says
        assert balance_fen(platform, holder.account) == ACCOUNT_FEN


def restored(platform: Deployment, book: Runbook) -> None:
    """Play the restoration, from a platform that does not start to one that does."""
    platform.domain.engine.dispose()  # no connection of this process's own to the former file
    book.play("systemctl stop")
    book.play("cp ")
    book.play("rm -f")
    book.play("shualian serve", code=NOT_SET_UP)
    book.play("shualian revocation witness", code=REFUSED)
    book.play("shualian audit verify", code=REFUSED)
    book.play("shualian revocation reapply")
    book.play("shualian audit checkpoint")
    book.play("systemctl start")


async def comes_back_anew(platform: Deployment, book: Runbook, box: Box, terminal: Program) -> None:
    """Play the new beginning of a terminal whose certificate is younger than the backup."""
    assert (await heard(terminal, "no_new_certificate"))["reason"] == "STATE_UNUSABLE"  # it has no factory identity
    assert await asyncio.to_thread(terminal.wait, within=SECONDS_MAX) == Exit.REVOKED
    await eventually(lambda: is_overdue(platform, box))
    book.play("shualian terminal list --state active --presence overdue")
    book.play("shualian terminal evict", RENEWED=box.serial_number)
    token = told(book.play("shualian terminal token", RENEWED=box.serial_number), "One-time token")
    fingerprint = platform.domain.authority.root_fingerprint_sha256
    again = await asyncio.to_thread(box.enroll, token, root_fingerprint=fingerprint)
    assert again.code == 0, again.events
    await heard(box.start("run"), "connected")


async def is_no_clone(book: Runbook, box: Box, terminal: Program) -> None:
    """Play the same for a terminal with a factory identity, which looks like its own clone."""
    assert (await heard(terminal, "no_new_certificate"))["reason"] == "CLONE_SUSPECTED"
    assert await asyncio.to_thread(terminal.wait, within=SECONDS_MAX) == Exit.REVOKED
    finding = book.play("shualian fleet findings").splitlines()[1].split()[-1]
    book.play("shualian terminal evict", MADE=box.serial_number)
    book.play("shualian fleet close", FINDING=finding)
    again = box.start("run")
    await heard(again, "enrolled_again")
    await heard(again, "connected")


async def a_factory_made_box(platform: Deployment) -> Box:
    """Let a terminal enroll by its factory identity."""
    plant, box = a_plant(platform.folder / "plant"), a_box(platform)
    plant.make(serial_number=box.serial_number, state=box.state, now=MADE_AT)
    await platform.write(partial(approve, domain=platform.domain, plant=plant))
    await platform.write(partial(register, domain=platform.domain, serial_number=box.serial_number))
    fingerprint = platform.domain.authority.root_fingerprint_sha256
    done = await asyncio.to_thread(box.enroll, "", root_fingerprint=fingerprint)
    assert done.code == 0, done.events
    return box


def is_overdue(platform: Deployment, box: Box) -> bool:
    """Return whether the platform misses a terminal."""
    terminals = platform.shualian("terminal", "list", "--presence", "overdue")["terminals"]
    return box.serial_number in {terminal["serial_number"] for terminal in terminals}


async def heard(terminal: Program, event: str) -> Answer:
    """Wait for an event of a terminal; it may be half a minute until it tries again."""
    _, found = await asyncio.to_thread(terminal.wait_for, event, within=2 * SECONDS_MAX)
    return found


async def a_bill(box: Box, holder: Cardholder, *options: str) -> str:
    """Let somebody pay by card; return the transaction's id, as the terminal's journal has it."""
    typed = json.dumps({"card_number": holder.card_number, "pin": holder.pin})
    await asyncio.to_thread(box.verb, "pay", "--card-file", "-", "--total-fen", "12000", *options, typed=typed)
    return Journal(box.state).entries()[-1].transaction_id
