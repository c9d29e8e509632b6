"""Makes changes take effect: drops old views, and ends sessions and channels no longer allowed.

The causes are the change feed and the clock (windows end, sessions get too old, streams are idle
too long).  All changes heard in one turn of the reactor are handled together.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Iterator

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from tunnelcloud.domain.entities import UserView
from tunnelcloud.pod.live_session import USER_DELETED, LiveSession
from tunnelcloud.pod.live_sessions import LiveSessions
from tunnelcloud.pod.outage_log import OUTAGES
from tunnelcloud.pod.router import TunnelRoute
from tunnelcloud.pod.user_views import Views
from tunnelcloud.pod.work_in_turns import Turns
from tunnelcloud.store.sessions import EndRequest
from tunnelcloud.store.transaction import Change, Resync

SWEEP_SECONDS = 1.0
RETRY_SECONDS = 10.0
"""How long after something couldn't be read everything is looked at again."""

_SWEEPS_HEARD = 5
"""For how many sweeps a notice of a key or a session is kept: it may arrive before the answer to
the transaction that began the session."""

UNREAD = "this pod hasn't been able to read what you may open for {:g} s; connect again"
_KEY_REVOKED = "the key was revoked"
_KEY_EXPIRED = "the key has expired"
_OF_VIEWS = frozenset({"user", "tunnel", "group", "assignment", "policy", "site", "grant"})
_OF_LINKS = frozenset({"connector", "site"})


@define
class _Heard:
    """The changes heard in this turn of the reactor.

    :ivar resync: some changes may have been missed.
    :ivar decides: some users' views have changed.
    :ivar ends: ids of sessions and channels that somebody wants ended.
    :ivar links: ids of connectors and sites whose links may have to end.
    """

    resync: bool = False
    decides: bool = False
    keys: set[str] = field(factory=set)
    ends: set[str] = field(factory=set)
    links: set[str] = field(factory=set)


