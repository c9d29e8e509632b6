"""The tables.  A change here needs a migration; a test holds the two to each other.

What belongs to an object goes with it (CASCADE).  History (sessions, channels, audit) refers to
objects without a constraint, and so stays.
"""

from tunnelcloud.store.schema.approvals import approval_requests, timed_grants
from tunnelcloud.store.schema.common_columns import metadata
from tunnelcloud.store.schema.history import audit, channels, sessions
from tunnelcloud.store.schema.objects import (
    assignments,
    connector_certificates,
    connectors,
    group_members,
    groups,
    join_tokens,
    keys,
    pins,
    policies,
    saved_searches,
    sites,
    tokens,
    tunnels,
    user_names,
    users,
)
from tunnelcloud.store.schema.service import (
    attachments,
    authority,
    notices,
    pods,
    probes,
    settings,
    web_certificates,
)
from tunnelcloud.store.schema.signing_in import (
    api_tokens,
    device_logins,
    identities,
    identity_providers,
    invitations,
    recovery_codes,
    second_factors,
    sign_in_steps,
    web_sessions,
)

__all__ = [
    "api_tokens",
    "approval_requests",
    "assignments",
    "attachments",
    "audit",
    "authority",
    "channels",
    "connector_certificates",
    "connectors",
    "device_logins",
    "group_members",
    "groups",
    "identities",
    "identity_providers",
    "invitations",
    "join_tokens",
    "keys",
    "metadata",
    "notices",
    "pins",
    "pods",
    "policies",
    "probes",
    "recovery_codes",
    "saved_searches",
    "second_factors",
    "sessions",
    "settings",
    "sign_in_steps",
    "sites",
    "timed_grants",
    "tokens",
    "tunnels",
    "user_names",
    "users",
    "web_certificates",
    "web_sessions",
]
