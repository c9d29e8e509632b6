"""What administrators make, with all that is to be known of each field, and the table of kinds.

Times are aware datetimes in UTC, lengths of time are seconds, ids are strings that ``new_id``
made.  A value here may be wrong against others (a site that is gone), never in itself: what comes
from outside is validated before it becomes one.
"""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any

from attrs import field, frozen

from tunnelcloud.domain.kinds import FieldType, Kind, Setting, kind_of
from tunnelcloud.domain.schedule import Window


class Approval(enum.StrEnum):
    """Who has to allow a channel, beside what an assignment allows."""

    NONE = "none"
    SELF = "self"
    OTHERS = "others"


ICONS = ("postgres", "mysql", "redis", "mongodb", "database", "rdp", "ssh", "web", "generic")
"""Names of the pictures that may stand for a tunnel."""


class Role(enum.StrEnum):
    """What a bearer of a web session or an API token may do."""

    ADMIN = "admin"
    AUDITOR = "auditor"
    USER = "user"


class LinkBy(enum.StrEnum):
    """By what somebody who comes from an identity provider is found to be a user already."""

    NOTHING = "nothing"
    EMAIL = "email"
    NAME = "name"


class TargetCheck(enum.StrEnum):
    """How far a target's check goes: whether it accepts, or also which certificate it shows."""

    TCP = "tcp"
    TLS = "tls"


@frozen(order=True)
class PortRange:
    """Ports C{first} to C{last}, both included."""

    first: int
    last: int

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"

    def __contains__(self, port: int) -> bool:
        return self.first <= port <= self.last

    def __len__(self) -> int:
        return self.last - self.first + 1


# Settings that several kinds have.

Name = Annotated[str, Setting(FieldType.NAME, "Name", "1 to 63 of a-z, 0-9 and -")]


def _title(
    label: str = "Title", hint: str = "Optional: free text for people", **more: Any
) -> Setting:
    return Setting(
        FieldType.TEXT, label, hint, help="A free text for people.",
        maximum=200, decides=False, initial="", **more,
    )  # fmt: skip


@frozen
class Site:
    """A private network with connectors and tunnels."""

    id: str
    name: Name
    title: Annotated[str, _title(heading="title", spare=True)]
    created_at: datetime


@frozen
class Connector:
    """A connector as it is known to the store; whether it is attached is for the pods to say."""

    id: str
    name: Name
    title: Annotated[str, _title()]
    created_at: datetime
    # Fixed: a connector's links serve the site that they were attached to.
    site_id: Annotated[
        str,
        Setting(
            FieldType.REFERENCE, "Site", reference="site", fixed=True,
            help="The site it serves.", heading="site",
            sample="<id of the site>",
        ),
    ]  # fmt: skip
    version: str = ""
    joined_at: datetime | None = None
    last_seen_at: datetime | None = None
    certificate_serial: str | None = None
    certificate_expires_at: datetime | None = None


