"""Who may go on watching: streams end with their sign-in, and when their user has another role."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import web_sessions
from tunnelcloud.store.errors import StoreUnavailable
from tunnelcloud.web.portal.live_streams import Stream, in_turns
from tunnelcloud.web.portal.sign_in_cookies import LONGEST
from tunnelcloud.web.resources.context import ApiContext

_CHECK_SECONDS = 0.5
"""Seconds between two checks of who may still watch: with their answers, a second."""

_ENDS_ACCESS = frozenset({"", "user"})
"""Kinds of changes after which a sign-in may be over, or its role another; "" for any."""


class WatchRights:
    """Checks the sign-ins of all streams, one check at a time.

    :param streams: those that are open; it changes as they come and go.
    """

    _log = Logger()

    def __init__(self, context: ApiContext, streams: Collection[Stream]) -> None:
        self._context = context
        self._clock = context.clock
        self._streams = streams
        self._checking = False
        self._due = 0.0

    def check_later(self) -> None:
        """Begin with streams that were just let in."""
        self._due = self._clock.seconds() + _CHECK_SECONDS

    def heard(self, kinds: Collection[str]) -> None:
        """Check at once when a change of these kinds may have ended somebody's access."""
        if not _ENDS_ACCESS.isdisjoint(kinds):
            self._due = self._clock.seconds()
            self.check_if_due()

    def check_if_due(self) -> None:
        """Begin a check, one at a time; what is heard meanwhile is for the next."""
        now = self._clock.seconds()
        if self._checking or not self._streams or now < self._due:
            return
        self._checking = True
        self._due = now + _CHECK_SECONDS
        checked = Deferred.fromCoroutine(self._check(tuple(self._streams)))
        # What can't be looked up is not ended, but looked up again soon.
        checked.addErrback(lambda failure: failure.trap(StoreUnavailable))
        checked.addErrback(lambda failure: self._log.failure("A check of streams failed", failure))
        checked.addBoth(self._checked)

    def _checked(self, _: object) -> None:
        self._checking = False

    async def _check(self, streams: Collection[Stream]) -> None:
        """End the streams of sign-ins that are over, and of people with another role now.

        One statement is for all of them.  A stream that is opened meanwhile waits for the next.
        """
        ids = {one.signed_in.web_session_id for one in streams}
        roles = await self._context.store.read(web_sessions.roles_of, ids, LONGEST)
        in_turns(self._clock, streams, lambda one: _end_unless_in(one, roles))


def _end_unless_in(stream: Stream, roles: Mapping[str, Role]) -> None:
    if roles.get(stream.signed_in.web_session_id) is not stream.signed_in.user.role:
        stream.end("reload")
