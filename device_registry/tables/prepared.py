"""How a hot statement runs without SQLAlchemy's price per call.

SQLAlchemy Core costs 40-60 microseconds of Python a statement, ten times what SQLite needs for it. A `Prepared`
statement is written in Core, compiled once per dialect, and run on the driver's own cursor; types are converted as Core
would. It is meant for the handful of statements that every settlement and every entry of the audit log run; the rest
uses `connection.execute`.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Delete, Dialect, Insert, Select, Update
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler

Row = tuple[Any, ...]
Statement = Select[*tuple[Any, ...]] | Insert | Update | Delete
_Convert = Callable[[Any], Any]


class PreparedStatementError(TypeError):
    """The statement needs what only `connection.execute` does: Python-side defaults, or IN with a list."""


class Prepared:
    """One Core statement whose values are named by `bindparam`, ready to run.

        debit = Prepared(update(accounts).where(..., accounts.c.fen >= bindparam("fen")).values(...))
        if debit.run(connection, account="...", fen=500) != 1: ...

    An INSERT names its columns with `.values(...)`. Literals written in the statement stay as they are.
    """

    def __init__(self, statement: Statement) -> None:
        self._statement: Final = statement
        self._by_dialect: dict[str, _Compiled] = {}

    def run(self, connection: Connection, /, **values: object) -> int:
        """Run it and return how many rows it changed."""
        cursor, _ = self._execute(connection, values)
        count: int = cursor.rowcount
        cursor.close()
        return count

    def row(self, connection: Connection, /, **values: object) -> Row | None:
        """Run it and return the first row, in the order of the selected columns, or None."""
        cursor, compiled = self._execute(connection, values)
        found = cursor.fetchone()
        cursor.close()
        return None if found is None else compiled.row_from(found)

    def rows(self, connection: Connection, /, **values: object) -> list[Row]:
        """Run it and return all rows."""
        cursor, compiled = self._execute(connection, values)
        found = cursor.fetchall()
        cursor.close()
        return [compiled.row_from(row) for row in found]

    def _execute(self, connection: Connection, values: dict[str, object]) -> tuple[DBAPICursor, "_Compiled"]:
        if not connection.in_transaction():
            connection.begin()
        dialect = connection.dialect
        compiled = self._by_dialect.get(dialect.name)
        if compiled is None:
            compiled = self._by_dialect[dialect.name] = _Compiled(self._statement, dialect)
        cursor = connection.connection.cursor()
        parameters = compiled.parameters_from(values)
        try:
            cursor.execute(compiled.sql, parameters)
        except dialect.loaded_dbapi.Error as error:
            # The same class that connection.execute would raise, without the values.
            raise DBAPIError.instance(
                compiled.sql, None, error, dialect.loaded_dbapi.Error, hide_parameters=True, dialect=dialect
            ) from error
        return cursor, compiled


class _Compiled:
    """One statement in the words of one dialect."""

    def __init__(self, statement: Statement, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        if not isinstance(compiled, SQLCompiler) or compiled.insert_prefetch or compiled.update_prefetch:
            raise PreparedStatementError("a column with a Python-side default must be given as bindparam")
        if any(bind.expanding for bind in compiled.binds.values()):
            raise PreparedStatementError("IN with a list changes its text with every call")
        self.sql = compiled.string
        names = (compiled.positiontup or []) if compiled.positional else list(compiled.bind_names.values())
        binds = [compiled.binds[name] for name in names]
        self._names = names
        self._is_positional = compiled.positional
        self._literals = {
            name: bind.effective_value for name, bind in zip(names, binds, strict=True) if not bind.required
        }
        # Most columns hold what the driver takes and gives as it is; only the others are gone through.
        self._bound = _conversions(bind.type.dialect_impl(dialect).bind_processor(dialect) for bind in binds)
        self._found = _conversions(
            column.type.dialect_impl(dialect).result_processor(dialect, None) for column in statement.exported_columns
        )

    def parameters_from(self, values: dict[str, object]) -> list[object] | dict[str, object]:
        given = {**self._literals, **values} if self._literals else values
        try:
            parameters = [given[name] for name in self._names]
        except KeyError as error:
            raise PreparedStatementError(f"no value for {error.args[0]}") from error
        for position, convert in self._bound:
            parameters[position] = convert(parameters[position])
        return parameters if self._is_positional else dict(zip(self._names, parameters, strict=True))

    def row_from(self, found: Sequence[Any]) -> Row:
        if not self._found:
            return tuple(found)
        row = list(found)
        for position, convert in self._found:
            row[position] = convert(row[position])
        return tuple(row)


def _conversions(processors: Iterable[_Convert | None]) -> list[tuple[int, _Convert]]:
    return [(position, convert) for position, convert in enumerate(processors) if convert is not None]
