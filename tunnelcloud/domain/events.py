"""The audit catalogue: every event there is, the fields it carries and what it means.

An event that isn't here can't be recorded; docs/audit.md is held to this list by a test.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from attrs import field, frozen


@frozen
class EventKind:
    """One kind of event: its name, what it means, and the fields its ``data`` may have."""

    name: str
    meaning: str
    fields: tuple[str, ...] = ()


_CHANGE = ("object_id", "object_name", "changes")
_HOLDER = ("group_id", "group_name")
"""Of an assignment that is a group's; a user's has the fields of the event itself."""

_COUNT = " Its count, if there is one, says how many more there were."
"""Of a refusal: one event stands for many."""

CATALOGUE: Mapping[str, EventKind] = {
    kind.name: kind
    for kind in [
        EventKind(
            "login.succeeded",
            "A credential was verified and a session began.",
            ("login_name", "method", "client_version", "key_fingerprint", "token_id"),
        ),
        EventKind(
            "login.refused",
            "A login was refused." + _COUNT,
            ("login_name", "method", "client_version", "reason", "count"),
        ),
        EventKind(
            "session.ended",
            "A session ended.",
            ("reason", "bytes_to_target", "bytes_from_target", "seconds"),
        ),
        EventKind("session.end_requested", "Somebody asked for the end of a session."),
        EventKind(
            "session.reopened",
            "A session that was taken for dead lives: its pod had been away from the database.",
        ),
        EventKind(
            "channel.opened",
            "A session was allowed to reach a target, and isn't done with it after a second.",
            ("destination", "port", "channel_id", "opened_at"),
        ),
        EventKind(
            "channel.refused",
            "A destination was refused." + _COUNT,
            ("destination", "port", "reason", "count"),
        ),
        EventKind(
            "channel.closed",
            "A forwarded connection ended.",
            (
                "channel_id",
                "connector_id",
                "destination",
                "port",
                "opened_at",
                "reason",
                "bytes_to_target",
                "bytes_from_target",
                "acknowledged",
            ),
        ),
        EventKind(
            "channel.end_requested",
            "Somebody asked for the end of a forwarded connection.",
            ("channel_id",),
        ),
        EventKind(
            "web_login.succeeded", "Somebody signed in to the portal.", ("method", "provider")
        ),
        EventKind(
            "web_login.refused",
            "A sign-in to the portal was refused." + _COUNT,
            ("login_name", "reason", "provider", "count"),
        ),
        EventKind("web_login.ended", "A portal sign-in was ended.", ("reason",)),
        EventKind("token.created", "A one-time token was made.", ("token_id", "sessions")),
        EventKind("token.revoked", "A one-time token was revoked.", ("token_id",)),
        EventKind(
            "connector.joined", "A connector redeemed its join token.", ("connector_id", "serial")
        ),
        EventKind(
            "connector.renewed",
            "A connector's certificate was renewed; ended_at says when it had ended before that.",
            ("connector_id", "serial", "ended_at"),
        ),
        EventKind(
            "connector.join_refused",
            "A join token was refused." + _COUNT,
            ("reason", "count"),
        ),
        EventKind(
            "connector.renewal_refused",
            "A connector came with a certificate that had ended, or asked for the next one after "
            "it was deleted or had joined with another key, and got no other one.",
            ("connector_id", "reason", "count"),
        ),
        EventKind(
            "connector.cloned",
            "Two machines were live with one connector's identity; the later was turned away.",
            ("connector_id", "reason"),
        ),
        EventKind("connector.attached", "A connector's link came up.", ("connector_id", "version")),
        EventKind(
            "connector.detached", "A connector's last link went.", ("connector_id", "reason")
        ),
        EventKind(
            "web_certificate.issued",
            "The authority gave the pods a certificate for the web (ACME).",
            ("names", "ends_at"),
        ),
        EventKind(
            "web_certificate.refused",
            "No certificate for the web came of an order, for another reason than before.",
            ("reason",),
        ),
        EventKind("pod.started", "A pod began to serve.", ("version",)),
        EventKind("pod.stopped", "A pod stopped in order.", ("reason",)),
        EventKind("pod.removed", "Somebody deleted a pod that was gone.", ("pod",)),
        EventKind("pod.drained", "A pod lets nothing new in any more.", ("pod",)),
        EventKind("pod.resumed", "A pod that was drained takes new sessions again.", ("pod",)),
        *(
            EventKind(
                f"{noun}.{verb}",
                f"Somebody {verb} {article} {noun.replace('_', ' ')}.",
                (*_CHANGE, *_HOLDER) if noun == "assignment" else _CHANGE,
            )
            for noun, article in [
                ("site", "a"),
                ("connector", "a"),
                ("tunnel", "a"),
                ("user", "a"),
                ("group", "a"),
                ("assignment", "an"),
                ("policy", "a"),
                ("key", "a"),
                ("api_token", "an"),
                ("identity_provider", "an"),
            ]
            for verb in ("created", "changed", "deleted")
        ),
        EventKind(
            "connector.join_token_created", "A join token was made for a connector.", _CHANGE
        ),
        EventKind("group.member_added", "A user was put into a group.", (*_CHANGE, "member_id")),
        EventKind(
            "group.member_removed", "A user was taken out of a group.", (*_CHANGE, "member_id")
        ),
        EventKind(
            "request.created",
            "A user wants to open a tunnel that needs an approval.",
            ("request_id", "reason", "seconds", "approval", "renews"),
        ),
        EventKind(
            "request.approved",
            "A request was approved, which makes a grant or prolongs one (renews). If a provider"
            " knows both users as the same person, same_person_at names the provider.",
            ("request_id", "answer", "grant_id", "renews", "same_person_at"),
        ),
        EventKind("request.refused", "A request was refused.", ("request_id", "answer")),
        EventKind(
            "lockout.lifted",
            "Somebody let a source or a name try again that had to wait.",
            ("door", "source", "name"),
        ),
        EventKind("grant.ended", "Somebody ended a grant before its time.", ("grant_id",)),
        EventKind(
            "emergency.begun",
            "A user opened a tunnel without an approval, as the policy allows in an emergency.",
            ("grant_id", "reason", "seconds"),
        ),
        EventKind(
            "emergency.reviewed",
            "Somebody reviewed what a user did in an emergency. If a provider knows both as one"
            " person, same_person_at names it.",
            ("grant_id", "answer", "same_person_at"),
        ),
        EventKind(
            "authority.created",
            "A new CA was made; connectors move to it.",
            ("fingerprint",),
        ),
        EventKind(
            "authority.deleted",
            "The previous CA was given up; left says how many connectors were still under it.",
            ("fingerprint", "left"),
        ),
        EventKind(
            "host_key.created",
            "New host keys were made; clients learn them before they are used.",
            ("fingerprints",),
        ),
        EventKind(
            "host_key.promoted",
            "The new host keys took the place of the current ones.",
            ("fingerprints",),
        ),
        EventKind(
            "host_key.deleted",
            "Host keys that are not used any more were forgotten.",
            ("fingerprints",),
        ),
        EventKind(
            "database.restored",
            "A backup was restored: one-time tokens, links, recovery codes, approvals and sign-ins "
            "of before are void.",
        ),
        EventKind(
            "clock.went_back",
            "The clock went back: what was made at times that haven't come yet has ended.",
            ("ended",),
        ),
        EventKind(
            "audit.forgotten",
            "The audit outgrew its size: the oldest events of a user, of strangers or of all went.",
            ("events", "until", "reason"),
        ),
        EventKind("settings.changed", "Somebody changed what is set for all pods.", _CHANGE),
        EventKind(
            "user.access_ended",
            "What a user had signed in with, or was given, ended for a cause.",
            ("cause", "ended"),
        ),
        EventKind(
            "user.proof_refused",
            "Somebody who was signed in as a user typed a wrong password or code there." + _COUNT,
            ("reason", "count"),
        ),
        EventKind("user.invited", "A one-time link to set a password was made.", _CHANGE),
        EventKind("user.password_set", "A user set a password.", ()),
        EventKind("user.second_factor_added", "A user confirmed a second factor.", ()),
        EventKind(
            "user.second_factor_removed",
            "A second factor was removed, by its user or an administrator.",
            (),
        ),
        EventKind(
            "user.recovery_codes_made", "A user made recovery codes; those before ended.", ()
        ),
        EventKind("user.recovery_code_used", "A recovery code was used up.", ("left",)),
        EventKind(
            "identity.linked",
            "Somebody whom an identity provider vouches for became a user's identity.",
            ("provider", "subject", "by"),
        ),
        EventKind(
            "identity.unlinked",
            "An administrator took a user's identity at a provider away.",
            ("provider", "subject"),
        ),
        EventKind(
            "identity_provider.checked",
            "An identity provider was asked for what a sign-in needs, with another result than"
            " before.",
            _CHANGE,
        ),
        EventKind(
            "identity.groups_kept",
            "A provider did not say which groups somebody is in: they stay in those they are in.",
            ("provider", "reason"),
        ),
        EventKind("device_login.allowed", "A user let a command line in.", ("client", "from")),
        EventKind("device_login.denied", "A user kept a command line out.", ("client", "from")),
        EventKind(
            "browser_login.allowed",
            "A user confirmed an SSH login in the browser.",
            ("client", "from", "login_name"),
        ),
        EventKind(
            "browser_login.denied",
            "A user refused an SSH login in the browser.",
            ("client", "from", "login_name"),
        ),
    ]
}


class UnknownEvent(LookupError):
    """Code tried to record an event, or a field, that isn't in the catalogue."""


