"""What was acknowledged survives the death of the process."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from tests.support.database import a_database

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


def test_i05_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    a_database(tmp_path).dispose()
    url = f"sqlite:///{tmp_path / 'shualian.db'}"
    with subprocess.Popen([sys.executable, "-c", CHILD, url], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        acknowledged = [child.stdout.readline() for _ in range(300)]
        child.kill()
        acknowledged += child.stdout.readlines()
    said = {line.strip() for line in acknowledged if line.endswith("\n")}

    with closing(sqlite3.connect(tmp_path / "shualian.db")) as connection:
        kept = {subject for (subject,) in connection.execute("SELECT subject FROM events")}
        integrity = connection.execute("PRAGMA integrity_check").fetchone()
    assert len(said) >= 300
    assert said <= kept
    assert len(kept - said) <= 8 + 64  # committed, not yet said
    assert integrity == ("ok",)
