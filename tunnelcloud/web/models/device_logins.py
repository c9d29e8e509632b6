"""Command lines that sign in, as the API takes and shows them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tunnelcloud.web.models.fields import Body, Instant, Shown, Text


class NewDeviceLogin(Body):
    """Asks to sign a command line in."""

    client: Annotated[Text, Field(min_length=1, max_length=100)]


class DeviceLogin(Shown):
    """What a command line keeps (the device code) and shows to its user (the rest)."""

    device_code: str = Field(repr=False)
    user_code: str
    verification_url: str
    expires_in: int = Field(description="Seconds.")
    interval: int = Field(description="Seconds to wait between two questions.")


class DeviceTokenRequest(Body):
    """Asks whether somebody has allowed it."""

    device_code: Annotated[Text, Field(min_length=1, max_length=256, repr=False)]


class DeviceToken(Shown):
    """The state of a sign-in; with ``allowed`` it has a token, once."""

    status: str = Field(description="pending, too_soon, denied, over or allowed.")
    token: str | None = Field(default=None, repr=False)
    expires_at: Instant | None = None
    user: str | None = None
