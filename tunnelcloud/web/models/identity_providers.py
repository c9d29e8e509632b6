"""Identity providers, as the API takes and shows them."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from tunnelcloud.domain.entities import LinkBy
from tunnelcloud.web.models.fields import Body, Change, Name, Text, Title
from tunnelcloud.web.models.objects import Named
from tunnelcloud.web.oidc.directory import is_usable_address


def _issuer(value: str) -> str:
    if not is_usable_address(value, value) or urlsplit(value).query:
        raise ValueError("use the provider's issuer, such as https://login.example.com/realms/corp")
    return value


Issuer = Annotated[Text, AfterValidator(_issuer), Field(max_length=1000)]
ClientId = Annotated[Text, Field(min_length=1, max_length=500)]
ClientSecret = Annotated[Text, Field(min_length=1, max_length=1000)]
Scopes = Annotated[
    list[Annotated[str, Field(pattern=r"^[!#-\[\]-~]{1,100}$")]], Field(max_length=20)
]
Claim = Annotated[Text, Field(max_length=200)]
GroupMap = Annotated[
    dict[Annotated[Text, Field(min_length=1, max_length=300)], Name], Field(max_length=200)
]
_LinkBy = Annotated[LinkBy, Field(strict=False)]


class IdentityProvider(Named):
    """An OpenID provider through which people sign in to the portal; its secret isn't shown."""

    issuer: str
    client_id: str
    has_client_secret: bool
    scopes: list[str]
    name_claim: str
    groups_claim: str
    group_map: dict[str, str]
    create_users: bool
    link_by: LinkBy
    enabled: bool
    redirect_uri: str = Field(description="What the provider has to be told about this service.")


class NewIdentityProvider(Body):
    """Makes an identity provider."""

    name: Name
    title: Title = ""
    issuer: Issuer
    client_id: ClientId
    client_secret: ClientSecret | None = None
    scopes: Scopes = ["openid", "profile", "email"]
    name_claim: Claim = "preferred_username"
    groups_claim: Claim = ""
    group_map: GroupMap = Field(
        default={}, description="The group here for a value of the groups claim."
    )
    create_users: bool = False
    link_by: _LinkBy = LinkBy.NOTHING
    enabled: bool = True


class IdentityProviderChange(Change):
    """Changes an identity provider; whoever has another issuer is another provider."""

    name: Name = ""
    title: Title = ""
    client_id: ClientId = ""
    client_secret: ClientSecret | None = None
    scopes: Scopes = []
    name_claim: Claim = ""
    groups_claim: Claim = ""
    group_map: GroupMap = {}
    create_users: bool = False
    link_by: _LinkBy = LinkBy.NOTHING
    enabled: bool = True
