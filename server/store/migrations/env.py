"""What Alembic runs for each command: our tables, on the connection it was handed."""

from typing import Any, Literal

from alembic import context
from sqlalchemy import Enum, TypeDecorator

from server.store.tables import metadata


def rendered(kind: str, item: Any, _: Any) -> str | Literal[False]:  # noqa: ANN401 - Alembic's signature
    """Return a type as the database knows it, so that an old revision does not change with today's code."""
    if kind != "type":
        return False
    if isinstance(item, TypeDecorator):
        return f"sa.{item.impl!r}"
    if isinstance(item, Enum):
        return f"sa.String(length={item.length})"
    return False


def leave_out_empty(_: Any, __: Any, directives: list[Any]) -> None:  # noqa: ANN401 - Alembic's signature
    """Write no revision when the tables say what the last one says."""
    if directives and directives[0].upgrade_ops.is_empty():
        directives.clear()


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,  # ours is: the driver no longer commits before DDL
    render_as_batch=True,  # SQLite alters a table by making it anew
    render_item=rendered,
    process_revision_directives=leave_out_empty,
)
with context.begin_transaction():
    context.run_migrations()
