"""The audit in the field names of the Elastic Common Schema (ECS 8), for log stores that know it.

Values without a field in ECS are below ``tunnelcloud``, under our own names.
"""

from __future__ import annotations

from typing import Any

from tunnelcloud.domain.actors import actor_kind, actor_text
from tunnelcloud.domain.events import AuditRecord, without_nothing

ECS_VERSION = "8.11.0"

_TYPES = {
    "succeeded": ["start"], "opened": ["start"], "attached": ["start"], "started": ["start"],
    "joined": ["start"], "ended": ["end"], "closed": ["end"], "detached": ["end"],
    "stopped": ["end"], "refused": ["denied"], "created": ["creation"], "changed": ["change"],
    "deleted": ["deletion"], "revoked": ["deletion"], "promoted": ["change"],
    "forgotten": ["deletion"],
}  # fmt: skip
_CATEGORIES = {
    "login": ["authentication", "session"], "web_login": ["authentication"],
    "device_login": ["authentication"], "browser_login": ["authentication"],
    "session": ["session", "network"],
    "channel": ["network"], "user": ["iam"], "group": ["iam"], "key": ["iam"], "token": ["iam"],
    "api_token": ["iam"],
}  # fmt: skip


def ecs_document(record: AuditRecord, moment: str) -> dict[str, Any]:
    """Return an event as an ECS document, without fields that don't apply.

    :param moment: its time, as it is shown.
    """
    event, data = record.event, dict(record.event.data)
    noun, _, verb = event.event.partition(".")
    ending = verb.rpartition("_")[2]
    failed = ending == "refused"
    found: dict[str, Any] = {
        "@timestamp": moment,
        "ecs": {"version": ECS_VERSION},
        "event": {
            "id": record.id,
            "kind": "event",
            "action": event.event,
            "category": _CATEGORIES.get(noun, ["configuration"]),
            "type": _TYPES.get(ending, ["info"]),
            "outcome": "failure" if failed else "success",
            "reason": data.pop("reason", None),
            "start": data.pop("opened_at", None),
        },
        "user": {
            "id": event.actor_id,
            "name": actor_text(actor_kind(event.actor_id), event.actor) or None,
            "target": {"id": event.user_id, "name": event.user_name},
        },
        "source": {"ip": event.source_ip},
        "destination": {
            "address": data.pop("destination", None),
            "port": data.pop("port", None),
        },
        "observer": {"type": "gateway", "vendor": "TunnelCloud", "name": event.pod_id},
        "tunnelcloud": {
            "tunnel": {"id": event.tunnel_id, "name": event.tunnel_name},
            "session": {"id": event.session_id},
            "data": data,
        },
    }
    return without_nothing(found)
