"""Confirming an SSH login: the page shows which client asks, as whom and from where.

The link has the code, which the terminal shows as well: whoever confirms compares the two.  A link
that somebody was sent leads here, too, so the page says what comes of it; from another network than
the browser's it takes a tick more, or isn't possible at all where the pod is set so.
"""

from __future__ import annotations

from http import HTTPStatus
from math import ceil

from attrs import frozen

from tunnelcloud.domain.addresses import source_group
from tunnelcloud.domain.names import parse_login
from tunnelcloud.domain.objects.users import User
from tunnelcloud.domain.tokens import read_user_code
from tunnelcloud.store import browser_logins
from tunnelcloud.store.device_logins import DeviceLogin
from tunnelcloud.web.portal.page_requests import Moved, PageRoute, Reply, Shown, Visit
from tunnelcloud.web.portal.password_attempts import SignInAttempts, guess_at_code
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import EVERYBODY

_GONE = "No SSH login waits with this code. It has expired or was decided already: connect again."
_UNTICKED = "Tick the box if the code is the one that your own terminal shows."
_NOT_FROM_HERE = (
    "This pod lets nobody confirm an SSH login from another network than the one it comes from. "
    "Use a one-time token instead."
)


def browser_login_pages(context: ApiContext, attempts: SignInAttempts) -> list[PageRoute]:
    """Make the rows of the page table for confirming SSH logins."""
    handlers = _BrowserLogins(context, attempts)
    return [
        PageRoute("GET", "/l/{code}", EVERYBODY, handlers.show),
        PageRoute("POST", "/l/{code}", EVERYBODY, handlers.decide),
    ]


@frozen
class _BrowserLogins:
    context: ApiContext
    attempts: SignInAttempts

    async def show(self, visit: Visit) -> Reply:
        """Show the login that waits, without deciding anything."""
        found = await self._find(visit)
        return found if isinstance(found, Shown) else self._page(visit, found)

    async def decide(self, visit: Visit) -> Reply:
        found = await self._find(visit)
        if isinstance(found, Shown):
            return found
        user, allowed = visit.who().user, visit.typed("answer") == "allow"
        if allowed and (why := self._obstacle(found, user, visit)):
            return self._page(visit, found, why)
        if allowed and _is_elsewhere(found, visit) and visit.typed("compared") != "on":
            return self._page(visit, found, _UNTICKED)
        decided = await self.context.acting_as(visit.who().caller).write(
            browser_logins.decide, found.user_code, user.id, allowed=allowed
        )
        if not decided:
            return _gone()
        self.attempts.forget(guess_at_code(visit))
        if allowed:
            return Moved("/sessions", note="You confirmed the login: press Return in your terminal")
        return Moved("/sessions", note="The SSH login was refused.")

    def _obstacle(self, found: DeviceLogin, user: User, visit: Visit) -> str:
        """Say why this user can't confirm a login; empty for nothing."""
        if _is_elsewhere(found, visit) and self.context.browser_login == "same-network":
            return _NOT_FROM_HERE
        login = parse_login((found.login_name or "").encode())
        if login is None or login.user not in (None, user.name, user.email):
            return (
                f"It asks to log in as {found.login_name}, and you are signed in as {user.name}: "
                "you can't confirm it. Connect again under your own name."
            )
        return ""

    def _page(self, visit: Visit, found: DeviceLogin, error: str = "") -> Shown:
        obstacle = self._obstacle(found, visit.who().user, visit)
        return Shown(
            "browser_login.html",
            {
                "code": found.user_code,
                "client": found.client,
                "login_name": found.login_name,
                "source_ip": found.source_ip,
                "own_ip": visit.source_ip,
                "elsewhere": _is_elsewhere(found, visit),
                "created_at": found.created_at.isoformat(),
                "obstacle": obstacle,
                "error": "" if error == obstacle else error,
            },
            HTTPStatus.UNPROCESSABLE_ENTITY if error else HTTPStatus.OK,
        )

    async def _find(self, visit: Visit) -> DeviceLogin | Shown:
        """Find the login with the code; guessing is slowed."""
        guess = guess_at_code(visit)
        wait = ceil(self.attempts.begin(guess))
        if wait:
            return _gone(f"Too many attempts: try again in {wait} s.", wait)
        code = read_user_code(visit.params["code"])
        found = None
        if code is not None:
            with self.attempts.unless_unavailable(guess):
                found = await self.context.store.read(browser_logins.find, code)
        if found is None:
            return _gone()
        # Whoever has a code that waits can look at it as often as they like: the guesses stay.
        self.attempts.take_back(guess)
        return found


def _is_elsewhere(found: DeviceLogin, visit: Visit) -> bool:
    return source_group(found.source_ip) != source_group(visit.source_ip)


def _gone(error: str = _GONE, wait: int = 0) -> Shown:
    return Shown(
        "browser_login_gone.html",
        {"error": error},
        HTTPStatus.TOO_MANY_REQUESTS if wait else HTTPStatus.NOT_FOUND,
        {"Retry-After": str(wait)} if wait else {},
    )
