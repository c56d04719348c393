"""Everything one can ask about commands to terminals: written before they are sent, sent until they are answered.

A command ends once: by the terminal's answer, or by the platform when it no longer applies (`overtaken.py`), when its
time is over, or when an operator takes it back. Whatever a terminal says later is kept as information.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import uuid_utils
from sqlalchemy import Connection

from device_registry import lifecycle, store
from device_registry.changes import TOPIC_COMMAND, Changes, terminal_actor
from device_registry.commands import outbox
from device_registry.commands.command_parameters import (
    FIRMWARE_ID,
    NO_PARAMETERS,
    VERSION,
    Parameters,
    lifetime_of,
    refuse_key,
    refuse_parameters,
)
from device_registry.commands.command_records import Because, Command, CommandAction, CommandOutcome
from device_registry.commands.overtaken import Closing, Situation, overtaken
from device_registry.errors import (
    CommandOverError,
    CommandUnknownError,
    FirmwareOfAnotherModelError,
    FirmwareUnfitError,
    FirmwareUnknownError,
    IdempotencyKeyReusedError,
    TooManyCommandsError,
)
from device_registry.makers.approvals import Firmware, FirmwareState
from device_registry.model import RegistryPolicy, Terminal
from device_registry.wording import refuse_reason

PLATFORM = "platform:commands"
"""Who closes a command that no longer applies."""
_MOMENT = timedelta(microseconds=1)


class FirmwareShelf(Protocol):
    """Where the approved firmware is found; `Makers` is one."""

    def firmware(self, connection: Connection, firmware_id: str) -> Firmware:
        """Return a firmware in whatever state.

        Raises:
            FirmwareUnknownError: there is none.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A command that is ready to be sent."""

    command: Command
    firmware: Firmware | None = None
    """What is offered, for OFFER_FIRMWARE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """A terminal's open commands, looked through."""

    deliveries: Sequence[Delivery]
    """What still applies, oldest first."""
    overtaken: Sequence[Closing]
    """What does not; `Commands.close_overtaken` writes that down."""


