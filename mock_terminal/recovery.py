"""How does a terminal get a new certificate when the usual way is shut? Each door in turn, the least intrusive first.

A certificate in time renews over its own connection. One that has lapsed renews at the enrollment port by its old key,
and when that is too late, the factory identity opens the second door. Who is right about the time is the platform: it
says so in each answer, and the terminal tells a wrong clock from a lapsed certificate by it.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from mock_terminal.birth import FactoryIdentity
from mock_terminal.errors import PlatformRefusedError, StateError, UnreachableError
from mock_terminal.folder import Folder
from mock_terminal.keystore import Identity
from mock_terminal.report import Reporter
from mock_terminal.terminal import enroll, renew, renew_expired

LAPSED: Final = "CERTIFICATE_EXPIRED"
STILL_GOOD: Final = "CERTIFICATE_STILL_GOOD"
SECOND_DOOR: Final = frozenset({"GRACE_OVER", "CERTIFICATE_RETIRED"})
"""Why the old key does not help any more, and the factory key may: RETIRED when an answer got lost."""


async def renew_by_any_door(
    folder: Folder, *, platform: str, enrollment: str = "", report: Reporter, now: Callable[[], datetime]
) -> Identity:
    """Get a new certificate.

    Args:
        folder: the terminal's state.
        platform: the terminal port.
        enrollment: the enrollment port; empty: where it was enrolled.
        report: told which door it was.
        now: the terminal's clock, which may be wrong.

    Raises:
        PlatformRefusedError: the platform's last word.
        UnreachableError: no answer.
        StateError: the state folder does not hold what is needed.
    """
    if now() < folder.keys.identity().not_after:
        try:
            return await _over_its_own_connection(folder, platform)
        except PlatformRefusedError as refused:
            if refused.reason != LAPSED:
                raise
        except UnreachableError:
            # A platform for which it has lapsed refuses the handshake without a word; so our clock may be behind.
            report.event("renewal_refused_without_a_word", next="ask at the enrollment port")
    return await revive(folder, platform=platform, enrollment=enrollment, report=report, now=now)


async def revive(
    folder: Folder, *, platform: str, enrollment: str = "", report: Reporter, now: Callable[[], datetime]
) -> Identity:
    """Get a new certificate for one that has lapsed, by the old key or by the factory's.

    Raises:
        PlatformRefusedError, UnreachableError, StateError: as above.
    """
    known = folder.enrollment
    address = enrollment or known.address
    try:
        identity = await renew_expired(folder, address=address, serial_number=known.serial_number)
    except PlatformRefusedError as refused:
        if refused.reason == STILL_GOOD:
            report.event(
                "clock_wrong", terminal_time=now().isoformat(), platform_time=refused.metadata.get("platform_time", "")
            )
            return await _over_its_own_connection(folder, platform)
        if refused.reason not in SECOND_DOOR or not _has_factory_identity(folder):
            raise
        report.event("renewal_too_late", reason=refused.reason, next="enroll with the factory identity")
        identity = await enroll(folder, address=address, serial_number=known.serial_number, roots_pem=folder.roots_pem)
        report.event("reissued_by_factory_key", not_after=identity.not_after.isoformat())
        return identity
    report.event("renewed_in_grace", not_after=identity.not_after.isoformat())
    return identity


async def enroll_again(folder: Folder, *, report: Reporter) -> Identity:
    """Get a new certificate by the factory identity, when the platform has ended the one in use.

    Raises:
        PlatformRefusedError, UnreachableError: as above.
        StateError: this terminal has no factory identity; an operator's token is needed.
    """
    known = folder.enrollment
    identity = await enroll(
        folder, address=known.address, serial_number=known.serial_number, roots_pem=folder.roots_pem
    )
    report.event("enrolled_again", not_after=identity.not_after.isoformat())
    return identity


async def _over_its_own_connection(folder: Folder, platform: str) -> Identity:
    async with folder.channel(platform) as channel:
        return await renew(folder, channel)


def _has_factory_identity(folder: Folder) -> bool:
    try:
        FactoryIdentity.read(folder.path)
    except StateError:
        return False
    return True