@frozen
class Tunnel:
    """A published TCP service: one target address, its ports, in a site."""

    id: str
    name: Name
    title: Annotated[str, _title(folded=True)]
    created_at: datetime
    site_id: Annotated[
        str,
        Setting(
            FieldType.REFERENCE, "Site", reference="site",
            help="The site of the target.", heading="site",
            sample="<id of the site>",
        ),
    ]  # fmt: skip
    site_name: str
    target_address: Annotated[
        str,
        Setting(
            FieldType.HOST, "Target Address", "A DNS name, IPv4 or IPv6 address",
            option="--address", help="The target: a DNS name, an IPv4 or an IPv6 address.",
            heading="address", sample="10.0.0.5",
        ),
    ]  # fmt: skip
    target_ports: Annotated[
        tuple[PortRange, ...],
        Setting(
            FieldType.PORTS, "Target Ports", "Such as 5432, 8000-8010",
            option="--port", help="A port or a range such as 8000-8010; may be repeated.",
            heading="ports", minimum=1, maximum=64, sample=(5432,),
        ),
    ]  # fmt: skip
    local_port_offset: Annotated[
        int,
        Setting(
            FieldType.NUMBER, "Local port offset",
            "Added to a target port for the port on the user's machine",
            help="Added to a target port for the local port.",
            minimum=-65534, maximum=65534, folded=True, decides=False,
        ),
    ] = 0  # fmt: skip
    external_address: Annotated[
        str | None,
        Setting(
            FieldType.HOST_NAME, "External Address",
            "Optional: the host name SSH clients connect to",
            help="The host name that SSH clients connect to.",
            heading="external address", spare=True,
        ),
    ] = None  # fmt: skip
    enabled: Annotated[
        bool,
        Setting(
            FieldType.FLAG, "Enabled: it may be opened",
            option="--enabled/--disabled", help="Whether it may be opened.",
            heading="enabled", spare=True, folded=True,
        ),
    ] = True  # fmt: skip
    icon: Annotated[
        str,
        Setting(
            FieldType.TEXT, "Icon",
            "Optional: " + ", ".join(ICONS) + ", or a character or two",
            help="The picture in the portal.", maximum=64, folded=True,
            decides=False,
        ),
    ] = ""  # fmt: skip
    description: Annotated[
        str,
        Setting(
            FieldType.LONG_TEXT, "Description",
            help="What it is, for the portal.", maximum=4000,
            folded=True, decides=False,
        ),
    ] = ""  # fmt: skip
    target_check: Annotated[
        TargetCheck,
        Setting(
            FieldType.CHOICE, "Target check",
            option="--check",
            help="Check that the target accepts (tcp), or also its certificate (tls).",
            choices=(
                ("tcp", "whether it accepts a connection"),
                ("tls", "its TLS certificate as well"),
            ),
            folded=True, decides=False,
        ),
    ] = TargetCheck.TCP  # fmt: skip

    def publishes(self, port: int) -> bool:
        """Tell whether C{port} is one of the target ports."""
        return any(port in ports for ports in self.target_ports)


@frozen
class User:
    """A person or a service account.  C{name} and C{email} share one namespace."""

    id: str
    name: Annotated[
        str, Setting(FieldType.USER_NAME, "Name", "What they log in with, such as alice")
    ]
    title: Annotated[str, _title("Full name", "")]
    created_at: datetime
    email: Annotated[
        str | None,
        Setting(
            FieldType.EMAIL, "E-mail", "Optional: serves as a name, too",
            help="Also a login name.", heading="email",
        ),
    ] = None  # fmt: skip
    role: Annotated[
        Role,
        Setting(
            FieldType.CHOICE, "Role",
            help="What the user may do in the portal.", heading="role",
            choices=tuple((str(role), str(role)) for role in Role),
        ),
    ] = Role.USER  # fmt: skip
    service: Annotated[
        bool,
        Setting(
            FieldType.FLAG, "A service account: it has keys and tokens, and no password",
            option="--service/--person", help="Whether it is a service account.",
            heading="service", spare=True,
        ),
    ] = False  # fmt: skip
    blocked: Annotated[
        bool,
        Setting(
            FieldType.FLAG, "Blocked", option=None, heading="blocked", spare=True, in_form=False
        ),
    ] = False


@frozen
class Group:
    """Users that are assigned together."""

    id: str
    name: Name
    title: Annotated[str, _title(heading="title", spare=True)]
    created_at: datetime


_OF_ONE_USER = "Of one user; empty: no limit"
_YEAR = 31_622_400