class Commands:
    """The outbox to the terminals."""

    def __init__(
        self,
        *,
        now: Callable[[], datetime],
        changes: Changes,
        policy: RegistryPolicy,
        firmware: FirmwareShelf,
    ) -> None:
        self._now = now
        self._policy = policy
        self._firmware = firmware
        self._changes = changes

    def queue(
        self,
        connection: Connection,
        *,
        terminal_id: str,
        action: CommandAction,
        parameters: Parameters = NO_PARAMETERS,
        actor: str,
        lifetime: timedelta | None = None,
        idempotency_key: str = "",
        reason: str = "",
        request_id: str = "",
    ) -> Command:
        """Give a terminal something to do; older open commands that it overrules are closed.

        Args:
            connection: the caller's transaction.
            terminal_id: whose command it is.
            action: what to do.
            parameters: what the action takes, see `command_parameters.py`.
            actor: who wants it.
            lifetime: for how long it is worth doing, by default the action's own.
            idempotency_key: made by whoever asks; the same key queues once and returns the first command.
            reason: why, for the audit log.
            request_id: of the call that asked.
        """
        if idempotency_key and (earlier := self._queued_before(connection, idempotency_key, terminal_id, action)):
            return earlier
        terminal = store.the_terminal(connection, terminal_id)
        lifecycle.refuse_out_of_service(terminal)
        refuse_parameters(action, parameters)
        waits, others = lifetime_of(action, lifetime), outbox.open_commands(connection, terminal_id)
        queued_at = _after(others, self._now())
        command = Command(
            command_id=str(uuid_utils.uuid7()),
            terminal_id=terminal_id,
            action=action,
            parameters={**parameters, **self._offered(connection, action, parameters, terminal)},
            queued_by=actor,
            queued_at=queued_at,
            expires_at=queued_at + waits,
            sent_at=None,
            times_sent=0,
            answered_at=None,
            outcome=None,
            detail="",
            idempotency_key=idempotency_key or None,
            closed_at=None,
            late_outcome=None,
        )
        over = overtaken([*others, command], self._situation(connection, terminal_id, others))
        closing = [closing for closing in over if closing.command is not command]
        if len(others) - len(closing) >= self._policy.commands_open_max:
            raise TooManyCommandsError(terminal_id=terminal_id, commands_open_max=self._policy.commands_open_max)
        outbox.add(connection, command)
        self._changes.note(
            connection,
            actor=actor,
            action="command.queued",
            subject=terminal_id,
            reason=reason,
            request_id=request_id,
            details={"command_id": command.command_id, "command": action},
        )
        self._close(connection, closing)
        self._changes.announce(connection, TOPIC_COMMAND, terminal_id)
        return command

    def stock(self, connection: Connection, terminal_id: str) -> Stock:
        """Look a terminal's open commands through: what still applies, and what does not."""
        commands = outbox.open_commands(connection, terminal_id)
        if not commands:
            return Stock(deliveries=(), overtaken=())
        over = overtaken(commands, self._situation(connection, terminal_id, commands))
        gone = {closing.command.command_id for closing in over}
        remaining = [command for command in commands if command.command_id not in gone]
        return Stock(
            deliveries=[Delivery(command=it, firmware=self._firmware_of(connection, it)) for it in remaining],
            overtaken=over,
        )

    def pending(self, connection: Connection, terminal_id: str) -> list[Command]:
        """Return what a terminal still has to do, oldest first, what was sent and not answered included."""
        return [delivery.command for delivery in self.stock(connection, terminal_id).deliveries]

    def history(self, connection: Connection, terminal_id: str, *, limit: int = 100) -> list[Command]:
        """Return a terminal's last commands, newest first."""
        return outbox.history(connection, terminal_id, limit=limit)

    def find(self, connection: Connection, command_id: str) -> Command:
        """Return a command."""
        command = outbox.find(connection, command_id)
        if command is None:
            raise CommandUnknownError(command_id=command_id)
        return command

    def sent(self, connection: Connection, command_id: str) -> bool:
        """Note that a command is about to be put on a stream; return False when it is over and must not be."""
        return outbox.sent(connection, command_id, at=self._now())

    def answered(
        self, connection: Connection, *, terminal_id: str, command_id: str, outcome: CommandOutcome, detail: str
    ) -> Command | None:
        """Note a terminal's answer and return the command; None for a repeated answer, which changes nothing.

        An answer to a command that is over is kept as its `late_outcome`.
        """
        command, now = outbox.find(connection, command_id), self._now()
        if command is None or command.terminal_id != terminal_id:  # another's command is as unknown as none
            raise CommandUnknownError(command_id=command_id)
        if command.outcome is None and now >= command.expires_at:
            (command,) = self._close(connection, [Closing(command=command, because=Because.TIME_IS_OVER)])
        answered = outbox.answer(connection, command, outcome=outcome, detail=detail, at=now)
        if answered is not None:
            self._changes.note(
                connection,
                actor=terminal_actor(terminal_id),
                action="command.answered" if answered.late_outcome is None else "command.answered_late",
                subject=terminal_id,
                details={"command_id": command_id, "outcome": outcome},
            )
        return answered

    def cancel(
        self, connection: Connection, *, command_id: str, reason: str, actor: str, request_id: str = ""
    ) -> Command:
        """Take a command back; one that was sent may have been done nevertheless, and its answer is then kept."""
        command = self.find(connection, command_id)
        if command.outcome is not None:
            raise CommandOverError(command_id=command_id, outcome=command.outcome)
        refuse_reason(reason)
        closed = outbox.close(connection, command, outcome=CommandOutcome.CANCELLED, detail=reason, at=self._now())
        self._changes.note(
            connection,
            actor=actor,
            action="command.cancelled",
            subject=command.terminal_id,
            reason=reason,
            request_id=request_id,
            details={"command_id": command_id, "command": command.action},
        )
        return closed

    def close_overtaken(self, connection: Connection, terminal_id: str) -> list[Command]:
        """Close those of a terminal's commands that no longer apply, and return them."""
        return self._close(connection, self.stock(connection, terminal_id).overtaken)

    def to_look_at(self, connection: Connection, *, limit: int) -> list[str]:
        """Return terminals with a command that is over and not closed yet; `close_overtaken` does it."""
        return outbox.terminals_to_look_at(connection, now=self._now(), limit=limit)

    # Steps -----------------------------------------------------------------------------------------

    def _close(self, connection: Connection, closings: Sequence[Closing]) -> list[Command]:
        now, closed = self._now(), []
        for closing in closings:
            command, outcome = closing.command, closing.outcome
            closed.append(outbox.close(connection, command, outcome=outcome, detail=closing.because, at=now))
            self._changes.note(
                connection,
                actor=PLATFORM,
                action="command.closed",
                subject=command.terminal_id,
                details={"command_id": command.command_id, "outcome": outcome, "because": closing.because},
            )
        return closed

    def _queued_before(
        self, connection: Connection, idempotency_key: str, terminal_id: str, action: CommandAction
    ) -> Command | None:
        refuse_key(idempotency_key)
        earlier = outbox.find_by_key(connection, idempotency_key)
        if earlier is not None and (earlier.terminal_id, earlier.action) != (terminal_id, action):
            raise IdempotencyKeyReusedError(idempotency_key=idempotency_key)
        return earlier

    def _offered(
        self, connection: Connection, action: CommandAction, parameters: Parameters, terminal: Terminal
    ) -> Mapping[str, str | int]:
        """Return what the registry adds to an offer, or raise when this terminal must not be offered it."""
        if action is not CommandAction.OFFER_FIRMWARE:
            return NO_PARAMETERS
        firmware_id = str(parameters[FIRMWARE_ID])
        firmware = self.offerable(connection, firmware_id)
        if (firmware.manufacturer, firmware.model) != (terminal.manufacturer, terminal.model):
            raise FirmwareOfAnotherModelError(model=firmware.model, terminal_id=terminal.terminal_id)
        return {VERSION: firmware.version}

    def offerable(self, connection: Connection, firmware_id: str) -> Firmware:
        """Return a firmware that may be offered, or raise why not."""
        firmware = self._find_firmware(connection, firmware_id)
        if firmware is None or firmware.state is not FirmwareState.APPROVED:
            raise FirmwareUnfitError(firmware_id=firmware_id, state="UNKNOWN" if firmware is None else firmware.state)
        return firmware

    def _firmware_of(self, connection: Connection, command: Command) -> Firmware | None:
        if command.action is not CommandAction.OFFER_FIRMWARE:
            return None
        return self._find_firmware(connection, str(command.parameters[FIRMWARE_ID]))

    def _find_firmware(self, connection: Connection, firmware_id: str) -> Firmware | None:
        try:
            return self._firmware.firmware(connection, firmware_id)
        except FirmwareUnknownError:
            return None

    def _situation(self, connection: Connection, terminal_id: str, commands: Sequence[Command]) -> Situation:
        connected_at, firmware_version = outbox.reported(connection, terminal_id)
        offers = {str(it.parameters[FIRMWARE_ID]) for it in commands if it.action is CommandAction.OFFER_FIRMWARE}
        return Situation(
            now=self._now(),
            certificate_issued_at=outbox.newest_certificate_issued_at(connection, terminal_id),
            connected_at=connected_at,
            firmware_version=firmware_version,
            unfit_firmware=frozenset(it for it in offers if not _is_fit(self._find_firmware(connection, it))),
        )


def _after(others: Sequence[Command], now: datetime) -> datetime:
    """Return a moment behind those of the others: the newest word counts, also after the clock was set back."""
    return max([now, *(other.queued_at + _MOMENT for other in others)])


def _is_fit(firmware: Firmware | None) -> bool:
    return firmware is not None and firmware.state is FirmwareState.APPROVED
