"""Models of what is set for all pods."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tunnelcloud.web.models.fields import WHOLE, Change, Shown


class Settings(Shown):
    """What is set for all pods."""

    audit_retention_days: int | None
    audit_max_mib: int | None
    session_retention_days: int | None
    target_check_seconds: int | None


MOST_DAYS = 36_500
LEAST_CHECK_SECONDS, MOST_CHECK_SECONDS = 10, 86_400
_Days = Annotated[int, Field(ge=1, le=MOST_DAYS), WHOLE]


class SettingsChange(Change):
    """Changes what is set for all pods; null is for ever, or never."""

    audit_retention_days: _Days | None = Field(
        default=None, description="How long events are kept; null for ever."
    )
    audit_max_mib: Annotated[int, Field(ge=1, le=1_048_576), WHOLE] | None = Field(
        default=None,
        description="About how much room all events may take, in MiB: the oldest go first; null"
        " for any.",
    )
    session_retention_days: _Days | None = Field(
        default=None, description="How long past sessions and their channels are; null for ever."
    )
    target_check_seconds: (
        Annotated[int, Field(ge=LEAST_CHECK_SECONDS, le=MOST_CHECK_SECONDS), WHOLE] | None
    ) = Field(
        default=None,
        description="How often the way to each tunnel's target is tried; null for never.",
    )
