"""The token with the issuing key is pulled out under a running platform and put back: patients notice nothing."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.support.deployment import (
    SECONDS_MAX,
    Box,
    Deployment,
    Finished,
    a_cardholder,
    a_deployment,
    a_registered_box,
    an_enrolled_box,
    eventually,
)
from tests.support.runbook import the_runbook
from tests.support.softhsm import PIN, a_token


@pytest.mark.timeout(300)
async def test_a_token_that_is_gone_stops_enrollment_alone_and_signs_again_when_it_is_back(tmp_path: Path) -> None:
    token, pin = a_token(), tmp_path / "pin"
    pin.touch(mode=0o600)
    pin.write_text(PIN)
    settings = {
        "authority_backend": "pkcs11",
        "authority_pkcs11_module": str(token.module),
        "authority_token_label": token.label,
        "authority_pin_file": str(pin),
    }
    with a_deployment(tmp_path / "p", **settings) as platform, the_runbook("hsm-gone", platform) as book:
        book.here |= {"/var/log/shualian.log": str(platform.folder / "platform.log"), "*shualian": f"*{token.label}"}
        enrolled = await an_enrolled_box(platform)
        running = enrolled.start("run")
        await asyncio.to_thread(running.wait_for, "connected", within=SECONDS_MAX)
        waiting, one_time = await a_registered_box(platform)

        with token.away():
            await eventually(lambda: not can_sign(platform))
            book.play("curl")
            refused = await enrolls(platform, waiting, one_time)
            book.seen(json.dumps(refused.event("failed")))
            book.play("curl")
            paid = await pays(platform, enrolled)
            book.play("softhsm2-util", code=1)
            book.play("grep")
        book.play("softhsm2-util")
        await eventually(lambda: can_sign(platform))
        book.play("curl")
        accepted = await enrolls(platform, waiting, one_time)

        assert paid.event("settled")
        assert accepted.code == 0
        assert await asyncio.to_thread(running.stop) == 0


def can_sign(platform: Deployment) -> bool:
    """Return what readiness says of the issuing key."""
    return bool(json.loads(platform.http("/readyz")[1])["checks"]["signing"])


async def enrolls(platform: Deployment, box: Box, token: str) -> Finished:
    """Let a terminal try to enroll."""
    fingerprint = platform.domain.authority.root_fingerprint_sha256
    return await asyncio.to_thread(box.enroll, token, root_fingerprint=fingerprint)


async def pays(platform: Deployment, box: Box) -> Finished:
    """Let somebody pay by card."""
    holder = await a_cardholder(platform)
    typed = json.dumps({"card_number": holder.card_number, "pin": holder.pin})
    return await asyncio.to_thread(box.verb, "pay", "--card-file", "-", "--total-fen", "12000", typed=typed)
