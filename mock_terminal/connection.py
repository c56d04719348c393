"""How does a terminal stay connected? Stream after stream, until the platform ends it for good."""

import asyncio
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from time import monotonic
from typing import Final

from mock_terminal.client import jittered
from mock_terminal.commands import DoneCommands
from mock_terminal.duties import Duties
from mock_terminal.errors import PlatformRefusedError, StateError, UnreachableError
from mock_terminal.folder import Folder
from mock_terminal.keystore import Identity
from mock_terminal.recovery import enroll_again, revive
from mock_terminal.report import Reporter
from mock_terminal.stream import ControlStream
from shualian.terminal.v1 import device_pb2

FIRST_PAUSE: Final = timedelta(milliseconds=500)
LONGEST_PAUSE: Final = timedelta(seconds=30)
LONGEST_TOLD: Final = timedelta(minutes=10)
"""A platform may send the terminal away for this long."""
STEADY_AFTER: Final = timedelta(seconds=10)
"""A stream that held this long was a good one: the pauses begin again with the shortest."""


class Connection:
    """Keeps the control stream open, and comes back when it breaks."""

    def __init__(
        self,
        folder: Folder,
        *,
        address: str,
        report: Reporter,
        now: Callable[[], datetime],
        fails: Collection[str] = (),
        position: device_pb2.Position | None = None,
    ) -> None:
        self._folder: Final = folder
        self._address: Final = address
        self._report: Final = report
        self._now: Final = now
        self._done: Final = DoneCommands(folder.path / "commands.json")
        self._duties: Final = Duties(state=folder.path, fails=fails)
        self._position: Final = position
        self._pause = FIRST_PAUSE

    async def run(self) -> PlatformRefusedError:
        """Stay connected until the platform ends it for good; return its word. Cancel to stop.

        Raises:
            StateError: this terminal is not enrolled, or its files are damaged.
        """
        while True:
            await self._revive_if_lapsed()
            identity, began = self._folder.keys.identity(), monotonic()
            ended, come_back_after = await self._one_stream(identity)
            self._report.event("stream_ended", code=ended.code if ended else "OK", reason=ended.reason if ended else "")
            # Another process may have renewed: then it is only the former certificate that is out.
            if ended is not None and self._folder.keys.identity() == identity and await self._is_over(ended):
                return ended
            if monotonic() - began > STEADY_AFTER.total_seconds():
                self._pause = FIRST_PAUSE
            if come_back_after is not None:
                await asyncio.sleep(min(come_back_after, LONGEST_TOLD).total_seconds())
            else:
                await asyncio.sleep(self._next_pause(ended))

    async def _is_over(self, ended: PlatformRefusedError) -> bool:
        """Do what the platform says, as far as a terminal can by itself; return whether it is a person's turn."""
        match ended.next_action:
            case "STOP" | "CONTACT_OPERATOR":
                return True
            case "RENEW" | "ENROLL" as action:
                try:
                    if action == "RENEW":
                        await revive(self._folder, platform=self._address, report=self._report, now=self._now)
                    else:
                        await enroll_again(self._folder, report=self._report)
                except (PlatformRefusedError, UnreachableError, StateError) as error:
                    self._report.event("no_new_certificate", reason=error.reason, message=str(error))
                    return True
        return False

    async def _revive_if_lapsed(self) -> None:
        """Get a new certificate when the terminal was off for too long; if that fails, the platform's word decides."""
        if self._now() < self._folder.keys.identity().not_after:
            return
        try:
            await revive(self._folder, platform=self._address, report=self._report, now=self._now)
        except (PlatformRefusedError, UnreachableError, StateError) as error:
            self._report.event("renewal_failed", reason=error.reason, message=str(error))

    async def _one_stream(self, identity: Identity) -> tuple[PlatformRefusedError | None, timedelta | None]:
        """Hold one control stream; return the error that ended it, if one did, and when to come back, if told."""
        async with self._folder.channel(self._address, identity) as channel:
            stream = ControlStream(
                self._folder,
                channel,
                identity=identity,
                done=self._done,
                duties=self._duties,
                position=self._position,
                report=self._report,
                now=self._now,
            )
            return await stream.hold(), stream.come_back_after

    def _next_pause(self, ended: PlatformRefusedError | None) -> float:
        """Return how many seconds to stay away: longer each time, and never less than told."""
        told = min(ended.retry_after or timedelta(), LONGEST_TOLD) if ended else timedelta()
        pause, self._pause = self._pause, min(self._pause * 2, LONGEST_PAUSE)
        return told.total_seconds() + jittered(pause)
