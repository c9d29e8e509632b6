"""SSH logins that somebody may confirm in a browser: the links offered, and their confirmations.

A link for a stranger's connection costs the pod almost nothing.  The store gets it once the
connection has waited for a moment, which programs that answer the prompt with a token don't do.
The number of waiting connections is limited for each source, and the number of links a minute for
the pod.  Above that, the source with the most links loses one.  A connection without a link is
asked for a token, as usual.  The link doesn't depend on the login name.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable
from functools import partial

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater

from tunnelcloud.domain.addresses import source_group, source_groups
from tunnelcloud.domain.tokens import hash_secret, new_link_secret, new_user_code
from tunnelcloud.net.connection_capacity import Crowd
from tunnelcloud.pod import logins
from tunnelcloud.pod.outage_log import OUTAGES
from tunnelcloud.settings import PodSettings
from tunnelcloud.ssh.interfaces import BrowserOffer, LoginAttempt, LoginRefused
from tunnelcloud.store import browser_logins
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.browser_logins import Decision
from tunnelcloud.store.device_logins import Asking

WRITTEN_AFTER = 1.0
"""Seconds before a link is written: a person takes longer, a program that has a token doesn't."""

MOST_WAITING = 64
MOST_OF_A_SOURCE = 6
MOST_A_MINUTE = 120
"""Links that were withdrawn for another source count too, so all together may get a few times as
many."""
ASKED_FOR_SECONDS = 20
"""How long an answer to the prompt waits for the decision."""

NOT_YET = "this login is not confirmed yet: open the link, confirm it, and press Return again"
OVER = "this link has expired: use the next one, or a one-time token"
DENIED = "this login was refused in the browser, or nobody confirmed it in time"


@define(eq=False)
class _Waiting:
    """A connection that was offered a link.

    :ivar is_written: whether the row is there.
    """

    attempt: LoginAttempt
    code: str
    source: str
    is_written: bool = False
    writing: IDelayedCall | None = None


