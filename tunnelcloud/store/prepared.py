"""Statements of every login and every channel: put together once, then run by the driver itself.

SQLAlchemy executes by way of a good deal of code, which a connection now and then finds cold in
the processor's caches: that took several times what SQLite's work does.  What each connection
brings with it is a L{Prepared}; all else is executed as usual.  Both are SQLAlchemy's statements,
and keep and read values by the same column types.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import frozen
from sqlalchemy import Connection, Dialect
from sqlalchemy.exc import DBAPIError

Convert = Callable[[Any], Any] | None


class Prepared:
    """A statement that is run time and again.

    :param statement: an insert, whose columns are those that its first run is given; or one whose
        parameters all are C{bindparam}s.
    """

    def __init__(self, statement: Any) -> None:
        self._statement = statement
        self._compiled: dict[str, _Compiled] = {}

    def __call__(self, connection: Connection, values: Mapping[str, object]) -> list[Any]:
        """Run it in the connection's transaction.

        :param values: each parameter by its name, the same names every time.
        :return: the rows, with fields by the columns' names.
        :raise DBAPIError: whatever the database says of it.
        """
        compiled = self._compiled.get(connection.dialect.name)
        if compiled is None:
            compiled = _compile(self._statement, list(values), connection.dialect)
            self._compiled[connection.dialect.name] = compiled
        return compiled.run(connection, values)


@frozen
class _Compiled:
    """A statement as a driver takes it.

    :ivar parameters: names of parameters and what converts their values, in the driver's order.
    :ivar by_name: whether the driver takes parameters by their names.
    :ivar row: makes a row of its values; None where there are no rows.
    """

    text: str
    parameters: tuple[tuple[str, Convert], ...]
    by_name: bool
    row: Callable[[Iterable[Any]], Any] | None
    results: tuple[Convert, ...]

    def run(self, connection: Connection, values: Mapping[str, object]) -> list[Any]:
        given: Any = [_converted(convert, values[name]) for name, convert in self.parameters]
        if self.by_name:
            given = {name: value for (name, _), value in zip(self.parameters, given, strict=True)}
        driver: Any = connection.connection.driver_connection
        errors = connection.dialect.loaded_dbapi.Error
        try:
            cursor = driver.execute(self.text, given)
            found = [] if self.row is None else cursor.fetchall()
        except errors as error:
            raise DBAPIError.instance(
                self.text, given, error, errors, dialect=connection.dialect
            ) from error
        return [self.row(map(_converted, self.results, one)) for one in found] if self.row else []


def _converted(convert: Convert, value: Any) -> Any:
    return value if convert is None else convert(value)


def _compile(statement: Any, names: list[str], dialect: Dialect) -> _Compiled:
    compiled = statement.compile(dialect=dialect, column_keys=names)
    # Values that SQLAlchemy would think of itself, it would think of while it executes.
    assert not compiled.prefetch, f"give {compiled.prefetch} as well"
    columns = list(getattr(statement, "exported_columns", ()))
    return _Compiled(
        compiled.string,
        tuple(
            (name, compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect))
            for name in compiled.positiontup or compiled.binds
        ),
        not compiled.positional,
        _row(*(one.name for one in columns)) if columns else None,
        tuple(one.type.dialect_impl(dialect).result_processor(dialect, None) for one in columns),
    )


def _row(*names: str) -> Callable[[Iterable[Any]], Any]:
    row: Any = namedtuple("Row", names)  # type: ignore[misc]
    make: Callable[[Iterable[Any]], Any] = row._make
    return make