class Enforcement:
    """Ends sessions and channels of this pod that are no longer allowed.

    :param end_requests: lists the sessions and channels of this pod that are to be ended.
    :param good_keys: reads which of some keys (ids) still let their users in.
    :param reconcile: opens the records of sessions that others took for dead, and gives what of
        them is to be ended instead.
    :param review_links: looks again at the right of connectors to be attached: of those that
        some ids (of connectors and sites) concern, or of all.
    :param longest_unread: for how many seconds the sessions of a user go on whose view has changed
        and can't be read; 0 for ever.
    """

    def __init__(
        self,
        sessions: LiveSessions,
        views: Views,
        clock: IReactorTime,
        turns: Turns,
        *,
        end_requests: Callable[[], Deferred[list[EndRequest]]],
        good_keys: Callable[[Collection[str]], Deferred[frozenset[str]]],
        reconcile: Callable[[], Deferred[list[EndRequest]]],
        review_links: Callable[[Collection[str] | None], Deferred[None]],
        longest_unread: float = 0,
    ) -> None:
        self._sessions = sessions
        self._views = views
        self._clock = clock
        self._turns = turns
        self._end_requests = end_requests
        self._good_keys = good_keys
        self._reconcile = reconcile
        self._review_links = review_links
        self._recent: dict[tuple[str, str], int] = {}
        self._heard: _Heard | None = None
        self._rechecking: set[str] = set()
        self._retry: IDelayedCall | None = None
        self._longest_unread = longest_unread
        self._unread_since: dict[str, float] = {}

    def changed(self, change: Change | Resync) -> None:
        """Hear of a change from the change feed; called in the reactor's thread.

        A changed view isn't used from here on; the connections that it ends, end in the next turn.
        """
        if isinstance(change, Resync):
            self._views.drop_all()
            self._hear().resync = True
            return
        if change.kind in _OF_VIEWS:
            self._views.changed(change.concerns, change.decides)
        if not change.decides:
            return
        if change.kind in ("session", "key"):
            self._recent[change.kind, change.id] = _SWEEPS_HEARD
        if change.kind in ("session", "channel"):
            self._hear().ends.add(change.id)
        elif change.kind == "key":
            self._hear().keys.add(change.id)
        else:
            if change.kind in _OF_VIEWS and change.concerns:
                self._hear().decides = True
            if change.kind in _OF_LINKS:
                self._hear().links.add(change.id)

    def sweep(self) -> None:
        """End channels that the clock no longer allows; called every ``SWEEP_SECONDS``."""
        due: dict[str, list[TunnelRoute]] = {}
        for route in self._sessions.deadlines.due(self._clock.seconds()):
            due.setdefault(route.session.user_id, []).append(route)
        for user_id, routes in due.items():
            self._views.get(user_id).addCallbacks(
                self._recheck_routes, self._look_later, (routes,), errbackArgs=(user_id, routes)
            )
        kept = {key: sweeps for key, sweeps in self._recent.items() if sweeps}
        self._recent = {key: sweeps - 1 for key, sweeps in kept.items()}
        self._end_what_is_asked({one for kind, one in kept if kind == "session"})
        self._recheck_keys({one for kind, one in kept if kind == "key"})

    def _hear(self) -> _Heard:
        if self._heard is None:
            self._heard = _Heard()
            self._clock.callLater(0, self._take)
        return self._heard

    def _take(self) -> None:
        """Handle all changes heard since the last turn."""
        heard, self._heard = self._heard, None
        assert heard is not None
        if heard.resync or heard.decides:
            self._recheck_users()
        if heard.resync:
            self._review_links(None).addErrback(self._failed)
            self._reconcile().addCallback(self._end_asked).addErrback(self._failed)
            self._end_requests().addCallback(self._end_asked).addErrback(self._failed)
            self._recheck_keys(None)
            return
        if heard.links:
            self._review_links(heard.links).addErrback(self._failed)
        self._end_what_is_asked(heard.ends)
        self._recheck_keys(heard.keys)

    # Views.

    def _recheck_users(self) -> None:
        """Check again the sessions of users whose views have changed."""
        for user_id in self._unread_since.keys() - self._sessions.users():
            del self._unread_since[user_id]
        for user_id in self._sessions.users():
            if self._views.held(user_id) is None and user_id not in self._rechecking:
                self._rechecking.add(user_id)
                view = self._views.get(user_id).addBoth(self._rechecked, user_id)
                view.addCallbacks(self._apply, self._gone, errbackArgs=(user_id,))
                view.addErrback(self._failed)

    def _rechecked(self, outcome: UserView | Failure, user_id: str) -> UserView | Failure:
        self._rechecking.discard(user_id)
        if isinstance(outcome, Failure) and not outcome.check(LookupError):
            self._end_if_unread(user_id)
        else:
            self._unread_since.pop(user_id, None)
        return outcome

    def _end_if_unread(self, user_id: str) -> None:
        """End the sessions of a user once nobody has known for long what they may open."""
        now = self._clock.seconds()
        since = self._unread_since.setdefault(user_id, now)
        if self._longest_unread and now - since >= self._longest_unread:
            del self._unread_since[user_id]
            for live in self._sessions.of_user(user_id):
                live.end(UNREAD.format(self._longest_unread))

    def _apply(self, view: UserView) -> Deferred[None]:
        return self._turns.run(self._steps(view))

    def _steps(self, view: UserView) -> Iterator[None]:
        looking: UserView | None = view
        while looking is not None:
            looking = yield from self._look(looking)

    def _look(self, view: UserView) -> Generator[None, None, UserView | None]:
        """Check a user's sessions; give a newer view to begin anew with, such as one that has a
        title of now."""
        for live in self._sessions.of_user(view.user.id):
            for _ in live.recheck_in_turns(view):
                yield
                newer = self._views.held(view.user.id)
                if newer is not view:
                    return newer  # without one, the change that it fell to is still to be checked
        return None

    def _recheck_routes(self, view: UserView, routes: Iterable[TunnelRoute]) -> None:
        def steps() -> Iterator[None]:
            for route in routes:
                live = self._sessions.get(route.session.id)
                if live is not None and not route.over:
                    live.recheck_route(self._views.held(view.user.id) or view, route)
                yield

        self._turns.run(steps()).addErrback(self._failed)

    def _look_later(self, failure: Failure, user_id: str, routes: Iterable[TunnelRoute]) -> None:
        """Check by what is known already; where that is nothing, when the store is available."""
        if failure.check(LookupError):
            self._gone(failure, user_id)
            return
        known = self._views.held(user_id)
        if known is not None:
            self._recheck_routes(known, routes)
            return
        for route in routes:
            self._sessions.deadlines.set(route, self._clock.seconds() + SWEEP_SECONDS)
        OUTAGES.tell(failure, "what time has ended can't be looked up yet")

    def _gone(self, failure: Failure, user_id: str) -> None:
        failure.trap(LookupError)
        for live in self._sessions.of_user(user_id):
            live.end(USER_DELETED)

    # What somebody asked for.

    def _end_what_is_asked(self, ids: set[str]) -> None:
        """End sessions and channels of this pod that somebody wants ended."""
        known = any(one in self._sessions or self._sessions.has_channel(one) for one in ids)
        if known:
            self._end_requests().addCallback(self._end_asked).addErrback(self._failed)

    def _end_asked(self, requests: Iterable[EndRequest]) -> None:
        for request in requests:
            live = self._sessions.get(request.session_id)
            if live is None:
                continue
            if request.kind == "session":
                live.end(request.reason)
                continue
            for route in tuple(live.routes):
                if route.record is not None and route.record.id == request.id:
                    route.end(request.reason)

    def keys_expired(self, key_ids: Collection[str]) -> None:
        """End the sessions of keys that may have expired."""
        self._recheck_keys(key_ids, _KEY_EXPIRED)

    def _recheck_keys(self, key_ids: Collection[str] | None, reason: str = _KEY_REVOKED) -> None:
        """End the sessions of keys that are no longer good.

        :param key_ids: keys that may have changed; None for all.
        """
        if key_ids is not None and not key_ids:
            return
        using: dict[str, list[LiveSession]] = {}
        for live in self._sessions:
            key_id = live.session.key_id
            if key_id is not None and (key_ids is None or key_id in key_ids):
                using.setdefault(key_id, []).append(live)
        if using:
            good = self._good_keys(using.keys())
            good.addCallback(_end_unless_good, using, reason).addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        """Look at everything again soon: the change feed may have nothing more to say."""
        OUTAGES.tell(failure, f"a change could not be applied; again in {RETRY_SECONDS:g} s")
        if self._retry is None:
            self._retry = self._clock.callLater(RETRY_SECONDS, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        self.changed(Resync())


def _end_unless_good(
    good: frozenset[str], using: dict[str, list[LiveSession]], reason: str
) -> None:
    for key_id in using.keys() - good:
        for live in using[key_id]:
            live.end(reason)
