"""The audit as lines of JSON in the pod's log, for whoever collects logs.

The store has the same events; a line is written once its transaction is durable.
"""

from __future__ import annotations

import json

from attrs import fields
from twisted.logger import Logger

from tunnelcloud.domain.events import AuditEvent, AuditRecord
from tunnelcloud.store.transaction import Committed

_log = Logger(namespace="tunnelcloud.audit")
_FIELDS = tuple(one.name for one in fields(AuditEvent))
_to_json = json.JSONEncoder(default=str, separators=(",", ":")).encode


def json_line(record: AuditRecord) -> str:
    """Write an audit record as one line of ASCII; what doesn't apply is left out."""
    event = record.event
    line: dict[str, object] = {
        "id": record.id,
        "at": record.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    for name in _FIELDS:
        value = getattr(event, name)
        if value not in (None, "", {}):
            line[name] = value
    return _to_json(line)


def write_audit_lines(committed: Committed) -> None:
    """Log what a transaction recorded; called in a thread of the store."""
    for record in committed.records:
        _log.info("{line}", line=json_line(record))