@frozen
class BrowserLogins:
    """The links that a pod has offered to waiting connections.

    :param web_url: the portal's address, without a slash at the end; empty if no links are offered.
    """

    store: AsyncStore
    clock: IReactorTime
    web_url: str
    random: Callable[[int], bytes] = os.urandom
    _waiting: dict[bytes, _Waiting] = field(factory=dict, init=False)
    _sources: Counter[str] = field(factory=Counter, init=False)
    _room: Crowd[bytes] = field(init=False)
    _minute: Crowd[bytes] = field(init=False)
    _offered: deque[tuple[float, bytes]] = field(factory=deque, init=False)

    @_room.default
    def _make_room(self) -> Crowd[bytes]:
        return Crowd(MOST_WAITING, self._end, is_fair=True)

    @_minute.default
    def _make_minute(self) -> Crowd[bytes]:
        return Crowd(MOST_A_MINUTE, lambda _: None, is_fair=True)

    @classmethod
    def by_settings(
        cls, store: AsyncStore, clock: IReactorTime, settings: PodSettings
    ) -> BrowserLogins:
        """Offer links as pod.toml says, and none without the portal's address."""
        is_on = settings.ssh.browser_login != "off"
        return cls(store, clock, (settings.web.public_url or "") if is_on else "")

    def offer(self, attempt: LoginAttempt, held: BrowserOffer | None = None) -> BrowserOffer | None:
        """Make a link for a connection; None if too many are waiting.

        :param held: the link that the connection has.  It stays if it is for this very login; for
            another login, which the page doesn't show, the connection gets another link.
        """
        if held is not None:
            if self._is_for(held, attempt):
                return held
            self.withdraw(held)
        # Nobody stores the secret itself: it only makes the row's name impossible to guess.
        secret_hash = hash_secret(new_link_secret(self.random))
        source = source_group(attempt.source)
        if not self.web_url or not self._admits(secret_hash, source, attempt):
            return None
        self._sources[source] += 1
        code = new_user_code(self.random)
        waiting = self._waiting[secret_hash] = _Waiting(attempt, code, source)
        waiting.writing = self.clock.callLater(WRITTEN_AFTER, self._write, secret_hash, waiting)
        return BrowserOffer(f"{self.web_url}/l/{code}", secret_hash)

    def _admits(self, secret_hash: bytes, source: str, attempt: LoginAttempt) -> bool:
        """Count one more waiting connection, unless its source has reached its limit."""
        now = self.clock.seconds()
        while self._offered and self._offered[0][0] <= now - 60:
            self._minute.leave(self._offered.popleft()[1])
        # Many IPv6 networks of one site don't count as many sources.
        site, rooms = source_groups(attempt.source)[-1][0], (self._room, self._minute)
        if self._sources[source] >= MOST_OF_A_SOURCE or not all(
            room.has_place(site) for room in rooms
        ):
            return False
        for room in rooms:
            room.admits(site)
            room.enter(secret_hash, site)
        self._offered.append((now, secret_hash))
        return True

    def withdraw(self, offer: BrowserOffer) -> None:
        """Withdraw the link: the connection has logged in or is over."""
        self._end(offer.secret_hash)

    def _end(self, secret_hash: bytes) -> None:
        """Withdraw a link, and delete its row."""
        waiting = self._waiting.pop(secret_hash, None)
        if waiting is None:
            return
        self._room.leave(secret_hash)
        self._sources[waiting.source] -= 1
        if not self._sources[waiting.source]:
            del self._sources[waiting.source]
        if waiting.writing is not None and waiting.writing.active():
            waiting.writing.cancel()
        if waiting.is_written:
            self._forget(secret_hash)

    def _forget(self, secret_hash: bytes) -> None:
        forgotten = self.store.write(browser_logins.withdraw, secret_hash)
        forgotten.addErrback(OUTAGES.tell, "logins that wait for no browser stay for minutes")

    def _is_for(self, offer: BrowserOffer, attempt: LoginAttempt) -> bool:
        waiting = self._waiting.get(offer.secret_hash)
        return waiting is not None and waiting.attempt == attempt

    def _write(self, secret_hash: bytes, waiting: _Waiting) -> None:
        attempt = waiting.attempt
        asking = Asking(
            secret_hash,
            waiting.code,
            attempt.client_version,
            attempt.source,
            waiting.source,
            logins.shown_name(attempt, None),
        )

        written = self.store.write(browser_logins.begin, asking)
        written.addCallback(partial(self._kept, secret_hash))
        written.addErrback(OUTAGES.tell, "logins can't wait for a browser")

    def _kept(self, secret_hash: bytes, is_there: bool) -> None:
        """Note that a login was written, or that its source has too many."""
        waiting = self._waiting.get(secret_hash)
        if waiting is not None and is_there:
            waiting.is_written = True
        elif is_there:
            self._forget(secret_hash)
        else:
            self._end(secret_hash)

    def confirmed(self, attempt: LoginAttempt, offer: BrowserOffer) -> Deferred[None]:
        """Wait until somebody has confirmed a login.

        :raise LoginRefused: nobody did in time, somebody refused it, or the link is for another
            login; none is an offence.
        """
        if not self._is_for(offer, attempt):
            return fail(LoginRefused(OVER, offence=False))
        if not self._waiting[offer.secret_hash].is_written:
            # A tool that only knows passwords answers at once, with an empty text.
            return fail(LoginRefused("", offence=False))
        return Deferred.fromCoroutine(self._wait(offer.secret_hash))

    async def _wait(self, secret_hash: bytes) -> None:
        until = self.clock.seconds() + ASKED_FOR_SECONDS
        while True:
            decision = await self.store.read(browser_logins.decision, secret_hash)
            if decision is Decision.ALLOWED:
                return
            if secret_hash not in self._waiting:
                raise LoginRefused(OVER, offence=False)
            if decision is Decision.DENIED:
                raise LoginRefused(DENIED, offence=False)
            if self.clock.seconds() >= until:
                raise LoginRefused(NOT_YET, offence=False)
            await deferLater(self.clock, 1.0)
