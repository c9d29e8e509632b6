"""Sentences about consequences, as people would say them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tunnelcloud.domain.event_sentences import event_sentence
from tunnelcloud.domain.events import AuditRecord, KeptEvent
from tunnelcloud.domain.quantities import counted
from tunnelcloud.store.deletion_warnings import Consequences

_OF_EVENTS = ("event", "actor", "actor_id", "user_name", "tunnel_name", "source_ip", "data")


def listed(parts: list[str]) -> str:
    """Join words as a sentence does."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def cut_sentence(kind: str, cost: Consequences) -> str:
    """Say what is open now that taking an object away, or blocking a user, cuts off."""
    if kind == "user":
        if not cost.sessions:
            return "They have no session open now."
        within = f" with {counted(cost.channels, 'channel')}" if cost.people else ""
        return f"{counted(cost.sessions, 'session')}{within} will be cut off."
    if not cost.people:
        return "Nobody is connected through it now."
    verb = "is" if cost.people == 1 else "are"
    unless = ", unless something else allows it" if kind in ("group", "assignment") else ""
    return f"{counted(cost.people, 'person')} {verb} connected now; they will be cut off{unless}."


def cost_sentences(kind: str, cost: Consequences) -> list[str]:
    """Say what is deleted together with an object."""
    if cost.in_use:
        used, verb = counted(cost.in_use, "assignment"), "uses" if cost.in_use == 1 else "use"
        text = f"{used} {verb} this policy, and would allow more without it."
        return [f"{text} Choose another policy for {'it' if cost.in_use == 1 else 'them'} first."]
    found = [cut_sentence(kind, cost)]
    if cost.objects:
        goes = [counted(count, noun) for noun, count in cost.objects]
        verb = "are" if len(goes) > 1 or not goes[0].startswith("1 ") else "is"
        found.append(f"{listed(goes)} {verb} deleted, too.")
    return found


def kept_event(item: Mapping[str, Any]) -> KeptEvent:
    """Give an event of the API's audit as the sentences have it."""
    return KeptEvent(**{name: item[name] for name in _OF_EVENTS})


def told_events(
    items: Iterable[Mapping[str, Any]], groups: Mapping[str, str] | None = None
) -> list[tuple[str, str]]:
    """Say what happened in some events of the API's audit, each with its time.

    :param groups: names of groups by their ids, for assignments.
    """
    return [(item["at"], event_sentence(kept_event(item), groups)) for item in items]


def told_records(
    records: Iterable[AuditRecord], groups: Mapping[str, str]
) -> list[tuple[str, str]]:
    """Say the same of records of the store.

    :param groups: as ``told_events`` takes them.
    """
    return [(one.at.isoformat(), event_sentence(one.event, groups)) for one in records]
