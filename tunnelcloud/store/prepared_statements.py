"""Statements of every login and every channel: put together once, then run by the driver itself.

SQLAlchemy executes by way of a good deal of code, which a connection now and then finds cold in
the processor's caches: that took several times what SQLite's work does.  What each connection
brings with it is a ``Prepared``; all else is executed as usual.  Both are SQLAlchemy's statements,
and keep and read values by the same column types.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import frozen
from sqlalchemy import Connection, Dialect
from sqlalchemy.exc import DBAPIError

from tunnelcloud.interpreter_lock import STEPS, let_others_in, without_turn

Convert = Callable[[Any], Any]


class Prepared:
    """A statement that is run time and again.

    :param statement: an insert, whose columns are those that its first run is given; or one whose
        parameters all are ``bindparam``s.
    :param has_parameters: whether an insert is one of the latter.
    """

    def __init__(self, statement: Any, *, has_parameters: bool = False) -> None:
        self._statement = statement
        self._is_open = statement.is_insert and not has_parameters
        self._compiled: dict[str, _Compiled] = {}

    def __call__(self, connection: Connection, values: Mapping[str, object]) -> list[Any]:
        """Run it in the connection's transaction.

        :param values: each parameter by its name, the same names every time.
        :return: the rows, with fields by the columns' names.
        :raise DBAPIError: whatever the database says of it.
        """
        compiled = self._compiled.get(connection.dialect.name)
        if compiled is None:
            compiled = self._compile(values, connection.dialect)
            self._compiled[connection.dialect.name] = compiled
        return compiled.run(connection, values)

    def batch(self, dialect: Dialect, rows: Iterable[Mapping[str, object]]) -> Batch:
        """Convert the parameters of many runs, to run them at once later."""
        given = list(rows)
        compiled = self._compile(given[0], dialect)
        return Batch(compiled, [compiled.converted(values) for values in given])

    def _compile(self, values: Mapping[str, object], dialect: Dialect) -> _Compiled:
        return _compile(self._statement, list(values) if self._is_open else None, dialect)


def _as_it_is(value: Any) -> Any:
    return value


@frozen
class Batch:
    """A statement and its parameters for many runs, as a driver takes them.

    :ivar rows: each may be changed until it is run, by what :meth:`converter` makes; in the order
        of :attr:`names`.
    """

    _compiled: _Compiled
    rows: list[list[Any]]

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters' names, in their order."""
        return self._compiled.names

    def converter(self, name: str) -> Convert:
        """Give what makes of a parameter's value what stands in the rows."""
        return dict(self._compiled.keep).get(self.names.index(name), _as_it_is)

    def __call__(self, connection: Connection) -> None:
        """Run it in the connection's transaction.

        :raise DBAPIError: whatever the database says of it.
        """
        self._compiled.run_all(connection, self.rows)


@frozen
class _Compiled:
    """A statement as a driver takes it.

    :ivar names: of the parameters, in the driver's order.
    :ivar by_name: whether the driver takes parameters by their names.
    :ivar keep: converts the parameters at some places into what the database keeps.
    :ivar row: makes a row of its values; None where there are no rows.
    :ivar read: converts the values at some places of a row into what the program reads.
    """

    text: str
    names: tuple[str, ...]
    by_name: bool
    keep: tuple[tuple[int, Convert], ...]
    row: Callable[[Iterable[Any]], Any] | None
    read: tuple[tuple[int, Convert], ...]

    def converted(self, values: Mapping[str, object]) -> list[Any]:
        """Give the parameters as the driver keeps them."""
        given = [values[name] for name in self.names]
        for place, convert in self.keep:
            given[place] = convert(given[place])
        return given

    def run_all(self, connection: Connection, rows: list[list[Any]]) -> None:
        """Run it once for each row of parameters."""
        given: Any = rows
        if self.by_name:
            given = [dict(zip(self.names, row, strict=True)) for row in rows]
        driver: Any = connection.connection.driver_connection
        errors = connection.dialect.loaded_dbapi.Error
        cursor = driver.cursor()
        try:
            for first in range(0, len(given), STEPS):
                let_others_in()
                with without_turn():
                    cursor.executemany(self.text, given[first : first + STEPS])
        except errors as error:
            raise DBAPIError.instance(
                self.text, None, error, errors, dialect=connection.dialect
            ) from error
        finally:
            cursor.close()

    def run(self, connection: Connection, values: Mapping[str, object]) -> list[Any]:
        given: Any = self.converted(values)
        if self.by_name:
            given = dict(zip(self.names, given, strict=True))
        driver: Any = connection.connection.driver_connection
        errors = connection.dialect.loaded_dbapi.Error
        try:
            cursor = driver.execute(self.text, given)
            found = [] if self.row is None else cursor.fetchall()
        except errors as error:
            raise DBAPIError.instance(
                self.text, given, error, errors, dialect=connection.dialect
            ) from error
        return [self._made(self.row, list(one)) for one in found] if self.row else []

    def _made(self, row: Callable[[Iterable[Any]], Any], values: list[Any]) -> Any:
        for place, convert in self.read:
            values[place] = convert(values[place])
        return row(values)


def _compile(statement: Any, columns_given: list[str] | None, dialect: Dialect) -> _Compiled:
    compiled = statement.compile(dialect=dialect, column_keys=columns_given)
    # Values that SQLAlchemy would think of itself, it would think of while it executes.
    assert not compiled.prefetch, f"give {compiled.prefetch} as well"
    order = tuple(compiled.positiontup or compiled.binds)
    columns = list(getattr(statement, "exported_columns", ()))
    types = [compiled.binds[name].type.dialect_impl(dialect) for name in order]
    read = [one.type.dialect_impl(dialect).result_processor(dialect, None) for one in columns]
    return _Compiled(
        compiled.string,
        order,
        not compiled.positional,
        _placed(one.bind_processor(dialect) for one in types),
        _row(*(getattr(one, "name", "") for one in columns)) if columns else None,
        _placed(read),
    )


def _placed(converts: Iterable[Convert | None]) -> tuple[tuple[int, Convert], ...]:
    return tuple((place, one) for place, one in enumerate(converts) if one is not None)


def _row(*names: str) -> Callable[[Iterable[Any]], Any]:
    row: Any = namedtuple("Row", names, rename=True)  # type: ignore[misc]
    make: Callable[[Iterable[Any]], Any] = row._make
    return make
