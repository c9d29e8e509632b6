"""The audit in the Open Cybersecurity Schema Framework (OCSF 1.5), for log stores that know it.

Values without an attribute in an OCSF class are in ``unmapped``, under our own names.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from attrs import frozen

from tunnelcloud.domain.actors import actor_kind, actor_text
from tunnelcloud.domain.events import CATALOGUE, AuditRecord, KeptEvent, without_nothing

OCSF_VERSION = "1.5.0"

_PRODUCT = {"name": "TunnelCloud", "vendor_name": "TunnelCloud"}
_OTHER = 99
_IAM = 3
_INFORMATIONAL, _LOW, _HIGH = 1, 2, 4
_SUCCESS, _FAILURE = 1, 2
_POLICY = 5
_Document = dict[str, Any]


@frozen
class _Class:
    """A class of OCSF: its number, its name, and a function for its own attributes.

    :ivar attributes: takes the event and the rest of its data, and removes the parts it uses.
    """

    uid: int
    name: str
    attributes: Callable[[KeptEvent, _Document], _Document]


def _authentication(event: KeptEvent, data: _Document) -> _Document:
    name = event.user_name or data.pop("login_name", None)
    seconds = data.pop("seconds", None)
    return {
        "user": _named(event.user_id or event.actor_id, name),
        "service": {"name": "TunnelCloud", "uid": event.pod_id},
        "session": {"uid": event.session_id},
        "duration": int(seconds * 1000) if isinstance(seconds, int | float) else None,
    }


def _network_activity(event: KeptEvent, data: _Document) -> _Document:
    destination = data.pop("destination", None)
    return {
        "dst_endpoint": {
            **_host(destination),
            "port": data.pop("port", None),
            "svc_name": event.tunnel_name or (None if destination else "unknown"),
        },
        "connection_info": {
            "uid": data.pop("channel_id", None),
            "protocol_name": "tcp",
            "direction_id": 0,
            "session": {"uid": event.session_id},
        },
        "start_time": _start_time(data),
        "traffic": {
            "bytes_out": data.pop("bytes_to_target", None),
            "bytes_in": data.pop("bytes_from_target", None),
        },
    }


def _start_time(data: _Document) -> int | None:
    try:
        moment = datetime.fromisoformat(str(data.get("opened_at")))
    except ValueError:
        return None
    del data["opened_at"]
    return int(moment.timestamp() * 1000)


def _account_change(event: KeptEvent, data: _Document) -> _Document:
    name = event.user_name or data.pop("object_name", None)
    return {"user": _named(event.user_id or data.pop("object_id", None), name)}


def _group_management(event: KeptEvent, data: _Document) -> _Document:
    member = data.pop("member_id", None)
    return {
        "group": _named(data.pop("object_id", None), data.pop("object_name", None)),
        "user": None if member is None else _named(member, event.user_name),
    }


def _entity_management(event: KeptEvent, data: _Document) -> _Document:
    noun = event.event.partition(".")[0]
    ids = ("object_id", "request_id", "grant_id", "token_id", "serial")
    return {
        "entity": {
            "type": noun,
            "type_id": _POLICY if noun == "policy" else _OTHER,
            "name": data.pop("object_name", None) or event.tunnel_name or noun,
            "uid": next((data.pop(one) for one in ids if one in data), None),
        }
    }


def _application_lifecycle(event: KeptEvent, data: _Document) -> _Document:
    part = {"pod": "pod", "connector": "connector"}.get(event.event.partition(".")[0], "")
    return {
        "app": {
            **_PRODUCT,
            "name": f"TunnelCloud {part}".rstrip(),
            "uid": data.pop("connector_id", None) or data.pop("pod", None) or event.pod_id,
            "version": data.pop("version", None),
        }
    }


_AUTHENTICATION = _Class(3002, "Authentication", _authentication)
_NETWORK = _Class(4001, "Network Activity", _network_activity)
_ACCOUNT = _Class(3001, "Account Change", _account_change)
_GROUP = _Class(3006, "Group Management", _group_management)
_ENTITY = _Class(3004, "Entity Management", _entity_management)
_LIFECYCLE = _Class(6002, "Application Lifecycle", _application_lifecycle)

_LOGON, _LOGOFF = 1, 2
_CLASSES: Mapping[str, tuple[_Class, int]] = {
    "login.succeeded": (_AUTHENTICATION, _LOGON),
    "login.refused": (_AUTHENTICATION, _LOGON),
    "session.ended": (_AUTHENTICATION, _LOGOFF),
    "session.end_requested": (_AUTHENTICATION, _OTHER),
    "session.reopened": (_AUTHENTICATION, _OTHER),
    "web_login.succeeded": (_AUTHENTICATION, _LOGON),
    "web_login.refused": (_AUTHENTICATION, _LOGON),
    "web_login.ended": (_AUTHENTICATION, _LOGOFF),
    "device_login.allowed": (_AUTHENTICATION, _LOGON),
    "device_login.denied": (_AUTHENTICATION, _LOGON),
    "browser_login.allowed": (_AUTHENTICATION, _LOGON),
    "browser_login.denied": (_AUTHENTICATION, _LOGON),
    "channel.opened": (_NETWORK, 1),
    "channel.closed": (_NETWORK, 2),
    "channel.refused": (_NETWORK, 5),
    "user.created": (_ACCOUNT, 1),
    "user.password_set": (_ACCOUNT, 3),
    "user.invited": (_ACCOUNT, 4),
    "user.deleted": (_ACCOUNT, 6),
    "user.second_factor_added": (_ACCOUNT, 10),
    "user.second_factor_removed": (_ACCOUNT, 11),
    "group.member_added": (_GROUP, 3),
    "group.member_removed": (_GROUP, 4),
    "group.deleted": (_GROUP, 5),
    "group.created": (_GROUP, 6),
    "connector.joined": (_LIFECYCLE, 1),
    "connector.join_refused": (_LIFECYCLE, 1),
    "connector.attached": (_LIFECYCLE, 3),
    "connector.detached": (_LIFECYCLE, 4),
    "connector.renewed": (_LIFECYCLE, 8),
    "connector.cloned": (_LIFECYCLE, _OTHER),
    "pod.removed": (_LIFECYCLE, 2),
    "pod.started": (_LIFECYCLE, 3),
    "pod.stopped": (_LIFECYCLE, 4),
    "pod.resumed": (_LIFECYCLE, 6),
    "pod.drained": (_LIFECYCLE, 7),
    "database.restored": (_LIFECYCLE, _OTHER),
    "clock.went_back": (_LIFECYCLE, _OTHER),
}
"""The class of an event and the activity in it, where neither follows from its name."""

_OF_NOUN = {"user": _ACCOUNT, "identity": _ACCOUNT, "group": _GROUP}
_OF_VERB = {
    "created": 1, "checked": 2, "changed": 3, "deleted": 4, "revoked": 4, "approved": 10,
    "refused": 11, "ended": 11, "forgotten": 4,
}  # fmt: skip
"""Activities of Entity Management, by an event's last word."""


