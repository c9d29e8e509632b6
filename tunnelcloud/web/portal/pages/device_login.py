"""Signing a command line in: the page shows which client asks, and from where.

The code is typed, never taken from the address: whoever sends a link can't have it filled in.
"""

from __future__ import annotations

from http import HTTPStatus
from math import ceil
from typing import Any

from attrs import frozen

from tunnelcloud.domain.addresses import source_group
from tunnelcloud.domain.tokens import read_user_code
from tunnelcloud.store import device_logins
from tunnelcloud.web.portal.page_requests import Moved, PageRoute, Reply, Shown, Visit
from tunnelcloud.web.portal.password_attempts import SignInAttempts, guess_at_code
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import EVERYBODY

_WRONG = "No command line waits with this code. Check the code, or run the command again."


def device_pages(context: ApiContext, attempts: SignInAttempts) -> list[PageRoute]:
    """Make the rows of the page table for letting command lines in."""
    handlers = _Device(context, attempts)
    return [
        PageRoute("GET", "/device", EVERYBODY, handlers.form),
        PageRoute("POST", "/device", EVERYBODY, handlers.look),
        PageRoute("POST", "/device/decide", EVERYBODY, handlers.decide),
    ]


@frozen
class _Device:
    context: ApiContext
    attempts: SignInAttempts

    async def form(self, visit: Visit) -> Reply:
        if not visit.once:
            return _form(visit)
        found = await self.context.store.read(device_logins.find, visit.once["code"])
        return _form(visit, _WRONG) if found is None else _confirm(visit, found)

    async def look(self, visit: Visit) -> Reply:
        """Show the command line with a code, without deciding anything."""
        found = await self._find(visit)
        if isinstance(found, Shown):
            return found
        return Moved("/device", once={"code": found.user_code})

    async def decide(self, visit: Visit) -> Reply:
        found = await self._find(visit)
        if isinstance(found, Shown):
            return found
        allowed = visit.typed("answer") == "allow"
        decided = await self.context.acting_as(visit.who().caller).write(
            device_logins.decide, found.user_code, visit.who().user.id, allowed=allowed
        )
        if not decided:
            return _form(visit, _WRONG)
        self.attempts.forget(guess_at_code(visit))
        if allowed:
            note = "You allowed it: the command line is signed in as you in a moment. Go back to it"
            return Moved("/account#command-lines", note=note)
        return Moved("/account#command-lines", note="The command line was refused.")

    async def _find(self, visit: Visit) -> device_logins.DeviceLogin | Shown:
        """Find the command line with the typed code; guessing is slowed."""
        guess = guess_at_code(visit)
        wait = ceil(self.attempts.begin(guess))
        if wait:
            return _form(visit, f"Too many attempts: try again in {wait} s.", wait)
        code = read_user_code(visit.typed("code"))
        found = None
        if code is not None:
            with self.attempts.unless_unavailable(guess):
                found = await self.context.store.read(device_logins.find, code)
        if found is None:
            return _form(visit, _WRONG)
        # Whoever has a code that waits can look at it as often as they like: the guesses stay.
        self.attempts.take_back(guess)
        return found


def _confirm(visit: Visit, found: device_logins.DeviceLogin) -> Shown:
    values: dict[str, Any] = {
        "code": found.user_code,
        "client": found.client,
        "source_ip": found.source_ip,
        "own_ip": visit.source_ip,
        "elsewhere": source_group(found.source_ip) != source_group(visit.source_ip),
        "created_at": found.created_at.isoformat(),
    }
    return Shown("device_confirm.html", values)


def _form(visit: Visit, error: str = "", wait: int = 0) -> Shown:
    status = HTTPStatus.UNPROCESSABLE_ENTITY if error else HTTPStatus.OK
    return Shown(
        "device.html",
        {"error": error, "typed": visit.typed("code")},
        HTTPStatus.TOO_MANY_REQUESTS if wait else status,
        {"Retry-After": str(wait)} if wait else {},
    )
