"""Sign-ins as browsers keep them: cookies, and the proof that a form was one of ours.

The cookie holds a secret of 256 bits, the store its hash.  What a form sends back is made from
the cookie's secret: who has only the cookie to ride on doesn't know it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import timedelta
from urllib.parse import quote, unquote_plus, urlsplit

from attrs import frozen
from twisted.web.iweb import IRequest

from tunnelcloud.domain.addresses import is_loopback
from tunnelcloud.domain.objects.users import User
from tunnelcloud.domain.tokens import hash_secret
from tunnelcloud.store import pending_counts, web_sessions
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.store.web_sessions import WebSession
from tunnelcloud.web.portal.page_requests import SignedIn
from tunnelcloud.web.portal.sealed_cookies import DEVICE_SECONDS, ONCE_SECONDS, UNFINISHED_SECONDS
from tunnelcloud.web.resources.context import ApiContext

IDLE_SECONDS = 12 * 60 * 60
LONGEST = timedelta(days=7)
_TOUCHED_EVERY = timedelta(minutes=5)
_SESSION = "tunnelcloud"
_FORM = "tunnelcloud-form"
_NOTE = "tunnelcloud-note"
_MAX_NOTE = 500
_STEP = "tunnelcloud-step"
_DEVICE = "tunnelcloud-device"
_ONCE = "tunnelcloud-once"
_UNFINISHED = "tunnelcloud-unfinished"
_TOOLS = "tunnelcloud-tools"
_TOOLS_SECONDS = 400 * 24 * 60 * 60
_MAX_VALUE = 4000


@frozen
class Cookies:
    """The cookies of one request, and those of its answer.

    :ivar secure: whether they are for TLS only; their names then bind them to this host.
    """

    request: IRequest
    secure: bool

    def session(self) -> str:
        """Give the secret of a sign-in; empty without one."""
        return self._get(_SESSION)

    def form(self) -> str:
        """Give the secret behind the forms of a visitor who isn't signed in."""
        return self._get(_FORM)

    def step(self) -> str:
        """Give the secret of a sign-in that is half done; empty without one."""
        return self._get(_STEP)

    def device(self) -> str:
        """Give what this browser keeps of who signed in from it."""
        return self._get(_DEVICE)

    def keep_session(self, secret: str) -> None:
        """Keep the secret of a sign-in as long as the browser runs; empty forgets it."""
        self._set(_SESSION, secret)

    def keep_form(self, secret: str) -> None:
        """Keep the secret behind the forms."""
        self._set(_FORM, secret)

    def keep_note(self, text: str) -> None:
        """Keep what was done for the next page."""
        self._set(_NOTE, quote(text[:_MAX_NOTE], safe=" ").replace(" ", "+"))

    def take_note(self) -> str:
        """Give what was done before this page, once; empty for nothing."""
        value = self.request.getCookie(self._name(_NOTE).encode("ascii"))
        if value is None:
            return ""
        self._set(_NOTE, "")
        return unquote_plus(value.decode("ascii", "replace"))[:_MAX_NOTE]

    def keep_step(self, secret: str) -> None:
        """Keep the secret of a sign-in that is half done; empty forgets it."""
        self._set(_STEP, secret)

    def keep_device(self, sealed: str) -> None:
        """Keep who signed in from this browser, for long."""
        self._set(_DEVICE, sealed, DEVICE_SECONDS)

    def tools(self) -> str:
        """Give which tools were used last from this browser."""
        return self._get(_TOOLS)

    def keep_tools(self, names: str) -> None:
        """Keep which tools were used last, as long as browsers keep anything."""
        self._set(_TOOLS, names, _TOOLS_SECONDS)

    def unfinished(self) -> str:
        """Give the form that was sent after its sign-in had ended; empty for none."""
        return self._get(_UNFINISHED)

    def keep_unfinished(self, sealed: str) -> None:
        """Keep a form until its sender has signed in again; empty forgets it."""
        self._set(_UNFINISHED, sealed, UNFINISHED_SECONDS)

    def keep_once(self, path: str, sealed: str) -> None:
        """Keep what the page at a path shows one time: each page has its own, for several tabs."""
        self._set(_once(path), sealed, ONCE_SECONDS)

    def take_once(self, path: str) -> str:
        """Give what this page shows one time, and forget it; empty for nothing."""
        kept = self._get(_once(path))
        if kept:
            self._set(_once(path), "")
        return kept

    def _name(self, name: str) -> str:
        return f"__Host-{name}" if self.secure else name

    def _get(self, name: str) -> str:
        value = self.request.getCookie(self._name(name).encode("ascii"))
        return "" if value is None else value.decode("ascii", "replace")[:_MAX_VALUE]

    def _set(self, name: str, value: str, seconds: int | None = None) -> None:
        words = [f"{self._name(name)}={value}", "Path=/", "HttpOnly", "SameSite=Lax"]
        words += ["Secure"] if self.secure else []
        age = seconds if value else 0
        words += [] if age is None else [f"Max-Age={age}"]
        cookies: list[bytes] = self.request.cookies  # type: ignore[attr-defined]
        cookies.append("; ".join(words).encode("ascii"))


