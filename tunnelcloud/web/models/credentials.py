"""Models of credentials, and of the identities that they prove."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from tunnelcloud.domain.entities import Method
from tunnelcloud.domain.key_rotation import KeyUse
from tunnelcloud.domain.objects import TUNNEL
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.pki.public_keys import read_public_key
from tunnelcloud.web.models.fields import (
    WHOLE,
    Body,
    Change,
    Id,
    Instant,
    PageQuery,
    Shown,
    Text,
    Title,
    Words,
)
from tunnelcloud.web.models.object_models import shown_model, shown_record
from tunnelcloud.web.models.tunnels import STANDING
from tunnelcloud.web.models.users import User

# Its length is no field's limit but the format's: no shorter and no longer text is a key.
PublicKey = Annotated[
    str, AfterValidator(read_public_key), Field(json_schema_extra={"format": "ssh-public-key"})
]


class Key(Shown):
    """A dedicated SSH public key of one user."""

    id: str
    title: str
    created_at: Instant
    user_id: str
    public_key: str
    fingerprint: str
    expires_at: Instant | None
    last_used_at: Instant | None
    last_used_from: str | None


class NewKey(Body):
    """Registers a public key."""

    public_key: PublicKey
    title: Title = ""
    expires_at: Instant | None = None


class KeyChange(Change):
    """Changes a key's title or its expiry."""

    title: Title = ""
    expires_at: Instant | None = None


class Token(Shown):
    """A one-time token, without its secret."""

    id: str
    created_at: Instant
    user_id: str
    tunnel_id: str | None
    expires_at: Instant
    sessions: int
    sessions_used: int
    used_at: Instant | None
    used_from: str | None
    revoked_at: Instant | None


class TokenQuery(PageQuery):
    """Asks for tokens."""

    user_id: Text | None = None
    tunnel_id: Text | None = None


class NewOwnToken(Body):
    """Makes a one-time token for oneself."""

    tunnel_id: Id | None = None
    sessions: Annotated[int, Field(ge=1, le=8), WHOLE] = 1


class NewToken(NewOwnToken):
    """Makes a one-time token for a user."""

    user_id: Id


class TokenMade(Shown):
    """A new one-time token with its secret and the command to use it; shown once.

    ``warnings`` say why it opens nothing now.
    """

    id: str
    token: str = Field(repr=False)
    expires_at: Instant
    command: str = Field(repr=False)
    warnings: list[str]


class ApiToken(Shown):
    """A bearer token of this API, without its secret."""

    id: str
    title: str
    created_at: Instant
    role: Role
    user_id: str | None = Field(description="Whose it is; null for no user's.")
    made_by: str = Field(description="Who made it, by the name then; empty where not known.")
    made_by_id: str | None
    expires_at: Instant | None
    last_used_at: Instant | None


class NewApiToken(Body):
    """Makes a bearer token."""

    title: Title = ""
    role: Annotated[Role, Field(strict=False)] = Role.USER
    user_id: Id | None = None
    expires_at: Instant | None = None


class ApiTokenChange(Change):
    """Changes an API token's title or its expiry."""

    title: Title = ""
    expires_at: Instant | None = None


class ApiTokenQuery(PageQuery):
    """Asks for API tokens."""

    user_id: Text | None = None
    role: Role | None = None
    q: Words | None = None


class ApiTokenMade(ApiToken):
    """A new bearer token with its secret; shown once."""

    token: str = Field(repr=False)


class Invitation(Shown):
    """A one-time link by which a user sets a password; shown once."""

    url: str = Field(repr=False)
    expires_at: Instant


class HostKey(Shown):
    """An SSH host key: its fingerprint as ``ssh`` shows it, and a line for every address.

    Pods prove themselves with a current one; a new one takes its place once clients have learnt it.
    """

    algorithm: str
    fingerprint: str
    use: KeyUse
    known_hosts: list[str]


MyTunnel = shown_model(
    TUNNEL,
    "MyTunnel",
    "A tunnel of the caller's, and how to open it.",
    **STANDING,
    methods=(list[Method], ...),
    command=(str, ...),
    ssh_address=(
        str,
        Field(description="Where SSH clients reach the pods, as host:port."),
    ),
)
Me = shown_record("Me", "Who the caller is.", role=(Role, ...), user=(User | None, ...))
