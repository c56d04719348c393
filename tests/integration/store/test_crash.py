"""What was acknowledged survives the death of the process."""

import subprocess
import sys

from server.store import announce
from tests.support.database import Database

# Writes as fast as it can and says each number once its commit was acknowledged.
CHILD = """
import asyncio, sys
from server.store import UnitOfWork, announce, open_engine

async def main():
    unit_of_work = UnitOfWork(open_engine(sys.argv[1]), queue_length_max=1000, batch_max=64, readers=1)
    unit_of_work.start()

    async def write_for_ever(start):
        for number in range(start, 10**9, 8):
            await unit_of_work.write(lambda connection: announce(connection, "terminal", str(number)))
            print(number, flush=True)

    await asyncio.gather(*(write_for_ever(start) for start in range(8)))

asyncio.run(main())
"""


def test_i05_what_was_acknowledged_survives_kill_9(database: Database) -> None:
    with subprocess.Popen([sys.executable, "-c", CHILD, database.url], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        acknowledged = [child.stdout.readline() for _ in range(300)]
        child.kill()
        acknowledged += child.stdout.readlines()
    said = {line.strip() for line in acknowledged if line.endswith("\n")}

    outside = database.outside()
    kept = {subject for (subject,) in outside.execute("SELECT subject FROM events").fetchall()}
    assert len(said) >= 300
    assert said <= kept
    assert len(kept - said) <= 8 + 64  # committed, not yet said
    if database.kind == "sqlite":
        assert outside.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    with database.another_engine().begin() as connection:  # the dead process holds no lock
        announce(connection, "terminal", "next")
