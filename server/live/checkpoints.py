"""The audit log is signed every hour, and the checkpoint is put beside the database as well as into it."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from device_registry.audit.checkpoints import Checkpoint, Checkpoints
from server.store import WALK_PATIENCE, UnitOfWork

KEPT_PATIENCE = timedelta(seconds=30)
"""How long a checkpoint that was made waits for somebody's walk before it is copied to the file."""


class CheckpointKeeper:
    """Makes checkpoints for one process; the one that is first serves all replicas.

    Whatever walks the log or touches the file does it on the lane of walks: neither a payment nor a look-up waits for
    a long log, or for a disk that does not answer.
    """

    def __init__(
        self, *, unit_of_work: UnitOfWork, checkpoints: Checkpoints, now: Callable[[], datetime], every: timedelta
    ) -> None:
        self._unit_of_work = unit_of_work
        self._checkpoints = checkpoints
        self._now = now
        self._every = every

    async def keep(self) -> None:
        """Sign the log if that is due, and copy to the file what it does not have; one round of the background job.

        Raises:
            AuditRolledBackError: the log contradicts the checkpoint before; nothing is signed.
        """
        is_due = partial(self._checkpoints.is_due, every=self._every)
        if await self._unit_of_work.walk(is_due, patience=self._every):
            await self.make(patience=self._every)
        else:
            await self._unit_of_work.walk(self._checkpoints.keep, patience=self._every)

    async def make(
        self,
        *,
        reason: str = "",
        actor: str = "",
        request_id: str = "",
        anew: bool = False,
        patience: timedelta = WALK_PATIENCE,
    ) -> Checkpoint:
        """Sign the log as it stands."""
        walked = await self._unit_of_work.walk(partial(self._checkpoints.walk, anew=anew), patience=patience)
        made = await self._unit_of_work.write(
            lambda connection: self._checkpoints.make(
                connection, walked=walked, reason=reason, actor=actor, request_id=request_id, anew=anew
            )
        )
        await self._unit_of_work.walk(self._checkpoints.keep, patience=KEPT_PATIENCE)
        return made
