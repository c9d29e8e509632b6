"""The admin portal's kinds of objects: what their lists show and what their forms ask for."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from tunnelcloud.domain.entities import Role
from tunnelcloud.web.portal.forms import Field, FieldKind
from tunnelcloud.web.portal.pages.icons import ICONS

_NAME = Field("name", "Name", hint="1 to 63 of a-z, 0-9 and -")
_TITLE = Field("title", "Title", hint="Optional: free text for people", flag="--title")
_ROLES = tuple((str(role), str(role)) for role in Role)


@frozen
class Column:
    """A column of a list.

    :ivar kind: how a value is written: a macro of C{cells.html}.
    """

    name: str
    heading: str
    kind: str = "plain"


@frozen
class Section:
    """One kind of object.

    :ivar plural: as in the API's path.
    :ivar title: of the page that lists them.
    :ivar columns: of the list, after the name.
    :ivar teaching: what it is, for an empty list.
    """

    noun: str
    plural: str
    title: str
    columns: Sequence[Column]
    fields: Sequence[Field]
    teaching: str
    example: str

    @property
    def id_name(self) -> str:
        """Name the parameter of paths that holds an object's id."""
        return f"{self.noun}_id"


TUNNEL = Section(
    "tunnel",
    "tunnels",
    "Applications",
    (
        Column("site_id", "Site", "site"),
        Column("target_address", "Target", "target"),
        Column("external_address", "External address"),
        Column("who", "Who", "who"),
        Column("open", "Open now", "count"),
        Column("health", "State", "health"),
    ),
    (
        _NAME,
        Field("target_address", "Target Address", hint="A DNS name, IPv4 or IPv6 address",
              flag="--address", sample="10.0.0.5"),
        Field("target_ports", "Target Ports", FieldKind.WORDS, "Such as 5432, 8000-8010",
              flag="--port", sample=(5432,)),
        Field("external_address", "External Address", optional=True, flag="--external-address",
              hint="Optional: the host name SSH clients connect to"),
        Field("site_id", "Site", FieldKind.CHOICE, reference="sites", flag="--site",
              sample="<id of the site>"),
        Field("title", "Title", hint="Optional: free text for people", flag="--title", more=True),
        Field("description", "Description", FieldKind.AREA, flag="--description", more=True),
        Field("icon", "Icon", flag="--icon", more=True,
              hint="Optional: " + ", ".join(ICONS) + ", or a character or two"),
        Field("local_port_offset", "Local port offset", FieldKind.NUMBER,
              default=0, flag="--local-port-offset", more=True,
              hint="Added to a target port for the port on the user's machine"),
        Field("target_check", "Target check", FieldKind.CHOICE, default="tcp", flag="--check",
              choices=(("tcp", "whether it accepts a connection"),
                       ("tls", "its TLS certificate as well")), more=True),
        Field("enabled", "Enabled: it may be opened", FieldKind.CHECK, default=True,
              flag="--enabled/--disabled", more=True),
    ),
    "A tunnel publishes the ports of one server in a site to whom you assign it.",
    "tunnelcloud tunnel create db --site paris --address 10.0.0.5 --port 5432",
)  # fmt: skip

SITE = Section(
    "site",
    "sites",
    "Sites",
    (
        Column("title", "Title"),
        Column("connectors", "Connectors", "attached"),
        Column("tunnels", "Tunnels", "count"),
        Column("health", "State", "health"),
    ),
    (_NAME, _TITLE),
    "A site is a private network; connectors in it open the way to its servers.",
    "tunnelcloud site create paris",
)

CONNECTOR = Section(
    "connector",
    "connectors",
    "Connectors",
    (
        Column("site_id", "Site", "site"),
        Column("status", "State", "status"),
        Column("version", "Version"),
        Column("last_seen_at", "Last seen", "time"),
        Column("round_trip_ms", "Round trip", "milliseconds"),
        Column("load", "Channels", "count"),
        Column("certificate_expires_at", "Certificate ends", "time"),
    ),
    (
        _NAME,
        Field(
            "site_id",
            "Site",
            FieldKind.CHOICE,
            reference="sites",
            fixed=True,
            flag="--site",
            sample="<id of the site>",
        ),
        _TITLE,
    ),
    "A connector runs in a site, dials out to the pods, and connects to the targets.",
    "tunnelcloud connector create paris-1 --site paris",
)

USER = Section(
    "user",
    "users",
    "Users",
    (
        Column("title", "Full name"),
        Column("email", "E-mail"),
        Column("role", "Role"),
        Column("source", "Source"),
        Column("state", "State", "user_state"),
    ),
    (
        Field("name", "Name", hint="What they log in with, such as alice"),
        Field("title", "Full name", flag="--title"),
        Field("email", "E-mail", optional=True, hint="Optional: serves as a name, too",
              flag="--email"),
        Field("role", "Role", FieldKind.CHOICE, choices=_ROLES, default="user", flag="--role"),
        Field("service", "A service account: it has keys and tokens, and no password",
              FieldKind.CHECK, default=False, flag="--service/--person"),
    ),
    "A user is a person or a service account who may open what is assigned to them.",
    "tunnelcloud user create alice",
)  # fmt: skip

GROUP = Section(
    "group",
    "groups",
    "Groups",
    (
        Column("title", "Title"),
        Column("members", "Members", "count"),
        Column("tunnels", "Tunnels", "count"),
    ),
    (_NAME, _TITLE),
    "A group is assigned tunnels as one; its members may open them.",
    "tunnelcloud group create dba",
)

POLICY = Section(
    "policy",
    "policies",
    "Policies",
    (Column("sentence", "Holds"), Column("used", "Assignments", "count")),
    (
        _NAME,
        _TITLE,
        Field("source_networks", "From these networks only", FieldKind.LINES,
              "One a line, such as 10.0.0.0/8; none for anywhere", flag="--source",
              sample=("10.0.0.0/8",)),
        Field("windows", "In these hours only", FieldKind.LINES, flag="--window",
              hint="One a line, such as Mon-Fri 09:00-18:00 Europe/Paris; none for always"),
        Field("valid_from", "From (UTC)", FieldKind.MOMENT, optional=True, flag="--from"),
        Field("valid_until", "Until (UTC)", FieldKind.MOMENT, optional=True, flag="--until"),
        Field("max_session_seconds", "Longest session", FieldKind.DURATION,
              hint="Such as 8h or 7d; empty: no limit", optional=True, flag="--max-session"),
        Field("idle_seconds", "Ends when idle for", FieldKind.DURATION,
              hint="Such as 15m; empty: no limit", optional=True, flag="--idle"),
        Field("max_channels", "Most channels at once", FieldKind.NUMBER, optional=True,
              hint="Of one user; empty: no limit", flag="--max-channels"),
        Field("max_sessions", "Most sessions at once", FieldKind.NUMBER, optional=True,
              hint="Of one user; empty: no limit", flag="--max-sessions"),
        Field("max_token_sessions", "Most sessions of a token (1 to 8)", FieldKind.NUMBER,
              optional=True, flag="--max-token-sessions"),
    ),
    "A policy narrows an assignment: from where, when, for how long. All of it must hold.",
    "tunnelcloud policy create office --source 10.0.0.0/8",
)  # fmt: skip

SECTIONS = (TUNNEL, SITE, CONNECTOR, USER, GROUP, POLICY)
