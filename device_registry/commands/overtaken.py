"""Which of a terminal's open commands does life no longer ask for? Pure; what remains is what still applies.

A terminal that was off for a month finds its outbox here: of each kind of setting only the newest word, no restart that
it had long ago, no renewal that it has made by itself, no firmware that was withdrawn since.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from device_registry.commands.command_records import Because, Command, CommandAction, CommandOutcome

VERSION = "version"
FIRMWARE_ID = "firmware_id"

_KINDS = {
    CommandAction.SET_CONFIGURATION: "configuration",
    CommandAction.LOCK: "lock",
    CommandAction.UNLOCK: "lock",
    CommandAction.OFFER_FIRMWARE: "firmware",
}
"""Of each of these kinds the newest command says how things should be, whatever was said before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What has happened to a terminal by now, as far as its commands care."""

    now: datetime
    certificate_issued_at: datetime | None = None
    """When it got its newest certificate."""
    connected_at: datetime | None = None
    """When it last opened a control stream."""
    firmware_version: str | None = None
    """What it reported then."""
    unfit_firmware: frozenset[str] = frozenset()
    """Ids of firmware that must not be offered any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """A command that is over, and why."""

    command: Command
    because: Because

    @property
    def outcome(self) -> CommandOutcome:
        """How it ends."""
        return CommandOutcome.EXPIRED if self.because is Because.TIME_IS_OVER else CommandOutcome.SUPERSEDED


def overtaken(commands: Sequence[Command], situation: Situation) -> list[Closing]:
    """Return those of a terminal's open commands that are over.

    Args:
        commands: all that are open; one whose time is over still overrules the older ones of its kind.
        situation: what has happened by now.
    """
    newest = dict(_by_kind(commands))
    closings = []
    for command in commands:
        because = _because(command, newest.get(_KINDS.get(command.action, "")), situation)
        if because is not None:
            closings.append(Closing(command=command, because=because))
    return closings


def _by_kind(commands: Sequence[Command]) -> Iterator[tuple[str, Command]]:
    for command in sorted(commands, key=lambda it: (it.queued_at, it.command_id)):
        if command.action in _KINDS:
            yield _KINDS[command.action], command


def _because(command: Command, newest: Command | None, situation: Situation) -> Because | None:
    """Return why a command is over: that its aim is reached counts before all else."""
    if _goal_is_reached(command, situation):
        renews = command.action is CommandAction.RENEW_CERTIFICATE
        return Because.CERTIFICATE_RENEWED if renews else Because.RUNS_ALREADY
    if situation.now >= command.expires_at:
        return Because.TIME_IS_OVER
    if newest is not None and newest.command_id != command.command_id:
        return Because.NEWER_COMMAND
    if command.action is CommandAction.RESTART and _is_after(situation.connected_at, command.queued_at):
        return Because.CONNECTED_SINCE
    if command.parameters.get(FIRMWARE_ID) in situation.unfit_firmware:
        return Because.FIRMWARE_UNFIT
    return None


def _goal_is_reached(command: Command, situation: Situation) -> bool:
    if command.action is CommandAction.RENEW_CERTIFICATE:
        return _is_after(situation.certificate_issued_at, command.queued_at)
    if command.action is CommandAction.OFFER_FIRMWARE:
        return situation.firmware_version == command.parameters[VERSION]
    return False


def _is_after(moment: datetime | None, other: datetime) -> bool:
    return moment is not None and moment > other
