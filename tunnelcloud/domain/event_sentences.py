"""Events of the audit as sentences: who did what, to whom."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from tunnelcloud.domain.actors import actor_kind, actor_text, as_chosen
from tunnelcloud.domain.events import CATALOGUE, KeptEvent

_FIELD = re.compile(r"\{(\w+)\}")
_OF_ALL_KINDS = {
    "created": "{who} created {kind} {object}",
    "changed": "{who} changed {kind} {object}{changed}",
    "deleted": "{who} deleted {kind} {object}",
}
_KINDS = {"api_token": "API token", "identity_provider": "identity provider"}
_SENTENCES: Mapping[str, str] = {
    "login.succeeded": "{user} connected with {method} from {address}",
    "login.refused": "A login as {login_name} from {address} was refused: {reason}",
    "session.ended": "A session of {user} ended: {reason}",
    "session.end_requested": "{who} ended a session of {user}",
    "session.reopened": "A session of {user} goes on, although it was taken for ended",
    "channel.opened": "{user} opened {tunnel}",
    "channel.refused": "{user} could not open {destination}:{port}: {reason}",
    "channel.closed": "A channel of {user} to {tunnel} was closed: {reason}",
    "channel.end_requested": "{who} closed a channel of {user} to {tunnel}",
    "web_login.succeeded": "{user} signed in to the portal from {address}",
    "web_login.refused": "A sign-in as {login_name} from {address} was refused: {reason}",
    "web_login.ended": "A portal sign-in of {user} ended: {reason}",
    "token.created": "{who} created a one-time token for {user}",
    "token.revoked": "{who} revoked a one-time token of {user}",
    "connector.joined": "Connector {actor} joined",
    "connector.renewed": "The certificate of connector {actor} was renewed",
    "connector.renewal_refused": "Connector {actor} could not renew its certificate: {reason}",
    "connector.join_refused": "A join token from {address} was refused: {reason}",
    "connector.cloned": "A second machine with the identity of connector {actor} was refused",
    "connector.attached": "Connector {actor} is attached",
    "connector.detached": "Connector {actor} is detached: {reason}",
    "connector.join_token_created": "{who} created a join token for connector {object}",
    "pod.started": "Pod {actor} started",
    "pod.stopped": "Pod {actor} stopped: {reason}",
    "pod.removed": "{who} removed pod {pod}",
    "pod.drained": "{who} drained pod {pod}",
    "pod.resumed": "{who} resumed pod {pod}",
    "assignment.created": "{who} assigned {tunnel} to {holder}",
    "assignment.changed": "{who} changed the assignment of {tunnel} to {holder}{changed}",
    "assignment.deleted": "{who} removed the assignment of {tunnel} to {holder}",
    "key.created": "{who} added a key of {user}: {object}",
    "key.changed": "{who} changed a key of {user}: {object}",
    "key.deleted": "{who} revoked a key of {user}: {object}",
    "group.member_added": "{who} added {user} to group {object}",
    "group.member_removed": "{who} removed {user} from group {object}",
    "request.created": "{user} asked to {open} {tunnel}: {reason}",
    "request.approved": "{who} approved the request of {user} to {open} {tunnel}{same_person}",
    "request.refused": "{who} refused the request of {user} for {tunnel}",
    "lockout.lifted": "{who} let {source} {name} try again ({door})",
    "grant.ended": "{who} ended the permission of {user} for {tunnel}",
    "emergency.begun": "{user} opened {tunnel} in an emergency: {reason}",
    "emergency.reviewed": "{who} reviewed the emergency of {user} with {tunnel}{same_person}",
    "database.restored": "{who} restored a backup",
    "clock.went_back": "The clock went back: sign-ins, links and tokens from later have ended",
    "audit.forgotten": "Events until {until} were forgotten, {events} of them: {reason}",
    "settings.changed": "{who} changed the settings{changed}",
    "user.access_ended": "The access of {user} ended: {cause}",
    "user.proof_refused": "On the Account page of {user} something was refused: {reason}",
    "user.invited": "{who} created a link for {user} to set a password",
    "user.password_set": "{user} set a password",
    "user.second_factor_added": "{user} added a second factor",
    "user.second_factor_removed": "{who} removed the second factor of {user}",
    "user.recovery_codes_made": "{user} created recovery codes",
    "user.recovery_code_used": "{user} used a recovery code",
    "identity.linked": "An identity at {provider} was linked with {user}",
    "identity.unlinked": "{who} unlinked the identity of {user} at {provider}",
    "identity.groups_kept": "{provider} did not name the groups of {user}, which stay as they are",
    "identity_provider.checked": "A check of identity provider {object} had another result",
    "device_login.allowed": "{user} allowed a command line to sign in",
    "device_login.denied": "{user} refused a command line",
    "browser_login.allowed": "{user} confirmed an SSH login in the browser",
    "browser_login.denied": "{user} refused an SSH login in the browser",
}
_METHODS = {"token": "a one-time token", "key": "a key", "browser": "the browser"}


def event_sentence(event: KeptEvent, groups: Mapping[str, str] | None = None) -> str:
    """Return an event's sentence; without one its meaning, and for an unknown event its name.

    :param groups: names of groups by their ids, for assignments.
    """
    kind, _, verb = event.event.rpartition(".")
    pattern = _SENTENCES.get(event.event) or _OF_ALL_KINDS.get(verb)
    if pattern is None:
        known = CATALOGUE.get(event.event)
        return event.event if known is None else known.meaning.rstrip(".")
    if not event.data.get("reason"):  # as where a stream ended in the usual way
        pattern = pattern.removesuffix(": {reason}")
    values = _values(event, kind, groups or {})
    text = " ".join(_FIELD.sub(lambda match: values.get(match[1], ""), pattern).split())
    count = event.data.get("count")
    if isinstance(count, int):
        text = f"{text} ({count:,} more times)"
    return text


def groups_in(events: Iterable[KeptEvent]) -> set[str]:
    """Name the groups, by their ids, whose names the sentences of events need."""
    changes = (event.data.get("changes") for event in events)
    found = (one.get("group_id") for one in changes if isinstance(one, Mapping))
    return {one for one in found if isinstance(one, str)}


def _values(event: KeptEvent, kind: str, groups: Mapping[str, str]) -> dict[str, str]:
    data = {name: str(value) for name, value in event.data.items() if isinstance(value, str | int)}
    changes = event.data.get("changes")
    changed = sorted(changes) if isinstance(changes, Mapping) else []
    group, same = data.get("group_name"), data.get("same_person_at")
    if group is None and isinstance(changes, Mapping):  # of a version that didn't name it
        group = groups.get(str(changes.get("group_id")))
    named = ", ".join(name.removesuffix("_id").replace("_", " ") for name in changed)
    for name in data.keys() & {"login_name", "name"}:
        data[name] = as_chosen(data[name])
    return {
        **data,
        "who": actor_text(actor_kind(event.actor_id), event.actor),
        "actor": event.actor,
        "same_person": f", as the same person at {same}" if same else "",
        "open": "go on with" if data.get("renews") else "open",
        "user": event.user_name or "somebody",
        "holder": event.user_name or (f"group {group}" if group else "a group"),
        "tunnel": event.tunnel_name or "a tunnel",
        "address": event.source_ip or "an unknown address",
        "kind": _KINDS.get(kind, kind.replace("_", " ")),
        "object": as_chosen(data.get("object_name") or data.get("object_id", "")),
        "changed": f": {named}" if named else "",
        "method": _METHODS.get(data.get("method", ""), "a credential"),
    }
