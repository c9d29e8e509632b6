"""Pages that keep themselves fresh: one look for all who watch the same, sent when it differs.

A page is shown as to any visitor, by its own handler, and the parts that are marked in it are cut
out (``refreshed_parts``).  Who watches the same address with the same rights gets the same bytes.
An address is looked at as often as its parts say, and at once when the change feed tells of
something that its page waits for, on whichever pod that was.  Users take turns with what they
watch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from urllib.parse import urlencode

from attrs import define, evolve, field
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import Request

from tunnelcloud.net.round_robin import RoundRobin
from tunnelcloud.store.errors import StoreUnavailable
from tunnelcloud.store.transaction import Change, Resync
from tunnelcloud.web.portal.live_rights import WatchRights
from tunnelcloud.web.portal.live_streams import Stream, in_turns
from tunnelcloud.web.portal.page_requests import Followed, PageRoute, Reply, Shown, Visit, values_of
from tunnelcloud.web.portal.refreshed_parts import Parts, cut_parts, event_of
from tunnelcloud.web.portal.rendering import Renderer
from tunnelcloud.web.portal.resource import LIVE, read_fields
from tunnelcloud.web.problems import Problem, forbidden, not_found
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import EVERYBODY

MOST_OF_A_USER = 4
MOST_STREAMS = 2000
MOST_ADDRESSES = 4
_LONGEST_ADDRESS = 2000
_TICK = 0.5
_AGAIN_SECONDS = 3
"""When to look again at a page that can't be shown now."""

_KEEP_ALIVE_SECONDS = 25
_SOONEST = 0.5
"""Seconds between two looks at the same address, whatever is heard."""

_TOLD_AGAIN_SECONDS = 30
"""Seconds after which a page is told that only the time has passed."""

_LOOKS = 2
"""Pages that are made at the same time."""

_RESTS = 2
"""How many times as long as a look took nobody looks in its place: however many watch, looks take a
third of the time of two threads at most."""

_LONGEST_REST = 1.0

_Key = tuple[str, str]


@define(eq=False)
class _Watched:
    """An address that somebody watches.

    :ivar visit: by which it is looked at.
    :ivar due: when to look again; None when nothing is going to change.
    """

    key: _Key
    page: PageRoute
    visit: Visit
    streams: dict[Stream, None] = field(factory=dict)
    parts: Parts | None = None
    event: bytes = b""
    due: float | None = 0.0
    looked_at: float = float("-inf")
    sent_at: float = 0.0
    is_queued: bool = False


