"""The audit log is signed every hour, and the checkpoint is put beside the database as well as into it."""

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Connection

from device_registry.audit.checkpoints import Checkpoint, Checkpoints
from device_registry.audit.log import AuditReport
from server.store import WALK_PATIENCE, UnitOfWork


class CheckpointKeeper:
    """Makes checkpoints for one process; the one that is first serves all replicas."""

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
        if await self._unit_of_work.read(lambda connection: self._checkpoints.is_due(connection, every=self._every)):
            await self.make(patience=self._every)
        else:
            await self._unit_of_work.read(self._checkpoints.keep)

    async def make(
        self,
        *,
        reason: str = "",
        actor: str = "",
        request_id: str = "",
        anew: bool = False,
        patience: timedelta = WALK_PATIENCE,
    ) -> Checkpoint:
        """Sign the log as it stands; the walk happens on a lane of its own, so that nobody's payment waits for it."""

        def walked(connection: Connection) -> AuditReport:
            return self._checkpoints.walk(connection, anew=anew)

        report = await self._unit_of_work.walk(walked, patience=patience)
        made = await self._unit_of_work.write(
            lambda connection: self._checkpoints.make(
                connection, walked=report, reason=reason, actor=actor, request_id=request_id, anew=anew
            )
        )
        await self._unit_of_work.read(self._checkpoints.keep)
        return made
