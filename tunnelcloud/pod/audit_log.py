"""The audit as lines of JSON in the pod's log, for programs that collect logs.

The store has the same events; a line is written once its transaction is durable.
"""

from __future__ import annotations

from twisted.logger import Logger

from tunnelcloud.interpreter_lock import politely
from tunnelcloud.sinks.formats import json_line
from tunnelcloud.store.transaction import Committed

_log = Logger(namespace="tunnelcloud.audit")


def write_audit_lines(committed: Committed) -> None:
    """Log what a transaction recorded; called in a thread of the store."""
    for record in politely(committed.records):
        _log.info("{line}", line=json_line(record))
