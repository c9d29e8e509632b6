"""The CA of pods and connectors as the API shows it."""

from __future__ import annotations

from pydantic import Field

from tunnelcloud.domain.key_rotation import KeyUse
from tunnelcloud.web.models.fields import Body, Instant, Shown


class Authority(Shown):
    """A CA: pods show certificates of the current one; connectors move to a new one."""

    fingerprint: str = Field(description="SHA-256 of its certificate.")
    use: KeyUse
    expires_at: Instant


class Authorities(Shown):
    """The CAs of pods and connectors, and how far connectors have moved to the newest."""

    authorities: list[Authority]
    connectors_moved: int = Field(description="Connectors with certificates of the newest CA.")
    connectors_left: int = Field(description="Connectors with certificates, and none of it.")
    left: list[str] = Field(description="The names of some of these.")
    join_tokens: int = Field(description="Unspent join tokens; they name the current CA.")


class Retirement(Body):
    """Whether to retire the old CA although some connectors still use it."""

    force: bool = Field(
        default=False, description="Connectors that haven't moved have to join anew then."
    )
