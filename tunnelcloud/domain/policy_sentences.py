"""A policy's conditions in words, as people would say them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tunnelcloud.domain.durations import length_text
from tunnelcloud.domain.objects.policies import Approval, Policy
from tunnelcloud.domain.quantities import counted
from tunnelcloud.domain.schedule import DAYS, first_opening, never_opens, read_window

_EN_DASH = "\N{EN DASH}"
_DAYS = {"Mon-Fri": "weekdays", "Mon-Sun": "every day", "Sat,Sun": "weekends"}
_UNITS = {"d": "day", "h": "hour", "m": "minute", "s": "second"}


def length_of_time(seconds: int) -> str:
    """Give a length of time in its largest whole unit: ``8 hours``."""
    text = length_text(seconds)
    return counted(int(text[:-1]), _UNITS[text[-1]])


def waits_at(tunnel_name: str, policy: Policy, place: str) -> str:
    """Say in one line, to whoever opens a tunnel, what it waits for and where that is decided."""
    if policy.approval is Approval.SELF:
        return f"{tunnel_name}: a connection waits until you confirm it at {place}"
    return f"{tunnel_name}: a connection waits until it is approved at {place}"


def waiting_text(tunnel_name: str, user_name: str, policy: Policy, approvers: str) -> str:
    """Say for whom a connection waits, where an approval is all that is missing.

    :param approvers: the name of the policy's group of approvers; empty when it has none left.
    """
    wait = length_of_time(policy.approval_wait_seconds)
    waits = f"{tunnel_name}: a connection waits, for {wait} at most"
    if policy.approval is Approval.SELF:
        text = f"{waits}, until {user_name} confirms it in the portal"
    elif approvers:
        text = f"{waits}, until a member of group {approvers} other than {user_name} approves it"
    else:
        text = f"{waits}; nobody can approve it, as its policy has no group of approvers any more"
    if policy.emergency_seconds is not None:
        text += f"; in an emergency, {user_name} may open it at once"
    return text


def _window(text: str) -> str:
    """Word a window; one that goes over midnight says that it ends on the day after."""
    window = read_window(text)
    days, rest = str(window).split(" ", 1)
    times, zone = rest.split(" ", 1)
    days = _DAYS.get(days, days)
    if times == "00:00-24:00":
        return f"{days} all day {zone}"
    over_midnight = window.end <= window.start and not times.endswith("24:00")
    until = " of the next day" if over_midnight else ""
    return f"{days} {times.replace('-', _EN_DASH)}{until} {zone}"


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


def standing_sentence(policy: Policy, at: datetime) -> str:
    """Say whether a policy's dates and hours let anybody in at a time; empty without such.

    :param at: an aware time.
    """
    if policy.valid_until is not None and at >= policy.valid_until:
        return f"It ended on {_day(policy.valid_until.isoformat())}."
    if policy.valid_from is not None and at < policy.valid_from:
        return f"It begins on {_day(policy.valid_from.isoformat())}."
    ends = [end for one in policy.windows if (end := one.open_until(at)) is not None]
    if ends:
        return f"It is open now, until {_weekly(max(ends))}."
    if policy.windows:
        opening = first_opening(policy.windows, at)
        if opening is None:
            return f"It is {never_opens(policy.windows)}."
        return f"It is closed now, and opens {_weekly(opening)}."
    return ""


def _weekly(moment: datetime) -> str:
    return f"{DAYS[moment.weekday()]} {moment:%H:%M} {moment.tzinfo}"
