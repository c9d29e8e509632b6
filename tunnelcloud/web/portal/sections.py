"""The admin portal's kinds of objects: what their lists show and what their forms ask for."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from tunnelcloud.domain.entities import Role
from tunnelcloud.web.portal.forms import Field, FieldKind
from tunnelcloud.web.portal.pages.icons import ICONS

_NAME = Field("name", "Name", hint="a-z, 0-9 and -, such as db-prod")
_TITLE = Field("title", "Title", hint="Optional: free text for people")
_ROLES = tuple((str(role), str(role)) for role in Role)


@frozen
class Section:
    """One kind of object.

    :ivar plural: as in the API's path.
    :ivar columns: fields of the list and their headings.
    :ivar teaching: what it is, for an empty list.
    :ivar command: the command line that makes one.
    """

    noun: str
    plural: str
    title: str
    columns: Sequence[tuple[str, str]]
    fields: Sequence[Field]
    teaching: str
    command: str

    @property
    def id_name(self) -> str:
        """Name the parameter of paths that holds an object's id."""
        return f"{self.noun}_id"


SECTIONS = (
    Section(
        "tunnel",
        "tunnels",
        "Tunnels",
        (("site_id", "Site"), ("target_address", "Target"), ("target_ports", "Ports"),
         ("external_address", "External address"), ("enabled", "Enabled")),
        (
            _NAME,
            Field("target_address", "Target address", hint="A DNS name, IPv4 or IPv6 address"),
            Field("target_ports", "Target ports", FieldKind.WORDS, "Such as 5432, 8000-8010"),
            Field("external_address", "External address", optional=True,
                  hint="Optional: the host name SSH clients connect to"),
            Field("site_id", "Site", FieldKind.CHOICE, reference="sites"),
            _TITLE,
            Field("description", "Description", FieldKind.AREA),
            Field("icon", "Icon", hint="Optional: " + ", ".join(ICONS) + ", or a character or two"),
            Field("local_port_offset", "Added to each port on the user's machine",
                  FieldKind.NUMBER, default=0),
            Field("enabled", "Enabled", FieldKind.CHECK, default=True),
        ),
        "A tunnel publishes the ports of one server in a site to whom you assign it.",
        "tunnelcloud tunnel create db --site paris --address 10.0.0.5 --port 5432",
    ),
    Section(
        "site",
        "sites",
        "Sites",
        (("title", "Title"),),
        (_NAME, _TITLE),
        "A site is a private network; connectors in it open the way to its servers.",
        "tunnelcloud site create paris",
    ),
    Section(
        "connector",
        "connectors",
        "Connectors",
        (("site_id", "Site"), ("status", "State"), ("version", "Version"),
         ("last_seen_at", "Last seen"), ("round_trip_ms", "Round trip, ms"),
         ("load", "Channels"), ("certificate_expires_at", "Certificate ends")),
        (_NAME, Field("site_id", "Site", FieldKind.CHOICE, reference="sites", fixed=True), _TITLE),
        "A connector runs in a site, dials out to the pods, and connects to the targets.",
        "tunnelcloud connector create paris-1 --site paris",
    ),
    Section(
        "user",
        "users",
        "Users",
        (("title", "Title"), ("email", "E-mail"), ("role", "Role"), ("service", "Service account"),
         ("blocked", "Blocked")),
        (
            Field("name", "Name"),
            Field("title", "Full name"),
            Field("email", "E-mail", optional=True, hint="Optional: serves as a name, too"),
            Field("role", "Role", FieldKind.CHOICE, choices=_ROLES, default="user"),
            Field("service", "A service account: it has keys and tokens, and no password",
                  FieldKind.CHECK, default=False),
            Field("blocked", "Blocked: nothing opens, and what is open ends", FieldKind.CHECK,
                  default=False),
        ),
        "A user is a person or a service account who may open what is assigned to them.",
        "tunnelcloud user create alice",
    ),
    Section(
        "group",
        "groups",
        "Groups",
        (("title", "Title"),),
        (_NAME, _TITLE),
        "A group is assigned tunnels as one; its members may open them.",
        "tunnelcloud group create dba",
    ),
    Section(
        "policy",
        "policies",
        "Policies",
        (("source_networks", "From"), ("windows", "When"), ("valid_from", "Begins"),
         ("valid_until", "Ends")),
        (
            _NAME,
            _TITLE,
            Field("source_networks", "From these networks only", FieldKind.LINES,
                  "One a line, such as 10.0.0.0/8; none for anywhere"),
            Field("windows", "In these hours only", FieldKind.LINES,
                  "One a line, such as Mon-Fri 09:00-18:00 Europe/Paris; none for always"),
            Field("valid_from", "From (UTC)", FieldKind.MOMENT, optional=True),
            Field("valid_until", "Until (UTC)", FieldKind.MOMENT, optional=True),
            Field("max_session_seconds", "Longest session, in seconds", FieldKind.NUMBER,
                  optional=True),
            Field("idle_seconds", "Ends when idle for so many seconds", FieldKind.NUMBER,
                  optional=True),
            Field("max_channels", "Most channels at once", FieldKind.NUMBER, optional=True),
            Field("max_sessions", "Most sessions at once", FieldKind.NUMBER, optional=True),
            Field("max_token_sessions", "Most sessions of a token (1 to 8)", FieldKind.NUMBER,
                  optional=True),
        ),
        "A policy narrows an assignment: from where, when, for how long. All of it must hold.",
        "tunnelcloud policy create office --source 10.0.0.0/8",
    ),
)  # fmt: skip
