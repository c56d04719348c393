"""The history of the schema, driven from code.

The server calls `server.store.migrate(engine)` at each start. After a change to a table, write the next revision with
`python -m server.store.migrations "what changed"`, read it, and commit it with the change.
"""

from pathlib import Path

from alembic.config import Config
from sqlalchemy import Connection

_FOLDER = Path(__file__).parent


def alembic_config(connection: Connection) -> Config:
    """Return Alembic's configuration for a connection that has begun its transaction; there is no ini file."""
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def next_revision_id() -> str:
    """Return the number after the last revision, as four digits."""
    return f"{len(list((_FOLDER / 'versions').glob('[0-9]*.py'))) + 1:04d}"
