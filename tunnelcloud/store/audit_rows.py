"""The audit's rows as they are written, in the transaction that does what they tell of."""

from __future__ import annotations

from attrs import evolve
from sqlalchemy import func, insert, select

from tunnelcloud.domain.events import AuditEvent, AuditRecord
from tunnelcloud.net.escaping import escape_all
from tunnelcloud.store import schema
from tunnelcloud.store.prepared_statements import Prepared

INSERT = Prepared(insert(schema.audit))
LAST_ID = select(func.max(schema.audit.c.id))
_SAID = ("actor", "user_name", "tunnel_name", "source_ip", "data")


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
