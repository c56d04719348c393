"""`python -m server.store.migrations "what changed"`: writes the next revision from what the tables say now."""

import sys
import tempfile
from pathlib import Path

from alembic import command

from server.store.engine import migrate, open_engine
from server.store.migrations import alembic_config, next_revision_id


def main(arguments: list[str]) -> int:
    """Migrate an empty database to the newest revision, compare it with the tables, write down the difference."""
    if len(arguments) != 1:
        sys.stderr.write('usage: python -m server.store.migrations "what changed"\n')
        return 2
    with tempfile.TemporaryDirectory() as folder:
        engine = open_engine(f"sqlite:///{Path(folder) / 'empty.db'}")
        migrate(engine)
        with engine.begin() as connection:
            config = alembic_config(connection)
            command.revision(config, message=arguments[0], autogenerate=True, rev_id=next_revision_id())
        engine.dispose()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