def class_of(event: str) -> tuple[_Class, int]:
    """Give the class of an event, of another version too, and the activity in it."""
    found = _CLASSES.get(event)
    if found is not None:
        return found
    noun, _, verb = event.partition(".")
    kind = _OF_NOUN.get(noun, _ENTITY)
    activity = _OF_VERB.get(verb.rpartition("_")[2], _OTHER) if kind is _ENTITY else _OTHER
    return kind, activity


def ocsf_document(record: AuditRecord) -> _Document:
    """Return an event as an OCSF document, without attributes that don't apply."""
    event, data = record.event, dict(record.event.data)
    kind, activity = class_of(event.event)
    failed = event.event.endswith(("refused", "denied"))
    meaning = CATALOGUE.get(event.event)
    found = {
        "time": int(record.at.timestamp() * 1000),
        "category_uid": kind.uid // 1000,
        "class_uid": kind.uid,
        "class_name": kind.name,
        "activity_id": activity,
        "activity_name": event.event if activity == _OTHER else None,
        "type_uid": kind.uid * 100 + activity,
        "severity_id": _severity(event.event, failed),
        "status_id": _FAILURE if failed else _SUCCESS,
        "status_detail": data.pop("reason", None),
        "message": None if meaning is None else meaning.meaning,
        "count": data.pop("count", None),
        "metadata": {
            "version": OCSF_VERSION,
            "product": _PRODUCT,
            "uid": record.id,
            "event_code": event.event,
        },
        **kind.attributes(event, data),
    }
    source, actor = _host(event.source_ip), _actor(event)
    found["unmapped"] = {
        "pod_id": event.pod_id,
        "tunnel_id": event.tunnel_id,
        "tunnel_name": event.tunnel_name,
        **data,
    }
    # A class has only its own attributes.
    (found if kind is not _LIFECYCLE else found["unmapped"])["src_endpoint"] = source
    (found if kind.uid // 1000 == _IAM else found["unmapped"])["actor"] = actor
    return without_nothing(found)


def _severity(event: str, failed: bool) -> int:
    if event == "connector.cloned":
        return _HIGH
    return _LOW if failed else _INFORMATIONAL


def _actor(event: KeptEvent) -> _Document:
    name = actor_text(actor_kind(event.actor_id), event.actor)
    return {
        "user": {"uid": event.actor_id, "name": name},
        "session": {"uid": event.session_id},
    }


def _named(uid: object, name: object) -> _Document:
    return {"uid": uid, "name": name or (None if uid else "unknown")}


def _host(text: object) -> _Document:
    if not text:
        return {}
    try:
        return {"ip": str(ipaddress.ip_address(str(text)))}
    except ValueError:
        return {"hostname": text}
