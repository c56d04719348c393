"""The issuing key is gone, and later the next one is stolen: the fleet works on, and moves to another authority."""

import asyncio
import json
import shutil
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from mock_terminal.leaving import Exit
from server.programs import Answer, Program
from tests.support.company import a_box_that_trusts, a_company, enrolled, write_server_certificate
from tests.support.deployment import SECONDS_MAX, Box, Deployment, a_deployment, a_registered_box, eventually
from tests.support.runbook import Runbook, at_the_same_ports, the_runbook, told

REFUSED, NOT_SET_UP = 1, 4  # server/commands/mistakes.py


@pytest.mark.timeout(300)
async def test_a_lost_issuing_authority_is_replaced_under_a_fleet_that_works_and_a_stolen_one_is_shut_out(
    tmp_path: Path,
) -> None:
    company, tls, safe = a_company(), tmp_path / "tls", tmp_path / "safe"
    write_server_certificate(company, tls, life=timedelta(days=90))
    files = {"tls_certificate": str(tls / "server.pem"), "tls_private_key": str(tls / "server.key")}
    with (
        a_deployment(tmp_path / "p", limits_reconnect_spread="1s", **files) as platform,
        the_runbook("issuing-authority-lost", platform) as book,
    ):
        at_the_same_ports(platform)
        book.here |= {"/media/safe": str(safe)}
        safe.mkdir()
        (platform.config.authority_dir / "root").rename(safe / "root")
        shutil.copy(platform.config.ca_passphrase, safe / "passphrase")
        boxes = [await a_box_that_trusts(platform, company) for _ in range(2)]
        terminals = [box.start("run") for box in boxes]
        await connected(terminals)

        shutil.rmtree(platform.config.authority_dir / "issuing")
        book.play("curl")
        await asyncio.to_thread(platform.server.stop)
        await asyncio.to_thread(platform.start)
        await connected(terminals)
        book.seen(json.dumps(await refused_at_enrollment(platform)))
        serves_in_vain_without_a_certificate_of_its_own(platform, book, files)
        second = await replaced(platform, book, terminals)
        await shut_out(platform, book, second, boxes[0], terminals[0])
        book.play("shualian ca show")


async def replaced(platform: Deployment, book: Runbook, terminals: Sequence[Program]) -> str:
    """Play what replaces a lost issuing authority; return the new one."""
    lost = platform.domain.authority.issuer_id
    book.play("shualian ca show")
    new = told(book.play("shualian ca prepare"), "issuer id")
    book.play("shualian ca activate", NEW=new)
    await eventually(lambda: bool(json.loads(platform.http("/readyz")[1])["checks"]["signing"]))
    book.play("curl")
    rollout = told(book.play("shualian rollout start", OLD=lost), "rollout id")
    book.play("shualian rollout watch", ROLLOUT=rollout)
    await connected(terminals)
    book.play("shualian ca taint", OLD=lost)
    book.play("shualian ca show")
    book.play("shualian ca revoke", OLD=lost)
    return new


async def shut_out(platform: Deployment, book: Runbook, stolen: str, box: Box, terminal: Program) -> None:
    """Play what shuts a stolen issuing authority out, and one of its terminals in again."""
    following = told(book.play("shualian ca prepare"), "issuer id")
    book.play("shualian ca activate", NEXT=following)
    book.play("shualian ca taint", STOLEN=stolen)
    book.play("shualian ca revoke", STOLEN=stolen, code=REFUSED)
    book.play("shualian ca revoke", STOLEN=stolen)
    passed: list[tuple[float, Answer]] = []
    _, stopped = await asyncio.to_thread(
        terminal.wait_for, "no_new_certificate", within=SECONDS_MAX, passing=passed
    )  # fmt: skip
    book.seen("\n".join(json.dumps(event) for event in [*(event for _, event in passed), stopped]))
    left = await asyncio.to_thread(terminal.wait, within=SECONDS_MAX)
    book.play("shualian terminal evict", BOX=box.serial_number)
    token = told(book.play("shualian terminal token", BOX=box.serial_number), "One-time token")
    again = await enrolled(platform, box, token)
    assert left == Exit.REVOKED
    assert again.code == 0, again.events
    await connected([box.start("run")])


async def connected(terminals: Sequence[Program]) -> None:
    """Wait until each of them is connected, after whatever it was before."""
    for terminal in terminals:
        await asyncio.to_thread(terminal.wait_for, "connected", within=SECONDS_MAX)


async def refused_at_enrollment(platform: Deployment) -> Answer:
    """Return what a new terminal is told while nothing can be signed."""
    stranger, token = await a_registered_box(platform)
    return (await enrolled(platform, stranger, token)).event("failed")


def serves_in_vain_without_a_certificate_of_its_own(platform: Deployment, book: Runbook, files: dict[str, str]) -> None:
    """Play the start of a platform that would have to sign a certificate for itself."""
    settings = platform.stage.settings
    platform.stage.settings = {name: it for name, it in settings.items() if it not in files.values()}
    book.play("shualian serve", code=NOT_SET_UP)
    platform.stage.settings = settings
