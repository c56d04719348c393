"""Who sees to commands that nobody asks about? Those that are over are closed, and rollouts are worked on.

Every replica does it. What is to be done is read from the database and done in its one writer's turn, so that two of
them never do the same thing twice; see rollout_work.py.
"""

from datetime import timedelta
from functools import partial
from typing import Final

import structlog

from device_registry import Commands
from device_registry.rollouts.rollout_records import Rollout, RolloutState
from device_registry.rollouts.rollouts import Rollouts
from monitoring.metrics import Metrics
from server.live.control import count_ended
from server.store import UnitOfWork
from server.wiring import Domain

log = structlog.get_logger()

COMMANDS_EVERY: Final = timedelta(seconds=1)
TERMINALS_AT_ONCE: Final = 50
"""Terminals whose outbox is tidied in one round; the rest waits for the next."""

STEPS_AT_ONCE: Final = 4
"""Steps of each rollout in one round: 20 commands each keep up with 3,000 a minute, and other writes come between."""


class Commanding:
    """Tidies outboxes and advances rollouts."""

    def __init__(self, *, unit_of_work: UnitOfWork, commands: Commands, rollouts: Rollouts, metrics: Metrics) -> None:
        self._unit_of_work = unit_of_work
        self._commands = commands
        self._rollouts = rollouts
        self._metrics = metrics

    async def work(self) -> None:
        """Do what is due, each thing in a transaction of its own; nothing is written when nothing is."""
        look = partial(self._commands.to_look_at, limit=TERMINALS_AT_ONCE)
        for terminal_id in await self._unit_of_work.read(look):
            close = partial(self._commands.close_overtaken, terminal_id=terminal_id)
            count_ended(self._metrics, await self._unit_of_work.write(close))
        for _ in range(STEPS_AT_ONCE):
            due = await self._unit_of_work.read(self._rollouts.due)
            for rollout_id in due:
                advance = partial(self._rollouts.advance, rollout_id=rollout_id)
                _tell(await self._unit_of_work.write(advance))
            if not due:
                return


def commanding_of(domain: Domain, unit_of_work: UnitOfWork, metrics: Metrics) -> Commanding:
    """Return it for a platform."""
    return Commanding(unit_of_work=unit_of_work, commands=domain.commands, rollouts=domain.rollouts, metrics=metrics)


def _tell(rollout: Rollout) -> None:
    if rollout.state is RolloutState.STOPPED:
        log.warning("rollout_stopped", rollout_id=rollout.rollout_id, reason=rollout.state_reason)
    elif rollout.state is RolloutState.DONE:
        log.info("rollout_done", rollout_id=rollout.rollout_id)
