"""What does a terminal do when it is told to? Each command that concerns the device itself, and how it went."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from mock_terminal.errors import TerminalError
from mock_terminal.firmware import Firmware
from mock_terminal.lock import Lock
from shualian.terminal.v1 import device_pb2

DONE: Final = device_pb2.COMMAND_OUTCOME_DONE
FAILED: Final = device_pb2.COMMAND_OUTCOME_FAILED
UNSUPPORTED: Final = device_pb2.COMMAND_OUTCOME_UNSUPPORTED

Outcome = tuple[device_pb2.CommandOutcome.ValueType, str]
RESTARTS: Final = frozenset({"restart", "offer_firmware"})
"""What ends with a restart: done, answered, and then the terminal comes back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Duties:
    """Does what concerns the device; certificates and intervals are the stream's own."""

    state: Path
    fails: Collection[str] = field(default_factory=frozenset)
    """Actions that fail on purpose: what an error stop is tried with."""

    @property
    def firmware(self) -> Firmware:
        """What runs on it."""
        return Firmware(state=self.state)

    @property
    def lock(self) -> Lock:
        """Its lock."""
        return Lock(state=self.state)

    async def do(self, action: str, command: device_pb2.Command, *, certificate_until: datetime) -> Outcome:
        """Do a command and return how it went."""
        try:
            return await self._do(action, command, certificate_until)
        except TerminalError as error:
            return FAILED, f"{error.reason}: {error}"

    async def _do(self, action: str, command: device_pb2.Command, certificate_until: datetime) -> Outcome:
        match action:
            case "lock":
                self.lock.lock()
                return DONE, "out of service"
            case "unlock":
                self.lock.unlock()
                return DONE, "in service"
            case "offer_firmware":
                await asyncio.to_thread(self.firmware.install, command.offer_firmware)
                return DONE, f"installed {command.offer_firmware.version}"
            case "restart":
                return DONE, "restarting"
            case "collect_diagnostics":
                locked = "locked, " if self.lock.is_locked else ""
                return (
                    DONE,
                    f"firmware {self.firmware.version}, {locked}camera ready, certificate until {certificate_until}",
                )
        return UNSUPPORTED, ""
