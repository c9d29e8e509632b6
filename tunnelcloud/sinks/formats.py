"""The formats of audit events for collectors: JSON, ECS, OCSF, and RFC 5424 around them."""

from __future__ import annotations

import json

from attrs import fields

from tunnelcloud.domain.actors import actor_kind
from tunnelcloud.domain.ecs import ecs_document
from tunnelcloud.domain.events import AuditEvent, AuditRecord
from tunnelcloud.domain.ocsf import ocsf_document

_FIELDS = tuple(one.name for one in fields(AuditEvent))
_to_json = json.JSONEncoder(default=str, separators=(",", ":")).encode

_LOG_AUDIT = 13
_WARNING, _INFORMATIONAL = 4, 6
_MOST_NAME = 255


def json_line(record: AuditRecord) -> str:
    """Write an audit record as one line of ASCII; what doesn't apply is left out."""
    event = record.event
    line: dict[str, object] = {"id": record.id, "at": _moment(record)}
    for name in _FIELDS:
        value = getattr(event, name)
        if value not in (None, "", {}):
            line[name] = value
    # A token's title may read like a user's name.
    line["actor_kind"] = str(actor_kind(event.actor_id))
    return _to_json(line)


def ecs_line(record: AuditRecord) -> str:
    """Write an audit record as one line of ASCII in the Elastic Common Schema."""
    return _to_json(ecs_document(record, _moment(record)))


def ocsf_line(record: AuditRecord) -> str:
    """Write an audit record as one line of ASCII in the Open Cybersecurity Schema Framework."""
    return _to_json(ocsf_document(record))


FORMATS = {"json": json_line, "ecs": ecs_line, "ocsf": ocsf_line}
"""Writers of one line, by the name that settings have for them."""


def syslog_message(record: AuditRecord, line: str, host: str) -> bytes:
    """Write a line as a message of RFC 5424, without a frame.

    :param host: this machine's name.
    """
    severity = _WARNING if record.event.event.endswith("refused") else _INFORMATIONAL
    name = "".join(letter for letter in host if "!" <= letter <= "~")[:_MOST_NAME] or "-"
    # An event's name is a MSGID: at most 32 printable letters.
    header = f"<{_LOG_AUDIT * 8 + severity}>1 {_moment(record)} {name} tunnelcloud - "
    return f"{header}{record.event.event[:32]} - {line}".encode("ascii")


def _moment(record: AuditRecord) -> str:
    return record.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