class Hub:
    """All streams of this pod."""

    _log = Logger()

    def __init__(self, context: ApiContext, pages: Sequence[PageRoute], renderer: Renderer) -> None:
        self._context = context
        self._clock = context.clock
        self._pages = pages
        self._renderer = renderer
        self._watched: dict[_Key, _Watched] = {}
        self._streams: dict[Stream, list[_Watched]] = {}
        self._of_users: dict[str, dict[Stream, None]] = {}  # by the user's id, oldest first
        self._turns = RoundRobin[_Watched]()
        self._looking = 0
        self._heard: set[str] | None = None
        self._ticking = False
        self._rights = WatchRights(context, self._streams)
        self._kept_alive_at = 0.0
        context.listeners.append(self.heard)

    def route(self) -> PageRoute:
        """Make the row of the page table for the streams."""
        return PageRoute("GET", LIVE, EVERYBODY, self.open)

    async def open(self, visit: Visit) -> Reply:
        """Begin a stream of the parts of some pages.

        :raise Problem: 400, 403 or 404 for a page that can't be watched.
        """
        addresses = _addresses(visit)
        found = {one.key: one for one in (self._find(visit, address) for address in addresses)}
        return Followed(lambda request: self._begin(request, visit, found.values()))

    def heard(self, change: Change | Resync) -> None:
        """Look soon at pages that wait for such a change; the changes of one turn count as one."""
        kind = "" if isinstance(change, Resync) else change.kind
        if self._heard is None:
            self._heard = set()
            self._clock.callLater(0, self._take)
        self._heard.add(kind)

    def __len__(self) -> int:
        return len(self._streams)

    # Opening and closing.

    def _find(self, visit: Visit, address: str) -> _Watched:
        path, _, query = address.partition("?")
        signed_in = visit.who()
        for page in self._pages:
            params = page.match(path)
            if params is not None and page.method == "GET":
                break
        else:
            raise not_found("there is no such page")
        if page.anonymous or signed_in.user.role not in page.roles:
            raise forbidden("this page can't be watched")
        shared = page.shared
        # What the page doesn't read makes no other page of it.
        known = {name: text for name, text in _first_values(query).items() if name in page.query}
        address = f"{path}?{urlencode(sorted(known.items()))}" if known else path
        own = evolve(
            visit,
            address=address,
            params=params,
            query=known,
            csrf="" if shared else visit.csrf,
        )
        whose = signed_in.user.role if shared else signed_in.web_session_id
        return _Watched((address, whose), page, own)

    def _begin(self, request: Request, visit: Visit, found: Iterable[_Watched]) -> None:
        signed_in = visit.who()
        addresses = [one.key[0] for one in found]
        stream = Stream(request, signed_in, addresses, self._clock, self._gone)
        stream.start()
        if not addresses:
            stream.end("nothing")
            return
        user_id = signed_in.user.id
        theirs = tuple(self._of_users.get(user_id, ()))
        for one in theirs[: max(0, len(theirs) + 1 - MOST_OF_A_USER)]:
            one.end("crowded")
        if len(self._streams) >= MOST_STREAMS:
            stream.end("crowded")
            return
        self._of_users.setdefault(user_id, {})[stream] = None
        seen = request.getHeader("last-event-id")
        self._streams[stream] = [self._watch(one, stream, seen) for one in found]
        if not self._ticking:
            self._ticking = True
            self._kept_alive_at = self._clock.seconds()
            self._rights.check_later()
            self._clock.callLater(0, self._tick)

    def _watch(self, new: _Watched, stream: Stream, seen: str | None) -> _Watched:
        watched = self._watched.setdefault(new.key, new)
        watched.streams[stream] = None
        if watched.parts is not None and watched.parts.digest != seen:
            stream.send(watched.key[0], watched.event)
        return watched

    def _gone(self, stream: Stream) -> None:
        user_id = stream.signed_in.user.id
        theirs = self._of_users.get(user_id, {})
        theirs.pop(stream, None)
        if not theirs:
            self._of_users.pop(user_id, None)
        for watched in self._streams.pop(stream, ()):
            watched.streams.pop(stream, None)
            if not watched.streams:
                self._watched.pop(watched.key, None)
                self._turns.drop(watched)

    # Looking.

    def _take(self) -> None:
        kinds, self._heard = self._heard or set(), None
        for watched in self._watched.values():
            if "" in kinds or not kinds.isdisjoint(watched.page.wakes):
                soon = watched.looked_at + _SOONEST
                watched.due = soon if watched.due is None else min(soon, watched.due)
        if kinds:
            self._look_at_due()
        self._rights.heard(kinds)

    def _tick(self) -> None:
        if not self._streams:
            self._ticking = False
            return
        self._clock.callLater(_TICK, self._tick)
        self._look_at_due()
        now = self._clock.seconds()
        for stream in tuple(self._streams):
            stream.drop_unread()
        self._rights.check_if_due()
        if now - self._kept_alive_at >= _KEEP_ALIVE_SECONDS:
            self._kept_alive_at = now
            in_turns(self._clock, tuple(self._streams), Stream.keep_alive)

    def _look_at_due(self) -> None:
        """Have pages that are due wait for their users' turns, some in each turn of the reactor."""
        due = [watched for watched in self._watched.values() if self._is_due(watched)]
        in_turns(self._clock, due, self._wait_for_a_look)

    def _is_due(self, watched: _Watched) -> bool:
        is_late = watched.due is not None and watched.due <= self._clock.seconds()
        return is_late and not watched.is_queued and bool(watched.streams)

    def _wait_for_a_look(self, watched: _Watched) -> None:
        if self._is_due(watched):
            watched.is_queued = True
            self._turns.add(self._whose(watched), watched)
            self._look()

    def _whose(self, watched: _Watched) -> str:
        """Choose the user in whose turn to look: of all who watch, the one with the fewest pages
        due.
        """
        users = dict.fromkeys(one.signed_in.user.id for one in watched.streams)
        return min(users, key=self._turns.load_of)

    def _look(self) -> None:
        while self._looking < _LOOKS:
            watched = self._turns.take()
            if watched is None:
                return
            self._looking += 1
            watched.looked_at = self._clock.seconds()
            watched.due = None
            looked = Deferred.fromCoroutine(self._page(watched))
            looked.addCallbacks(self._looked, self._failed, (watched,), errbackArgs=(watched,))
            looked.addErrback(lambda failure: self._log.failure("A live page failed", failure))
            looked.addBoth(self._next, watched)

    def _next(self, _: object, watched: _Watched) -> None:
        watched.is_queued = False
        self._turns.served(watched)
        took = self._clock.seconds() - watched.looked_at
        self._clock.callLater(min(_RESTS * took, _LONGEST_REST), self._rested)

    def _rested(self) -> None:
        self._looking -= 1
        self._look()

    async def _page(self, watched: _Watched) -> Parts:
        """Make the parts, away from the reactor's thread."""
        reply = await watched.page.handler(watched.visit)
        if not isinstance(reply, Shown) or reply.status >= 300:
            raise not_found("there is no such page any more")
        values, now = values_of(watched.visit, reply, ""), self._context.now()

        def make() -> Parts:
            return cut_parts(self._renderer.render(reply.template, values, now))

        return await self._context.showing.run(make, source=LIVE)

    def _looked(self, parts: Parts, watched: _Watched) -> None:
        now = self._clock.seconds()
        before, watched.parts = watched.parts, parts
        if parts.seconds is not None:
            soon = watched.due is not None
            watched.due = now + (_SOONEST if soon else parts.seconds)
        is_new = before is None or before.digest != parts.digest
        is_old = before is not None and before.html != parts.html
        if not parts.html:
            return
        if is_new or (is_old and now - watched.sent_at >= _TOLD_AGAIN_SECONDS):
            watched.sent_at = now
            watched.event = event = event_of(parts)
            address = watched.key[0]
            in_turns(self._clock, tuple(watched.streams), lambda one: one.send(address, event))

    def _failed(self, failure: Failure, watched: _Watched) -> None:
        """Try again later; where the page is gone, have the browser load it again."""
        if failure.check(StoreUnavailable) or _is_passing(failure):
            watched.due = self._clock.seconds() + _AGAIN_SECONDS
            return
        if not failure.check(Problem):
            self._log.failure("The live page {path} failed", failure, path=watched.visit.path)
        for stream in tuple(watched.streams):
            stream.end("reload")


def _addresses(visit: Visit) -> list[str]:
    """Read which pages a stream is for.

    :raise Problem: 400 for too many, or too long ones.
    """
    query = read_fields(visit.address.partition("?")[2].encode("ascii", "replace"))
    found = list(dict.fromkeys(query.get("address", ())))
    if len(found) > MOST_ADDRESSES or any(len(one) > _LONGEST_ADDRESS for one in found):
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            f"watch {MOST_ADDRESSES} addresses at most, of {_LONGEST_ADDRESS} characters each",
        )
    return found


def _first_values(query: str) -> dict[str, str]:
    fields = read_fields(query.encode("ascii", "replace"))
    return {name: values[0] for name, values in fields.items()}


def _is_passing(failure: Failure) -> bool:
    """Tell whether a page can't be shown for the moment only."""
    error = failure.value
    return isinstance(error, Problem) and error.status == HTTPStatus.SERVICE_UNAVAILABLE
