"""Models of sources and users that have to wait before they may try to sign in again."""

from __future__ import annotations

import enum
from typing import Annotated

from pydantic import Field

from tunnelcloud.web.models.fields import Body, Instant, Shown, Text


class Door(enum.StrEnum):
    """The way in that is closed to somebody."""

    SSH = "ssh"
    PORTAL = "portal"
    CODES = "codes"
    """Where somebody who is signed in confirms what command lines show."""


class Lockout(Shown):
    """A source or a name that is kept out for now."""

    door: Door
    source: str = Field(description="An address or a network; empty for a browser that is known.")
    name: str = Field(description="The name that was tried; empty for all of the source.")
    since: Instant
    until: Instant


class Lockouts(Shown):
    """All of them, as the pod that answers knows: it hears of what others see within 2 s."""

    items: list[Lockout]


class Lift(Body):
    """Lets one of them try again at once."""

    door: Annotated[Door, Field(strict=False)]
    source: Text = ""
    name: Text = ""
