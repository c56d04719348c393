"""The audit log is signed every hour, and the checkpoint is put beside the database as well as into it."""

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Connection

from device_registry.audit.checkpoints import Checkpoint, Checkpoints
from device_registry.audit.log import AuditReport
from server.store import UnitOfWork


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
            await self.make()
        else:
            await self._unit_of_work.read(self._checkpoints.keep)

    async def make(self, *, reason: str = "", actor: str = "", request_id: str = "", anew: bool = False) -> Checkpoint:
        """Sign the log as it stands; the walk happens on a reader, so that nobody's payment waits for it."""

        def walked(connection: Connection) -> AuditReport | None:
            return None if anew else self._checkpoints.walk(connection)

        report = await self._unit_of_work.read(walked)
        made = await self._unit_of_work.write(
            lambda connection: self._checkpoints.make(
                connection, walked=report, reason=reason, actor=actor, request_id=request_id, anew=anew
            )
        )
        await self._unit_of_work.read(self._checkpoints.keep)
        return made
