"""Conditions and consequences in words, as people would say them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from tunnelcloud.domain.counting import counted
from tunnelcloud.domain.event_sentences import event_sentence
from tunnelcloud.domain.events import KeptEvent
from tunnelcloud.domain.lengths import length_text
from tunnelcloud.store.consequences import Consequences

EN_DASH = "\N{EN DASH}"
_DAYS = {"Mon-Fri": "weekdays", "Mon-Sun": "every day", "Sat,Sun": "weekends"}
_OF_EVENTS = ("event", "actor", "actor_id", "user_name", "tunnel_name", "source_ip", "data")
_UNITS = {"d": "day", "h": "hour", "m": "minute", "s": "second"}


def listed(parts: list[str]) -> str:
    """Join words as a sentence does."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def length_of_time(seconds: int) -> str:
    """Give a length of time in its largest whole unit: ``8 hours``."""
    text = length_text(seconds)
    return counted(int(text[:-1]), _UNITS[text[-1]])


def _window(text: str) -> str:
    days, rest = text.split(" ", 1)
    times, zone = rest.split(" ", 1)
    return f"{_DAYS.get(days, days)} {times.replace('-', EN_DASH)} {zone}"


def _day(text: str) -> str:
    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def policy_sentence(policy: Mapping[str, Any]) -> str:
    """Say what a policy asks for, such as ``weekdays, from 10.0.0.0/8``.

    :param policy: as the API shows it.
    """
    parts = []
    if policy["windows"]:
        parts.append(" or ".join(_window(text) for text in policy["windows"]))
    if policy["source_networks"]:
        parts.append(f"from {' or '.join(policy['source_networks'])}")
    if policy["valid_from"]:
        parts.append(f"not before {_day(policy['valid_from'])}")
    if policy["valid_until"]:
        parts.append(f"until {_day(policy['valid_until'])}")
    if policy["max_session_seconds"]:
        parts.append(f"for {length_of_time(policy['max_session_seconds'])} at most")
    if policy["idle_seconds"]:
        parts.append(f"closed after {length_of_time(policy['idle_seconds'])} without traffic")
    for name, noun, after in (
        ("max_sessions", "session", "at once"),
        ("max_channels", "channel", "at once"),
        ("max_token_sessions", "session", "a token"),
    ):
        if policy[name] is not None:
            parts.append(f"{counted(policy[name], noun)} {after}")
    if policy["approval"] == "self":
        parts.append("after a confirmation in the portal")
    elif policy["approval"] == "others":
        parts.append("after an approval by others")
    return ", ".join(parts) or "always, from anywhere"


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
    """Say what deleting an object takes with it."""
    if cost.in_use:
        verb = "needs" if cost.in_use == 1 else "need"
        text = f"{counted(cost.in_use, 'assignment')} {verb} it: without it more would be allowed"
        return [f"{text} than was meant. Give them another policy first."]
    found = [cut_sentence(kind, cost)]
    if cost.objects:
        goes = [counted(count, noun) for noun, count in cost.objects]
        verb = "go" if len(goes) > 1 or not goes[0].startswith("1 ") else "goes"
        found.append(f"{listed(goes)} {verb} with it.")
    return found


def kept_event(item: Mapping[str, Any]) -> KeptEvent:
    """Give an event of the API's audit as the sentences have it."""
    return KeptEvent(**{name: item[name] for name in _OF_EVENTS})


def told_events(items: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Say what happened in some events of the API's audit, each with its time."""
    return [(item["at"], event_sentence(kept_event(item))) for item in items]