def _once(path: str) -> str:
    return f"{_ONCE}-{hashlib.sha256(path.encode('utf-8')).hexdigest()[:8]}"


def new_secret(context: ApiContext) -> str:
    """Make a secret for a cookie."""
    return base64.urlsafe_b64encode(context.random(32)).decode("ascii").rstrip("=")


def csrf_of(secret: str) -> str:
    """Give what a form sends back to prove that it is ours."""
    return hmac.new(secret.encode("utf-8"), b"csrf", hashlib.sha256).hexdigest()


def is_csrf(secret: str, given: str) -> bool:
    """Tell whether a form is ours; without a cookie none is."""
    return bool(secret) and hmac.compare_digest(csrf_of(secret).encode(), given.encode("utf-8"))


def wants_secure(request: IRequest, web_url: str) -> bool:
    """Tell whether cookies are for TLS only: always, but on plain HTTP to this very machine."""
    return bool(request.isSecure()) or web_url.startswith("https:") or not _on_loopback(request)


def cannot_work(request: IRequest, web_url: str) -> bool:
    """Tell whether browsers will withhold the cookies: plain HTTP from another machine."""
    plain = not request.isSecure() and not web_url.startswith("https:")
    return plain and not _on_loopback(request)


def _on_loopback(request: IRequest) -> bool:
    try:
        return is_loopback(urlsplit(f"//{request.getHeader('host') or ''}").hostname or "")
    except ValueError:
        return False


@frozen
class SignIns:
    """The sign-ins of the store, by the secrets of cookies."""

    context: ApiContext

    async def find(self, secret: str, *, somebody_acts: bool = True) -> SignedIn | None:
        """Return who is signed in with a secret, and prolong the sign-in; None if nobody is.

        :param somebody_acts: not so when a page keeps itself fresh: then it doesn't last longer.
        """
        if not secret:
            return None
        found = await self.context.store.read(_find, hash_secret(secret))
        if found is None:
            return None
        session, user, unseen, waits = found
        if somebody_acts and unseen > _TOUCHED_EVERY:
            await self.context.store.aside().write(
                web_sessions.touch, session.id, lifetime_seconds=IDLE_SECONDS
            )
        return SignedIn(user, session.id, waits)

    async def end(self, signed_in: SignedIn) -> None:
        """Sign out."""
        await self.context.store.write(
            web_sessions.end, signed_in.web_session_id, reason="signed out"
        )


def _find(
    transaction: Transaction, secret_hash: bytes
) -> tuple[WebSession, User, timedelta, pending_counts.Waiting] | None:
    """Find a sign-in that is neither idle for too long nor too old.

    :return: with its user, the time since it was last seen, and what waits for the user.
    """
    found = web_sessions.authenticate(transaction, secret_hash)
    if found is None:
        return None
    session, user = found
    now = transaction.now()
    if now - session.created_at > LONGEST:
        return None
    unseen = now - session.last_seen_at
    return session, user, unseen, pending_counts.waiting_for(transaction, user)
