"""The audit's rows as they are written, in the transaction that does what they tell of."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve
from sqlalchemy import Connection, Insert, Table, bindparam, func, insert, select

from tunnelcloud.domain.events import AuditEvent, AuditRecord
from tunnelcloud.net.escaping import escape_all
from tunnelcloud.store import schema
from tunnelcloud.store.prepared_statements import Prepared

INSERT = Prepared(insert(schema.audit))
LAST_ID = select(func.max(schema.audit.c.id))
_SAID = ("actor", "user_name", "tunnel_name", "source_ip", "data")


class RowAndEvent:
    """Inserts a row of a table, and the event that tells of it.

    PostgreSQL does so by one statement: each costs a login a way to the server and back.
    """

    def __init__(self, table: Table) -> None:
        self._row = Prepared(insert(table))
        row = _of_parameters(table, "row").cte("beside")
        both = _of_parameters(schema.audit, "event").add_cte(row)
        self._both = Prepared(both, has_parameters=True)

    def __call__(
        self, connection: Connection, row: Mapping[str, object], event: Mapping[str, object]
    ) -> None:
        """Insert both in the connection's transaction.

        :param row: each column of the table by its name.
        :param event: as ``row_of`` gives it.
        :raise DBAPIError: whatever the database says of it.
        """
        if connection.dialect.name == "postgresql":
            self._both(connection, {**_prefixed(row, "row"), **_prefixed(event, "event")})
        else:
            self._row(connection, row)
            INSERT(connection, event)


def _of_parameters(table: Table, prefix: str) -> Insert:
    """Insert a whole row, whose parameters are the columns' names behind a prefix."""
    return insert(table).values(
        {one.name: bindparam(f"{prefix}_{one.name}", type_=one.type) for one in table.columns}
    )


def _prefixed(values: Mapping[str, object], prefix: str) -> dict[str, object]:
    return {f"{prefix}_{name}": value for name, value in values.items()}


def escaped(event: AuditEvent) -> AuditEvent:
    """Give an event in which nothing moves a cursor or ends a line, whoever said it."""
    return evolve(event, **escape_all({name: getattr(event, name) for name in _SAID}))


def row_of(record: AuditRecord) -> dict[str, object]:
    """Give the columns of a record."""
    event = record.event
    return {
        "id": record.id,
        "at": record.at,
        "event": event.event,
        "actor": event.actor,
        "actor_id": event.actor_id,
        "user_id": event.user_id,
        "user_name": event.user_name,
        "tunnel_id": event.tunnel_id,
        "tunnel_name": event.tunnel_name,
        "session_id": event.session_id,
        "source_ip": event.source_ip,
        "pod_id": event.pod_id,
        "data": event.data,
    }
