"""The server's certificate lapses: terminals stay out with all they have, and come back when there is a new one."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import pytest

from mock_terminal.journal import EntryState, Journal
from mock_terminal.leaving import Exit
from tests.support.company import a_box_that_trusts, a_company, write_server_certificate
from tests.support.deployment import (
    SECONDS_MAX,
    Box,
    Deployment,
    a_cardholder,
    a_deployment,
    eventually,
)
from tests.support.runbook import at_the_same_ports, the_runbook

QUARTER = timedelta(days=90)
SOON = timedelta(seconds=2)


@pytest.mark.timeout(300)
async def test_a_lapsed_server_certificate_keeps_new_connections_out_until_a_new_one_is_in_its_place(
    tmp_path: Path,
) -> None:
    company, tls, new = a_company(), tmp_path / "tls", tmp_path / "new"
    write_server_certificate(company, tls, life=QUARTER)
    write_server_certificate(company, new, life=QUARTER)
    files = {"tls_certificate": str(tls / "server.pem"), "tls_private_key": str(tls / "server.key")}
    with (
        a_deployment(tmp_path / "p", tls_reload_interval="100ms", limits_reconnect_spread="1s", **files) as platform,
        the_runbook("server-certificate-lapsed", platform) as book,
    ):
        book.here |= {"/etc/shualian/tls": str(tls), "new/": f"{new}/"}
        at_the_same_ports(platform)
        connected, late = [await a_box_that_trusts(platform, company) for _ in range(2)]
        standing = connected.start("run")
        await asyncio.to_thread(standing.wait_for, "connected", within=SECONDS_MAX)
        bill = await a_bill_that_broke_off(platform, late)
        identity = (late.state / "current").resolve()

        write_server_certificate(company, tls, life=SOON)
        await eventually(lambda: platform.http("/readyz")[0] == 503)
        book.play("curl")
        shut_out = late.start("run")
        _, ended = await asyncio.to_thread(shut_out.wait_for, "stream_ended", within=SECONDS_MAX)
        book.seen(json.dumps(ended))
        resumed_in_vain = await asyncio.to_thread(late.verb, "resume")
        still_open = [entry.transaction_id for entry in Journal(late.state).unfinished()]
        book.play("openssl s_client")
        book.play("install -m 600")
        book.play("install -m 644")
        await asyncio.to_thread(shut_out.wait_for, "connected", within=SECONDS_MAX)
        book.play("curl")
        book.play("openssl s_client")
        book.play("shualian terminal list --presence connected")
        resumed = await asyncio.to_thread(late.verb, "resume")

        assert resumed_in_vain.code == Exit.OUTCOME_UNKNOWN
        assert still_open == [bill]
        assert resumed.event("settled")["transaction_id"] == bill
        assert [entry.state for entry in Journal(late.state).entries()] == [EntryState.SETTLED]
        assert (late.state / "current").resolve() == identity

        book.play("systemctl stop")
        _, first_end = await asyncio.to_thread(standing.wait_for, "stream_ended", within=SECONDS_MAX)
        assert first_end["code"] == "OK"  # goodbye: what had stood went on through all of it
        platform.stage.settings = {name: it for name, it in platform.stage.settings.items() if it not in files.values()}
        book.play("systemctl start")
        for terminal in (standing, shut_out):
            await asyncio.to_thread(terminal.wait_for, "connected", within=SECONDS_MAX)
        book.play("curl")


async def a_bill_that_broke_off(platform: Deployment, box: Box) -> str:
    """Let a terminal drop dead between the platform's answer and its own note of it; return the transaction's id."""
    holder = await a_cardholder(platform)
    typed = json.dumps({"card_number": holder.card_number, "pin": holder.pin})
    options = ("--card-file", "-", "--total-fen", "12000", "--die-at", "answer-received")
    await asyncio.to_thread(box.verb, "pay", *options, typed=typed)
    (entry,) = Journal(box.state).unfinished()
    return entry.transaction_id
