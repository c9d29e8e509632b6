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


def json_line(record: AuditRecord) -> str:
    """Write an audit record as one line of ASCII; what doesn't apply is left out."""
    event = record.event
    line: dict[str, object] = {
        "id": record.id,
        "at": record.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    for one in fields(AuditEvent):
        value = getattr(event, one.name)
        if value not in (None, "", {}):
            line[one.name] = value
    return json.dumps(line, default=str, separators=(",", ":"))


def write_audit_lines(committed: Committed) -> None:
    """Log what a transaction recorded; called in a thread of the store."""
    for record in committed.records:
        _log.info("{line}", line=json_line(record))
