"""A checkpoint's walk through the log keeps nobody waiting, not even the walk through all of it."""

import asyncio
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Connection, update

from device_registry import AuditLog
from device_registry.audit.checkpoints import Checkpoints
from device_registry.errors import AuditRolledBackError
from device_registry.revocation.witness import WitnessFile
from device_registry.tables import audit_log
from server.live.checkpoints import CheckpointKeeper
from tests.support.builders import OPERATOR
from tests.support.clock import Clock
from tests.support.database import Database, a_unit_of_work

HOUR = timedelta(hours=1)


@pytest.mark.parametrize("anew", [False, True])
async def test_a_log_is_walked_beside_the_writer(database: Database, tmp_path: Path, *, anew: bool) -> None:
    clock = Clock()
    audit = AuditLog(now=clock.now)
    checkpoints = Checkpoints(
        now=clock.now,
        audit=audit,
        signing_key=ec.generate_private_key(ec.SECP256R1()),
        root_fingerprint_sha256="ab" * 32,
        file=WitnessFile(tmp_path / "elsewhere" / "checkpoints.jsonl"),
    )

    def write(connection: Connection) -> None:
        for _ in range(3):
            audit.append(connection, actor=OPERATOR, action="site.added", subject="S-1")
        connection.execute(update(audit_log).where(audit_log.c.entry_id == 2).values(subject="S-2"))

    done = threading.Event()
    async with a_unit_of_work(database.engine) as unit_of_work:
        keeper = CheckpointKeeper(unit_of_work=unit_of_work, checkpoints=checkpoints, now=clock.now, every=HOUR)
        await unit_of_work.write(write)
        held = asyncio.create_task(unit_of_work.write(lambda _connection: done.wait(60)))

        with pytest.raises(AuditRolledBackError):  # found while somebody else writes
            await asyncio.wait_for(keeper.make(reason="restored", actor=OPERATOR, anew=anew), 30)

        assert not held.done()
        done.set()
        assert await held
