"""Sites, connectors and tunnels, with the description of each field."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Annotated

from attrs import frozen

from tunnelcloud.domain.kinds import FieldType, Setting
from tunnelcloud.domain.objects.shared import Name, title_setting

ICONS = ("postgres", "mysql", "redis", "mongodb", "database", "rdp", "ssh", "web", "generic")
"""Names of the pictures that may stand for a tunnel."""


class TargetCheck(enum.StrEnum):
    """How far a target's check goes: whether it accepts connections, or also its certificate."""

    TCP = "tcp"
    TLS = "tls"


@frozen(order=True)
class PortRange:
    """Ports ``first`` to ``last``, both included."""

    first: int
    last: int

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"

    def __contains__(self, port: int) -> bool:
        return self.first <= port <= self.last

    def __len__(self) -> int:
        return self.last - self.first + 1


@frozen
class Site:
    """A private network with connectors and tunnels."""

    id: str
    name: Name
    title: Annotated[str, title_setting(heading="title", spare=True)]
    created_at: datetime
    muted: Annotated[
        bool,
        Setting(
            FieldType.FLAG, "Muted: no notices of this site and its targets",
            option="--muted/--told", help="Whether notices about it and its targets are off.",
            folded=True, decides=False,
        ),
    ] = False  # fmt: skip


@frozen
class Connector:
    """A connector as it is known to the store; whether it is attached is for the pods to say."""

    id: str
    name: Name
    title: Annotated[str, title_setting()]
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
    # The pin of the CA whose certificate it has shown, or said that it uses; empty: not known.
    authority: str = ""


@frozen
class Tunnel:
    """A published TCP service: one target address, its ports, in a site."""

    id: str
    name: Name
    title: Annotated[str, title_setting(folded=True)]
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
        """Tell whether ``port`` is one of the target ports."""
        return any(port in ports for ports in self.target_ports)
