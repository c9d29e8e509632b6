"""Sealed cookies that a browser keeps for the pod: nobody else can read, change or displace them.

They aren't in the store, because a stranger could fill it with them.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field, frozen

from tunnelcloud.pki.sealing import CannotUnseal
from tunnelcloud.web.resources.context import ApiContext

_STEPS = "sign-ins at a provider"
_MOST_STEPS = 3
_LONGEST_ADDRESS = 500
_MOST_SPENT = 10_000

_ONCE = "what a page shows once"
ONCE_SECONDS = 120
_UNFINISHED = "a form that was sent after its sign-in had ended"
UNFINISHED_SECONDS = 30 * 60
LONGEST_SEALED = 3800
"""Bytes that a browser keeps under one name for certain, with the name and what goes with it."""

_DEVICE = "device"
DEVICE_SECONDS = 180 * 24 * 60 * 60
_MOST_USERS = 5


def _seal(context: ApiContext, value: Any, purpose: str) -> str:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    raw = text.encode("utf-8", "surrogatepass")
    return base64.urlsafe_b64encode(context.sealer.seal(raw, purpose)).decode("ascii").rstrip("=")


def _open(context: ApiContext, text: str, purpose: str) -> Any:
    """Return the sealed content; None for anything else."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        return json.loads(context.sealer.open(raw, purpose))
    except (CannotUnseal, binascii.Error, ValueError):
        return None


@frozen
class ProviderStep:
    """A browser that went to an identity provider and has not come back.

    :ivar secret: the secret to which the provider's answer is bound.
    :ivar next_page: where to go once signed in.
    :ivar expires_at: in seconds since the epoch.
    :ivar tester_id: of the administrator who tries the provider; empty for a sign-in.
    """

    secret: str = field(repr=False)
    provider_id: str
    next_page: str
    expires_at: float
    tester_id: str = ""


@define(eq=False)
class ProviderSteps:
    """The steps that a browser keeps: several, for people sign in from several tabs."""

    context: ApiContext
    _spent: OrderedDict[str, float] = field(factory=OrderedDict)

    def read(self, kept: str) -> list[ProviderStep]:
        """Give the steps that are neither over nor taken."""
        found = _open(self.context, kept, _STEPS) if kept else None
        now = self.context.now().timestamp()
        steps = [ProviderStep(*one) for one in found or ()]
        return [one for one in steps if one.expires_at > now and one.secret not in self._spent]

    def write(self, steps: Sequence[ProviderStep]) -> str:
        """Return the cookie to keep; of many steps the last ones."""
        rows = [
            (one.secret, one.provider_id, _short(one.next_page), one.expires_at, one.tester_id)
            for one in steps[-_MOST_STEPS:]
        ]
        return _seal(self.context, rows, _STEPS) if rows else ""

    def take(self, step: ProviderStep) -> None:
        """Mark a step as used on this pod; on other pods its code no longer works."""
        self._spent[step.secret] = step.expires_at
        if len(self._spent) > _MOST_SPENT:
            self._spent.popitem(last=False)


def _short(address: str) -> str:
    return address if len(address) <= _LONGEST_ADDRESS else "/"


@frozen
class Device:
    """A browser that somebody has signed in from.

    :ivar id: of this browser; empty for one that nobody signed in from lately.
    """

    id: str = ""
    user_ids: tuple[str, ...] = ()
    until: float = 0.0

    def id_for(self, user_id: str) -> str:
        """Give the id if this user signed in here before; empty for anybody else."""
        return self.id if user_id in self.user_ids else ""


def read_device(context: ApiContext, kept: str) -> Device:
    """Read what a browser keeps of who signed in from it."""
    found = _open(context, kept, _DEVICE) if kept else None
    if found is None or found[2] <= context.now().timestamp():
        return Device()
    return Device(found[0], tuple(found[1]), found[2])


def write_device(context: ApiContext, device: Device, user_id: str) -> str:
    """Return the cookie to keep once somebody has signed in."""
    others = [one for one in device.user_ids if one != user_id]
    kept = [*others, user_id][-_MOST_USERS:]
    until = context.now().timestamp() + DEVICE_SECONDS
    return _seal(context, (device.id or context.random(16).hex(), kept, until), _DEVICE)


def write_once(context: ApiContext, place: str, values: Mapping[str, Any]) -> str:
    """Return the cookie that carries content to a page which shows it once.

    :param place: the page and the sign-in that it is for: nothing else can read it.
    """
    until = context.now().timestamp() + ONCE_SECONDS
    return _seal(context, [place, until, dict(values)], _ONCE)


def read_once(context: ApiContext, place: str, kept: str) -> dict[str, Any]:
    """Return what a page shows once; empty if there is none, or it is another page's or late."""
    found = _open(context, kept, _ONCE) if kept else None
    if found is None or found[0] != place or found[1] <= context.now().timestamp():
        return {}
    values: dict[str, Any] = found[2]
    return values


@frozen
class Unfinished:
    """A form that was sent after its sign-in had ended.

    :ivar path: where it was sent.
    :ivar fields: their names and what was typed, without the proof.
    """

    path: str
    fields: tuple[tuple[str, str], ...] = field(repr=False)


def write_unfinished(context: ApiContext, user_id: str, form: Unfinished) -> str:
    """Give what a browser keeps of a form for the user who sent it; empty for one too long."""
    until = context.now().timestamp() + UNFINISHED_SECONDS
    sealed = _seal(context, [user_id, until, form.path, form.fields], _UNFINISHED)
    return sealed if len(sealed) <= LONGEST_SEALED else ""


def read_unfinished(context: ApiContext, user_id: str, kept: str) -> Unfinished | None:
    """Read the form that a browser keeps; None for nothing, another user's, or too late."""
    found = _open(context, kept, _UNFINISHED) if kept else None
    if found is None or found[0] != user_id or found[1] <= context.now().timestamp():
        return None
    return Unfinished(found[2], tuple((name, value) for name, value in found[3]))
