"""Who did something, for the audit: an id, and a text that can't be mistaken.

The title of an API token is free text, and a connector may have the name of a user: only the id
says who did it.  The text names the kind of every actor that isn't a user.
"""

from __future__ import annotations

import re
from enum import StrEnum

from tunnelcloud.domain.entities import ID_PREFIXES
from tunnelcloud.domain.names import SYSTEM_NAME


class ActorKind(StrEnum):
    """The kinds of actors."""

    USER = "user"
    API_TOKEN = "api_token"  # noqa: S105  (a kind)
    CONNECTOR = "connector"
    IDENTITY_PROVIDER = "identity_provider"
    SYSTEM = "system"


_WORDS = {
    ActorKind.API_TOKEN: "API token",
    ActorKind.CONNECTOR: "connector",
    ActorKind.IDENTITY_PROVIDER: "identity provider",
}
_ONE_NAME = re.compile(r"[\w.@+:/=-]*")
_KINDS = {ID_PREFIXES[kind]: kind for kind in ActorKind if kind is not ActorKind.SYSTEM}


def actor_kind(actor_id: str | None) -> ActorKind:
    """Return an actor's kind, which its id carries; without an id it is the system."""
    return _KINDS.get((actor_id or "").partition("_")[0], ActorKind.SYSTEM)


def actor_text(kind: ActorKind, name: str) -> str:
    """Write an actor for people: a user by the bare name, everything else with its kind."""
    if kind is ActorKind.USER:
        return f"user {name}" if name == SYSTEM_NAME else name
    if kind is ActorKind.SYSTEM:
        return name or SYSTEM_NAME
    return f"{_WORDS[kind]} {in_quotes(name)}"


def in_quotes(text: str) -> str:
    """Put a text that anybody may have chosen in quotes, which it can't end."""
    return '"' + text.replace('"', "'") + '"'


def as_chosen(text: str) -> str:
    """Write such a text within a sentence: in quotes, unless it reads like a single name."""
    return text if _ONE_NAME.fullmatch(text) else in_quotes(text)
