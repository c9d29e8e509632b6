"""Judges logins: asks the store, within a time, and counts the refusals of each source."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.cred.portal import IRealm
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.python.failure import Failure
from zope.interface import Interface, implementer

from tunnelcloud.domain.addresses import source_group
from tunnelcloud.domain.entities import Session, SessionMethod, UserView
from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.domain.tokens import hash_secret
from tunnelcloud.pod import logins
from tunnelcloud.pod.browser_logins import BrowserLogins
from tunnelcloud.pod.interfaces import IViews
from tunnelcloud.pod.key_cache import Held, KeyRing
from tunnelcloud.pod.live_sessions import LiveSessions
from tunnelcloud.pod.outage_log import OUTAGES
from tunnelcloud.ssh.interfaces import (
    BrowserOffer,
    IAccess,
    ISessionAvatar,
    LoginAttempt,
    LoginRefused,
)
from tunnelcloud.store import browser_logins, sessions, user_views
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.errors import OutcomeUnknown, StoreUnavailable
from tunnelcloud.store.refusals import Refusals
from tunnelcloud.store.transaction import Transaction

LOGIN_SECONDS = 5.0
"""How long a login waits for the store."""

CANNOT_JUDGE = "the pod can't check logins now; try again in a minute"
MAY_BE_SPENT = "the pod can't tell whether it recorded this login; get a new one-time token"
CAME_LATE = "the database answered after the client had been refused"


@implementer(IAccess)
class Access:
    """Judges credentials by the store and its caches.

    :ivar begun: sessions that were written and have no avatar yet, by id.
    """

    def __init__(
        self,
        store: AsyncStore,
        pod_id: str,
        views: IViews,
        ring: KeyRing,
        has_room: Callable[[str], bool],
        refuses: Callable[[], str] = str,
        browsers: BrowserLogins | None = None,
    ) -> None:
        """
        :param browsers: offers links; None if logins by browser are off.
        :param has_room: tells, in any thread, whether a user may begin one more session here.
        :param refuses: says why the pod takes no logins at all; empty when it does.
        """
        self._has_room = has_room
        self._refusals = Refusals(store, store.reactor)
        self._refuses = refuses
        self._browsers = browsers
        self.begun: dict[str, Session] = {}
        self._store = store.within(LOGIN_SECONDS, self._came_late)
        self._pod_id = pod_id
        self._views = views
        self._ring = ring

    def is_registered(self, key_blob: bytes) -> Deferred[bool]:
        """Tell whether anybody registered this key; its grants are judged after its owner has
        signed."""
        if reason := self._refuses():
            return fail(LoginRefused(reason, offence=False))
        asked = self._ring.get(key_blob)
        asked.addTimeout(LOGIN_SECONDS, self._store.reactor, _too_slow)
        return asked.addErrback(self._unavailable).addCallback(lambda held: held is not None)

    def _judge_key(self, attempt: LoginAttempt, key_blob: bytes) -> Deferred[logins.Offer]:
        if reason := self._refuses():
            return fail(LoginRefused(reason, offence=False))
        return self._ring.get(key_blob).addCallback(self._judge_held, attempt)

    def _judge_held(
        self, held: Held | None, attempt: LoginAttempt
    ) -> logins.Offer | Deferred[logins.Offer]:
        if held is None:
            return logins.Offer(obstacle=logins.KEY_OPENS_NOTHING)
        view = self._views.get(held.key.user_id)
        return view.addCallbacks(logins.judge, logins.ownerless, (held, attempt))

    def login_with_key(self, attempt: LoginAttempt, key_blob: bytes) -> Deferred[str]:
        """Verify a login whose signature was good, and write its session."""
        rules = self._rules(attempt)
        judged = self._judge_key(attempt, key_blob).addCallback(
            lambda offer: self._write(logins.login_with_key, attempt, rules, offer)
        )
        judged.addTimeout(LOGIN_SECONDS, self._store.reactor, _too_slow)
        return judged.addErrback(self._unavailable).addCallback(self._pronounce, attempt, rules)

    def login_with_token(self, attempt: LoginAttempt, token: str) -> Deferred[str]:
        """Verify and spend a token, and write the session."""
        rules = self._rules(attempt)
        judged = Deferred.fromCoroutine(self._judge_token(attempt, rules, token))
        judged.addTimeout(LOGIN_SECONDS, self._store.reactor, _too_slow)
        return judged.addErrback(self._unavailable).addCallback(self._pronounce, attempt, rules)

    async def _judge_token(
        self, attempt: LoginAttempt, rules: logins.Rules, token: str
    ) -> logins.Verdict:
        secret_hash = hash_secret(token)
        found = await self._store.read(user_views.find_token, secret_hash)
        is_theirs = found is not None and logins.may_be(attempt.login, found.user)
        view = await self._view_of(found.user.id) if found is not None and is_theirs else None
        return await self._write(logins.login_with_token, attempt, rules, secret_hash, found, view)

    def offer_browser(
        self, attempt: LoginAttempt, held: BrowserOffer | None = None
    ) -> BrowserOffer | None:
        """Offer a login by browser, unless too many are waiting."""
        return None if self._browsers is None else self._browsers.offer(attempt, held)

    def withdraw_browser(self, offer: BrowserOffer) -> None:
        """Forget the offer: the connection no longer waits."""
        if self._browsers is not None:
            self._browsers.withdraw(offer)

    def login_by_browser(self, attempt: LoginAttempt, offer: BrowserOffer) -> Deferred[str]:
        """Wait for the confirmation of a login, and write the session."""
        rules = self._rules(attempt)
        judged = Deferred.fromCoroutine(self._judge_confirmed(attempt, rules, offer))
        return judged.addErrback(self._unavailable).addCallback(self._pronounce, attempt, rules)

    async def _judge_confirmed(
        self, attempt: LoginAttempt, rules: logins.Rules, offer: BrowserOffer
    ) -> logins.Verdict:
        assert self._browsers is not None, "it has offered something"
        if reason := self._refuses():
            raise LoginRefused(reason, offence=False)
        await self._browsers.confirmed(attempt, offer)
        user_id = await self._store.read(browser_logins.confirmed_by, offer.secret_hash)
        view = None if user_id is None else await self._view_of(user_id)
        return await self._write(logins.login_by_browser, attempt, rules, offer.secret_hash, view)

    async def _view_of(self, user_id: str) -> UserView | None:
        """Give what a user reaches; None if they were deleted."""
        try:
            return await self._views.get(user_id)
        except LookupError:
            return None

    def _write(self, judge: Callable[..., logins.Verdict], *args: Any) -> Deferred[logins.Verdict]:
        """Judge and write a login, unless the pod refuses logins by now: the wait may have been
        long."""
        if reason := self._refuses():
            return fail(LoginRefused(reason, offence=False))
        return self._store.write(judge, *args)

    def login_failed(self, attempt: LoginAttempt, method: str, reason: str) -> None:
        """Record a login that the front door itself refused."""
        rules = self._rules(attempt)
        self._note(attempt, rules)
        if not rules.records:
            return

        def work(transaction: Transaction) -> None:
            user = logins.find_named(transaction, attempt)
            logins.record_refusal(transaction, attempt, rules, SessionMethod(method), reason, user)

        self._store.write(work).addErrback(OUTAGES.tell, "refusals aren't recorded")

    def _rules(self, attempt: LoginAttempt) -> logins.Rules:
        records = self._refusals.has_room(source_group(attempt.source))
        return logins.Rules(self._pod_id, self._has_room, records)

    def _note(self, attempt: LoginAttempt, rules: logins.Rules) -> None:
        """Count a refusal; above a rate for each source only the number is written."""
        event = AuditEvent("login.refused", source_ip=attempt.source, pod_id=self._pod_id)
        self._refusals.note(event, source_group(attempt.source), rules.records)

    def _unavailable(self, failure: Failure) -> Failure:
        """Refuse the login without a penalty: the store has failed."""
        if failure.check(LoginRefused):
            return failure
        OUTAGES.tell(failure, "logins can't be judged")
        text = MAY_BE_SPENT if failure.check(OutcomeUnknown) else CANNOT_JUDGE
        return Failure(LoginRefused(text, False))

    def _came_late(self, verdict: object) -> None:
        """End a session whose login took so long that nobody waited for it."""
        if isinstance(verdict, Session):
            ended = self._store.write(sessions.end, verdict.id, reason=CAME_LATE)
            ended.addErrback(OUTAGES.tell, "a login that came late isn't ended")

    def _pronounce(
        self, verdict: logins.Verdict, attempt: LoginAttempt, rules: logins.Rules
    ) -> str:
        if isinstance(verdict, logins.Refusal):
            self._note(attempt, rules)
            raise LoginRefused(verdict.text, verdict.offence)
        self.begun[verdict.id] = verdict
        return verdict.id


@implementer(IRealm)
class Realm:
    """Gives the session that a checker has just written its avatar."""

    def __init__(self, live: LiveSessions, access: Access) -> None:
        self._live = live
        self._access = access

    def requestAvatar(
        self, avatarId: bytes | str | tuple[()], mind: object, *interfaces: type[Interface]
    ) -> Deferred[tuple[type[Interface], object, Callable[[], None]]]:
        """Make the avatar of a session."""
        assert isinstance(avatarId, str), "the checkers' answers are sessions' ids"
        if ISessionAvatar not in interfaces:
            raise NotImplementedError("the realm has sessions only")
        avatar = self._live.begin(self._access.begun.pop(avatarId))
        logout = partial(avatar.logged_out, "the connection ended")
        return avatar.prepared().addCallback(lambda _: (ISessionAvatar, avatar, logout))


def _too_slow(answer: object, seconds: float) -> object:
    """Fail when a login took too long, unless it was committed."""
    if not isinstance(answer, Failure):
        return answer
    answer.trap(CancelledError)
    raise StoreUnavailable(f"the database takes too long: no answer within {seconds:g} s")
