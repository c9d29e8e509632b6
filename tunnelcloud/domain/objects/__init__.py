"""The objects that administrators create, with the description of each field, and the table of
kinds.

Times are aware datetimes in UTC, lengths of time are seconds, ids are strings that ``new_id`` made.
A value may refer to an object that is gone, but it is valid in itself: input is validated before it
becomes one.
"""

from __future__ import annotations

from collections.abc import Mapping

from tunnelcloud.domain.kinds import Kind, kind_of
from tunnelcloud.domain.objects.identity_providers import IdentityProvider
from tunnelcloud.domain.objects.policies import Policy
from tunnelcloud.domain.objects.sites import Connector, Site, Tunnel
from tunnelcloud.domain.objects.users import Group, User

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
