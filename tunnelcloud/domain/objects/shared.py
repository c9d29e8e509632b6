"""Settings that several kinds of objects have."""

from __future__ import annotations

from typing import Annotated, Any

from tunnelcloud.domain.kinds import FieldType, Setting

Name = Annotated[str, Setting(FieldType.NAME, "Name", "1 to 63 characters: a-z, 0-9 and -")]


def title_setting(
    label: str = "Title", hint: str = "Optional: free text for people", **more: Any
) -> Setting:
    """Describe a title, which a kind may call by another name."""
    return Setting(
        FieldType.TEXT, label, hint, help="A text for people.",
        maximum=200, decides=False, initial="", **more,
    )  # fmt: skip
