"""The history of the schema, driven from code.

The server calls `server.store.migrate(engine)` at each start. After a change to a table, write the next revision with
`python -m server.store.migrations "what changed"`, read it, and commit it with the change.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection

if TYPE_CHECKING:
    from alembic.config import Config

_FOLDER = Path(__file__).parent


def alembic_config(connection: Connection) -> "Config":
    """Return Alembic's configuration for a connection that has begun its transaction; there is no ini file."""
    from alembic.config import Config  # noqa: PLC0415 - slow to load, and rarely needed

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def newest_revision_id() -> str:
    """Return the number of the last revision, as four digits; revisions are numbered, and there are no branches."""
    return max((path.name[:4] for path in (_FOLDER / "versions").glob("[0-9]*.py")), default="0000")


def next_revision_id() -> str:
    """Return the number after it."""
    return f"{int(newest_revision_id()) + 1:04d}"
