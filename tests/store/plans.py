"""How a database goes about statements: how many there are, and which indexes it looks into."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, event


def statements_of(engine: Engine, work: Any, *args: Any) -> int:
    """Do some work; tell how many statements it took.

    :param engine: whose connections the work uses.
    """
    seen: list[int] = []

    def executed(*_: object) -> None:
        seen.append(1)

    event.listen(engine, "before_cursor_execute", executed)
    try:
        work(*args)
    finally:
        event.remove(engine, "before_cursor_execute", executed)
    return len(seen)


def plans_of(engine: Engine, work: Any, *args: Any, **values: Any) -> list[str]:
    """Do some work; give the database's plan of each of its SELECTs.

    :param engine: whose connections the work uses.
    """
    plans: list[str] = []
    explaining: list[int] = []
    explain = "EXPLAIN QUERY PLAN " if engine.dialect.name == "sqlite" else "EXPLAIN "

    def executed(
        connection: Connection, _cursor: object, statement: str, parameters: Any, *_: object
    ) -> None:
        if statement.startswith("SELECT") and not explaining:
            explaining.append(1)
            found = connection.exec_driver_sql(explain + statement, parameters).all()
            explaining.clear()
            plans.append("\n".join(str(row[-1]) for row in found))

    event.listen(engine, "before_cursor_execute", executed)
    try:
        work(*args, **values)
    finally:
        event.remove(engine, "before_cursor_execute", executed)
    return plans
