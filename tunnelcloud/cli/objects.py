"""The things that have a name, as data: their options, their columns, what refers to what.

One row an option; `crud` makes `create list show set delete` of them.  A new field of the API is
a new row here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import click
from attrs import frozen

from tunnelcloud.cli.output import shown, shown_seconds, shown_time
from tunnelcloud.cli.parameters import count, duration, secret, time, whole

ROLES = ("user", "auditor", "admin")
CHECKS = ("tcp", "tls")


@frozen
class Option:
    """An option of C{create} and C{set}, and the field of the API it fills.

    :ivar kind: reads the text; None for a switch such as C{--service/--no-service}.
    :ivar refers: the noun whose name or id is expected.
    :ivar required: that C{create} can't do without it.
    :ivar fixed: that C{set} doesn't have it.
    :ivar pairs: that it may be repeated, each time as C{VALUE=NAME}.
    :ivar clears: that C{set} may be given an empty text, to take the value away.
    """

    flag: str
    field: str
    help: str
    kind: Callable[[str], object] | click.ParamType[Any] | None = str
    many: bool = False
    refers: str | None = None
    required: bool = False
    clears: bool = False
    pairs: bool = False
    fixed: bool = False


@frozen
class Column:
    """A column of a table: its heading, the API's field, and how a value is shown.

    :ivar spare: that a narrow terminal may do without it.
    """

    heading: str
    field: str
    show: Callable[[object], str] = shown
    refers: str | None = None
    spare: bool = False


@frozen
class Noun:
    """A kind of thing that has a name: how it is said, where it lives, what it has."""

    name: str
    help: str
    options: tuple[Option, ...]
    columns: tuple[Column, ...]


TITLE = Option("--title", "title", "A free text for people.")
_NAME = Column("name", "name")
_TITLE = Column("title", "title", spare=True)
_ID = Column("id", "id", spare=True)
_SITE = Column("site", "site_id", refers="site")

SITE = Noun("site", "Private networks with connectors and tunnels.", (TITLE,), (_NAME, _TITLE, _ID))

CONNECTOR = Noun(
    "connector",
    "Processes in a site that dial out to the pods.",
    (
        Option("--site", "site_id", "The site it serves.", refers="site", required=True),
        TITLE,
    ),
    (
        _NAME,
        _SITE,
        Column("status", "status"),
        Column("version", "version", spare=True),
        Column("last seen", "last_seen_at", shown_time, spare=True),
        _ID,
    ),
)

TUNNEL = Noun(
    "tunnel",
    "Published TCP services.",
    (
        Option("--site", "site_id", "The site of the target.", refers="site", required=True),
        Option(
            "--address",
            "target_address",
            "The target: a DNS name, an IPv4 or an IPv6 address.",
            required=True,
        ),
        Option(
            "--port",
            "target_ports",
            "A port or a range such as 8000-8010; may be repeated.",
            many=True,
            required=True,
        ),
        Option(
            "--external-address",
            "external_address",
            "The host name that SSH clients connect to.",
            clears=True,
        ),
        Option(
            "--local-port-offset",
            "local_port_offset",
            "Added to a target port for the local port.",
            whole,
        ),
        Option("--enabled/--disabled", "enabled", "Whether it may be opened.", None),
        Option(
            "--check",
            "target_check",
            "Check that the target accepts (tcp), or also its certificate (tls).",
            click.Choice(CHECKS),
        ),
        Option("--icon", "icon", "The picture in the portal."),
        Option("--description", "description", "What it is, for the portal."),
        TITLE,
    ),
    (
        _NAME,
        _SITE,
        Column("address", "target_address"),
        Column("ports", "target_ports"),
        Column("external address", "external_address", spare=True),
        Column("enabled", "enabled", spare=True),
        _ID,
    ),
)

USER = Noun(
    "user",
    "People and service accounts.",
    (
        Option("--email", "email", "Also a login name.", clears=True),
        Option("--role", "role", "What the user may do in the portal.", click.Choice(ROLES)),
        Option("--service/--person", "service", "Whether it is a service account.", None),
        TITLE,
    ),
    (
        _NAME,
        Column("email", "email"),
        Column("role", "role"),
        Column("service", "service", spare=True),
        Column("blocked", "blocked", spare=True),
        _ID,
    ),
)

GROUP = Noun("group", "Users that are assigned together.", (TITLE,), (_NAME, _TITLE, _ID))

IDENTITY_PROVIDER = Noun(
    "identity-provider",
    "OpenID providers through which people sign in.",
    (
        Option("--issuer", "issuer", "What the provider calls itself, an https URL.", fixed=True,
               required=True),
        Option("--client-id", "client_id", "What it calls this service.", required=True),
        Option("--client-secret-file", "client_secret", "A file that holds the client secret.",
               secret),
        Option("--scope", "scopes", "Beside openid; may be repeated.", many=True),
        Option("--name-claim", "name_claim", "The claim that names the user."),
        Option("--groups-claim", "groups_claim", "The claim that lists groups."),
        Option("--group", "group_map", "VALUE=GROUP: who has the value is in the group; repeats.",
               many=True, pairs=True),
        Option("--create-users/--known-users", "create_users", "Whether newcomers become users.",
               None),
        Option("--link-by", "link_by", "What finds users that are there already.",
               click.Choice(("nothing", "email", "name"))),
        Option("--enabled/--disabled", "enabled", "Whether people may come through it.", None),
        TITLE,
    ),
    (
        _NAME,
        Column("issuer", "issuer"),
        Column("client id", "client_id"),
        Column("enabled", "enabled"),
        Column("redirect uri", "redirect_uri", spare=True),
        _ID,
    ),
)  # fmt: skip

_limit = partial(Option, kind=count, clears=True)

POLICY = Noun(
    "policy",
    "Conditions that must all hold.",
    (
        Option("--source", "source_networks", "A network such as 10.0.0.0/8; repeats.", many=True),
        Option("--window", "windows", "'Mon-Fri 09:00-18:00 Europe/Paris'; repeats.", many=True),
        Option("--from", "valid_from", "Not before; a date is its 00:00.", time, clears=True),
        Option("--until", "valid_until", "Not after; a date is its 00:00.", time, clears=True),
        Option("--max-session", "max_session_seconds", "Such as 8h.", duration, clears=True),
        Option("--idle", "idle_seconds", "Ends a channel without traffic.", duration, clears=True),
        _limit("--max-channels", "max_channels", "Channels at once, of one user."),
        _limit("--max-sessions", "max_sessions", "Sessions at once, of one user."),
        _limit("--max-token-sessions", "max_token_sessions", "Sessions that one token may open."),
        TITLE,
    ),
    (
        _NAME,
        Column("sources", "source_networks"),
        Column("windows", "windows"),
        Column("from", "valid_from", shown_time, spare=True),
        Column("until", "valid_until", shown_time, spare=True),
        Column("max session", "max_session_seconds", shown_seconds, spare=True),
        Column("idle", "idle_seconds", shown_seconds, spare=True),
        _ID,
    ),
)