@frozen
class KeptEvent:
    """Something that happened, by whom, to what; a pod of another version may have written it.

    ``actor_id`` is the user or API token that did it, ``user_id`` whom it was done to or for.
    """

    event: str
    actor: str = ""
    actor_id: str | None = None
    user_id: str | None = None
    user_name: str | None = None
    tunnel_id: str | None = None
    tunnel_name: str | None = None
    session_id: str | None = None
    source_ip: str | None = None
    pod_id: str | None = None
    data: Mapping[str, object] = field(factory=dict)


@frozen
class AuditEvent(KeptEvent):
    """Something that happened and is to be written down.

    ``data`` has only fields that ``CATALOGUE`` lists for the event, and never a secret.
    """

    def __attrs_post_init__(self) -> None:
        kind = CATALOGUE.get(self.event)
        if kind is None:
            raise UnknownEvent(self.event)
        unknown = set(self.data) - set(kind.fields)
        if unknown:
            raise UnknownEvent(f"{self.event}: {', '.join(sorted(unknown))}")


def event_of(name: str, user_id: str, user_name: str, **more: Any) -> AuditEvent:
    """Make the event of something that a user did, such as all events of a session."""
    return AuditEvent(
        name, actor=user_name, actor_id=user_id, user_id=user_id, user_name=user_name, **more
    )


@frozen
class AuditRecord:
    """An event as it is kept: with its id and the time at which it was written."""

    id: str
    at: datetime
    event: KeptEvent


def without_nothing(values: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out of a document of an event the fields that don't apply, at every depth."""
    kept = {
        name: without_nothing(value) if isinstance(value, Mapping) else value
        for name, value in values.items()
    }
    return {name: value for name, value in kept.items() if value is not None and value != {}}
