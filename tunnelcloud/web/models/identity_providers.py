"""Identity providers, as the API takes and shows them."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from tunnelcloud.domain.objects import IDENTITY_PROVIDER
from tunnelcloud.web.models.fields import Body, Id, Instant, Shown, Text
from tunnelcloud.web.models.object_models import change_model, new_model, shown_model
from tunnelcloud.web.oidc.directory import is_usable_address


def _issuer(value: str) -> str:
    if not is_usable_address(value, value) or urlsplit(value).query:
        raise ValueError("use the provider's issuer, such as https://login.example.com/realms/corp")
    return value


Issuer = Annotated[Text, AfterValidator(_issuer), Field(max_length=1000)]
ClientSecret = Annotated[Text, Field(min_length=1, max_length=1000)]
_SECRET: dict[str, Any] = {"client_secret": (ClientSecret | None, None)}

IdentityProvider = shown_model(
    IDENTITY_PROVIDER,
    "IdentityProvider",
    "An OpenID provider through which people sign in to the portal; its secret isn't shown.",
    has_client_secret=(bool, ...),
    checked_at=(
        Instant | None,
        Field(
            description="When it last answered as it should; null: the sign-in page doesn't offer"
            " it."
        ),
    ),
    check_fault=(
        str,
        Field(description="What was wrong at the last check; empty when nothing."),
    ),
    redirect_uri=(
        str,
        Field(description="What the provider has to be told about this service."),
    ),
)
NewIdentityProvider = new_model(
    IDENTITY_PROVIDER,
    "NewIdentityProvider",
    "Makes an identity provider.",
    issuer=(Issuer, ...),
    **_SECRET,
)
IdentityProviderChange = change_model(
    IDENTITY_PROVIDER,
    "IdentityProviderChange",
    "Changes an identity provider; its issuer never changes.",
    **_SECRET,
)


class Identity(Shown):
    """A user's account at an identity provider."""

    identity_provider_id: str
    provider_name: str
    subject: str = Field(description="What the provider calls them; it never changes there.")
    created_at: Instant
    last_used_at: Instant


class NewIdentity(Body):
    """Links a user with somebody at an identity provider."""

    identity_provider_id: Id
    subject: Annotated[Text, Field(min_length=1, max_length=255)]
