"""Makes changes take effect: drops old views, and ends what is no longer allowed.

Two things lead here: the change feed, and the clock (windows end, sessions age, streams idle).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from tunnelcloud.domain.entities import UserView
from tunnelcloud.pod.router import Route
from tunnelcloud.pod.sessions import USER_DELETED, LiveSession, LiveSessions
from tunnelcloud.pod.views import Views
from tunnelcloud.store.transaction import Change, Resync

SWEEP_SECONDS = 1.0

_SWEEPS_HEARD = 5
"""For so long a notice of a key or a session is kept: it may overtake the answer to the transaction
that began a session, which then isn't here yet to be ended."""

CUT_OFF = "this pod had lost its database for too long; connect again"

_log = Logger()


class Enforcement:
    """Holds what is open on this pod to what is allowed.

    :param end_requested: reads whether a session or channel (kind, id) is to be ended, and why.
    :param key_is_good: reads whether a key (id) still lets its user in.
    :param closed_sessions: reads which of some sessions (ids) have records that are closed.
    :param review_links: looks again at every connector's right to be attached.
    """

    def __init__(
        self,
        sessions: LiveSessions,
        views: Views,
        *,
        end_requested: Callable[[str, str], Deferred[str | None]],
        key_is_good: Callable[[str], Deferred[bool]],
        closed_sessions: Callable[[Sequence[str]], Deferred[list[str]]],
        review_links: Callable[[], Deferred[None]],
    ) -> None:
        self._sessions = sessions
        self._views = views
        self._end_requested = end_requested
        self._key_is_good = key_is_good
        self._closed_sessions = closed_sessions
        self._review_links = review_links
        self._heard: dict[Change, int] = {}

    def changed(self, change: Change | Resync) -> None:
        """Take a notice from the change feed; called in the reactor's thread."""
        if isinstance(change, Resync):
            self._resync()
        elif change.kind == "user":
            self._views.drop(change.id)
            self._recheck([change.id])
        elif change.kind == "session":
            self._heard[change] = _SWEEPS_HEARD
            self._end_session_if_asked(change.id)
        elif change.kind == "channel":
            self._end_channel_if_asked(change.id)
        elif change.kind == "key":
            self._heard[change] = _SWEEPS_HEARD
            self._recheck_key(change.id)
        elif change.kind == "connector":
            self._review_links().addErrback(_failed)
        elif change.kind in ("tunnel", "group", "assignment", "policy", "site"):
            self._views.drop_all()
            self._recheck(self._sessions.users())
            if change.kind == "site":
                self._review_links().addErrback(_failed)

    def sweep(self) -> None:
        """End what the clock no longer allows; called every L{SWEEP_SECONDS}."""
        timed = {
            live.session.user_id
            for live in self._sessions
            if any(route.timed for route in live.routes)
        }
        self._recheck(timed)
        used = {live.session.key_id for live in self._sessions}
        for change, sweeps in tuple(self._heard.items()):
            if sweeps > 1:
                self._heard[change] = sweeps - 1
            else:
                del self._heard[change]
            if change.kind == "session":
                self._end_session_if_asked(change.id)
            elif change.id in used:
                self._recheck_key(change.id)

    def _resync(self) -> None:
        self._views.drop_all()
        self._recheck(self._sessions.users())
        self._review_links().addErrback(_failed)
        closed = self._closed_sessions([live.session.id for live in self._sessions])
        closed.addCallback(self._end_unrecorded).addErrback(_failed)
        for live in self._sessions:
            self._end_session_if_asked(live.session.id)
            if live.session.key_id is not None:
                self._recheck_key(live.session.key_id)

    def _end_unrecorded(self, session_ids: Iterable[str]) -> None:
        """End what another pod took for gone: nobody would see it, or could end it."""
        for session_id in session_ids:
            live = self._sessions.get(session_id)
            if live is not None:
                live.end(CUT_OFF)

    def _recheck(self, user_ids: Iterable[str]) -> None:
        for user_id in user_ids:
            if any(self._sessions.of_user(user_id)):
                view = self._views.get(user_id)
                view.addCallbacks(self._apply, self._gone, errbackArgs=(user_id,))
                view.addErrback(_failed)

    def _apply(self, view: UserView) -> None:
        for live in self._sessions.of_user(view.user.id):
            live.recheck(view)

    def _gone(self, failure: Failure, user_id: str) -> None:
        failure.trap(LookupError)
        for live in self._sessions.of_user(user_id):
            live.end(USER_DELETED)

    def _end_session_if_asked(self, session_id: str) -> None:
        live = self._sessions.get(session_id)
        if live is not None:
            asked = self._end_requested("session", session_id)
            asked.addCallback(_end, live).addErrback(_failed)

    def _end_channel_if_asked(self, channel_id: str) -> None:
        for live in self._sessions:
            for route in live.routes:
                if route.record is not None and route.record.id == channel_id:
                    asked = self._end_requested("channel", channel_id)
                    asked.addCallback(_end, route).addErrback(_failed)
                    return

    def _recheck_key(self, key_id: str) -> None:
        using = [live for live in self._sessions if live.session.key_id == key_id]
        if using:
            good = self._key_is_good(key_id)
            good.addCallback(_end_unless, using, "the key was revoked").addErrback(_failed)


def _end(reason: str | None, thing: LiveSession | Route) -> None:
    if reason is not None:
        thing.end(reason)


def _end_unless(good: bool, sessions: Iterable[LiveSession], reason: str) -> None:
    if not good:
        for live in sessions:
            live.end(reason)


def _failed(failure: Failure) -> None:
    _log.failure("a change could not be applied; the next resync tries again", failure)