@frozen
class Policy:
    """Conditions that must all hold; an empty one holds always."""

    id: str
    name: Name
    title: Annotated[str, _title()]
    created_at: datetime
    source_networks: Annotated[
        tuple[str, ...],
        Setting(
            FieldType.NETWORKS, "From these networks only",
            "One a line, such as 10.0.0.0/8; none for anywhere",
            option="--source", help="A network such as 10.0.0.0/8; repeats.",
            heading="sources", maximum=256, sample=("10.0.0.0/8",),
        ),
    ] = ()  # fmt: skip
    windows: Annotated[
        tuple[Window, ...],
        Setting(
            FieldType.WINDOWS, "In these hours only",
            "One a line, such as Mon-Fri 09:00-18:00 Europe/Paris; none for always",
            option="--window", help="'Mon-Fri 09:00-18:00 Europe/Paris'; repeats.",
            heading="windows", maximum=64,
        ),
    ] = ()  # fmt: skip
    valid_from: Annotated[
        datetime | None,
        Setting(
            FieldType.MOMENT, "From (UTC)",
            option="--from", help="Not before; a date is its 00:00.",
            heading="from", spare=True,
        ),
    ] = None  # fmt: skip
    valid_until: Annotated[
        datetime | None,
        Setting(
            FieldType.MOMENT, "Until (UTC)",
            option="--until", help="Not after; a date is its 00:00.",
            heading="until", spare=True,
        ),
    ] = None  # fmt: skip
    max_session_seconds: Annotated[
        int | None,
        Setting(
            FieldType.SECONDS, "Longest session", "Such as 8h or 7d; empty: no limit",
            option="--max-session", help="Such as 8h.", heading="max session", spare=True,
            minimum=1, maximum=_YEAR,
        ),
    ] = None  # fmt: skip
    idle_seconds: Annotated[
        int | None,
        Setting(
            FieldType.SECONDS, "Ends when idle for", "Such as 15m; empty: no limit",
            option="--idle", help="Ends a channel without traffic.", heading="idle", spare=True,
            minimum=1, maximum=_YEAR,
        ),
    ] = None  # fmt: skip
    max_channels: Annotated[
        int | None,
        Setting(
            FieldType.NUMBER, "Most channels at once", _OF_ONE_USER,
            help="Channels at once, of one user.",
            minimum=1, maximum=1_000_000,
        ),
    ] = None  # fmt: skip
    max_sessions: Annotated[
        int | None,
        Setting(
            FieldType.NUMBER, "Most sessions at once", _OF_ONE_USER,
            help="Sessions at once, of one user.",
            minimum=1, maximum=1_000_000,
        ),
    ] = None  # fmt: skip
    max_token_sessions: Annotated[
        int | None,
        Setting(
            FieldType.NUMBER, "Most sessions of a token (1 to 8)",
            help="Sessions that one token may open.",
            minimum=1, maximum=8,
        ),
    ] = None  # fmt: skip
    approval: Annotated[
        Approval,
        Setting(
            FieldType.CHOICE, "Approval",
            "A connection waits, without an answer, until it is approved",
            help="Who has to approve a connection: nobody, the user in the portal, or others.",
            choices=(
                ("none", "none"),
                ("self", "by the user, in the portal"),
                ("others", "by others"),
            ),
        ),
    ] = Approval.NONE  # fmt: skip
    approvers_id: Annotated[
        str | None,
        Setting(
            FieldType.REFERENCE, "Approvers", "The group whose members approve for others",
            help="The group whose members approve for others.", reference="group",
        ),
    ] = None  # fmt: skip
    approval_seconds: Annotated[
        int,
        Setting(
            FieldType.SECONDS, "An approval lasts", "Such as 1h or 8h",
            option="--approval-lasts", help="How long an approval lasts, such as 8h.",
            minimum=60, maximum=_YEAR, folded=True,
        ),
    ] = 3600  # fmt: skip
    approval_wait_seconds: Annotated[
        int,
        Setting(
            FieldType.SECONDS, "A connection waits for", "Such as 60s; then it is refused",
            option="--approval-wait", help="How long a connection waits for it, such as 60s.",
            minimum=1, maximum=3600, folded=True,
        ),
    ] = 60  # fmt: skip

    @cached_property
    def networks(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """Give C{source_networks} as networks."""
        return tuple(map(ipaddress.ip_network, self.source_networks))


@frozen
class IdentityProvider:
    """An OpenID provider that vouches for people; its client secret is kept apart.

    :ivar issuer: its identifier, an https URL; what it publishes about itself is found below it.
    :ivar name_claim: the claim that names the user; without it the e-mail's local part does.
    :ivar groups_claim: the claim that lists groups; empty for none.
    :ivar group_map: the group here that stands for a value of that claim.
    :ivar create_users: whether somebody unknown becomes a user at their first sign-in.
    """

    id: str
    name: Annotated[str, Setting(FieldType.NAME, "Name", "Part of the redirect URI, such as corp")]
    title: Annotated[str, _title("Shown on the button", "Optional: such as Corp Login")]
    created_at: datetime
    issuer: Annotated[
        str,
        Setting(
            FieldType.URL, "Issuer",
            "Exactly as the provider calls itself, such as "
            "https://login.example.com/realms/corp",
            heading="issuer", fixed=True,
            help="What the provider calls itself, an https URL.", maximum=1000,
        ),
    ]  # fmt: skip
    client_id: Annotated[
        str,
        Setting(
            FieldType.TEXT, "Client id", heading="client id",
            help="What it calls this service.", minimum=1, maximum=500,
        ),
    ]  # fmt: skip
    scopes: Annotated[
        tuple[str, ...],
        Setting(
            FieldType.WORDS, "Scopes", option="--scope",
            help="Beside openid; may be repeated.", maximum=20, folded=True,
        ),
    ] = ("openid", "profile", "email")  # fmt: skip
    name_claim: Annotated[
        str,
        Setting(
            FieldType.TEXT, "Claim that names the user",
            help="The claim that names the user.", maximum=200, folded=True,
        ),
    ] = "preferred_username"  # fmt: skip
    groups_claim: Annotated[
        str,
        Setting(
            FieldType.TEXT, "Claim that lists groups", "Optional: such as groups",

            help="The claim that lists groups.", maximum=200,
        ),
    ] = ""  # fmt: skip
    group_map: Annotated[
        Mapping[str, str],
        Setting(
            FieldType.GROUPS_BY_VALUE, "Groups it fills",
            "One a line, as value = group: who has the value in the claim is in the group",
            option="--group",
            help="VALUE=GROUP: who has the value is in the group; repeats.", maximum=200,
        ),
    ] = field(factory=dict)  # fmt: skip
    create_users: Annotated[
        bool,
        Setting(
            FieldType.FLAG, "Newcomers become users", option="--create-users/--known-users",
            help="Whether newcomers become users.",
        ),
    ] = False  # fmt: skip
    link_by: Annotated[
        LinkBy,
        Setting(
            FieldType.CHOICE, "What finds users who are here already",
            help="What finds users that are there already.",
            choices=(
                ("nothing", "Nothing: newcomers are never users who are here already"),
                ("email", "The e-mail, verified by the provider"),
                ("name", "The name, where nobody chooses their own at the provider"),
            ),
        ),
    ] = LinkBy.NOTHING  # fmt: skip
    enabled: Annotated[
        bool,
        Setting(
            FieldType.FLAG, "People may come through it",
            option="--enabled/--disabled", heading="enabled",
            help="Whether people may come through it.",
        ),
    ] = True  # fmt: skip
    has_client_secret: bool = False


SITE = kind_of("site", "sites", Site)
CONNECTOR = kind_of("connector", "connectors", Connector, ("name", "site_id"))
TUNNEL = kind_of(
    "tunnel",
    "tunnels",
    Tunnel,
    ("name", "target_address", "target_ports", "external_address", "site_id", "title"),
)
USER = kind_of("user", "users", User)
GROUP = kind_of("group", "groups", Group)
POLICY = kind_of("policy", "policies", Policy)
IDENTITY_PROVIDER = kind_of(
    "identity_provider",
    "identity-providers",
    IdentityProvider,
    (
        "name",
        "title",
        "issuer",
        "client_id",
        "create_users",
        "link_by",
        "groups_claim",
        "group_map",
    ),
)

KINDS: Mapping[str, Kind] = {
    kind.noun: kind for kind in (SITE, CONNECTOR, TUNNEL, USER, GROUP, POLICY, IDENTITY_PROVIDER)
}
"""Every kind that administrators make by name, by its noun."""
