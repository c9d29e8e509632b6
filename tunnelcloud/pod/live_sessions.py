"""The sessions that are open on this pod, and their users' shares of it."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from twisted.internet.defer import Deferred

from tunnelcloud.domain.entities import Session
from tunnelcloud.domain.objects.sites import Tunnel
from tunnelcloud.net.places_of_users import PlacesOfUsers
from tunnelcloud.pod.byte_rates import Counts
from tunnelcloud.pod.channel_deadlines import Deadlines
from tunnelcloud.pod.held_channels import HeldChannel
from tunnelcloud.pod.list_cache import Listings
from tunnelcloud.pod.live_session import LiveSession
from tunnelcloud.pod.router import TunnelRoute
from tunnelcloud.pod.session_dependencies import Surroundings
from tunnelcloud.pod.user_shares import CHANNELS, HELD, SESSIONS, Opens, Shares, Tally
from tunnelcloud.store.sessions import Traffic

_DRAIN_POLL_SECONDS = 0.1
_LISTS_OF_A_USER = 2
POD_FULL = "this pod has too many connections open; try again later, or another pod"
TOO_MANY_CHANNELS = "you have {share} connections open on this pod, which is your share; close some"
POD_HOLDS_TOO_MANY = "too many connections wait for approvals on this pod; try again later"
TOO_MANY_HELD = (
    "{share} of your connections wait for approvals on this pod, which is your share; close some"
)
TOO_MANY_PENDING = "too many of your connections are still being made; try again in a moment"
TOO_FAST = "you open connections faster than your share of a busy pod; try again in a moment"


class LiveSessions:
    """The sessions that are open on this pod.

    :ivar deadlines: when to check which channels the clock ends.
    :ivar listings: a cache of rows that sessions were shown.
    :ivar lists: have so many lists of a user in memory at a time.
    """

    def __init__(
        self,
        around: Surroundings,
        shares: Shares | None = None,
        max_channels: int = CHANNELS,
        max_sessions: int = SESSIONS,
    ) -> None:
        shares = shares or Shares()
        self._around = around
        self._shares = shares
        share = max(1, shares.sessions * max_sessions // SESSIONS)  # a small pod's are small, too
        self._sessions_held = Tally(share, max_sessions)
        self._open = Tally(shares.channels, max_channels)
        self._waiting = Tally(shares.held, HELD)
        self._pending = Tally(shares.pending)
        self._checks = Tally(shares.checks)
        self._opens = Opens(around.clock, shares.opens_per_second)
        self._by_id: dict[str, LiveSession] = {}
        self._by_user: dict[str, set[LiveSession]] = {}
        self._channels: dict[str, Counter[str]] = {}
        self._places = itertools.count()
        self._ended_traffic: Traffic = (0, 0)
        self._shown_traffic: Traffic = (0, 0)
        self.deadlines = Deadlines()
        self.listings = Listings(around.clock)
        self.lists = PlacesOfUsers(around.clock, _LISTS_OF_A_USER)

    def begin(self, session: Session) -> LiveSession:
        """Add a session that was just written; the front door attaches its connection."""
        live = LiveSession(session, self._around, self)
        self._by_id[session.id] = live
        self._by_user.setdefault(session.user_id, set()).add(live)
        self._sessions_held.add(session.user_id)
        return live

    def session_ended(self, live: LiveSession) -> None:
        """Forget a session."""
        if self._by_id.pop(live.session.id, None) is not None:
            self._sessions_held.remove(live.session.user_id)
            self._ended_traffic = _sum(self._ended_traffic, live.carried.totals())
        of_user = self._by_user.get(live.session.user_id, set())
        of_user.discard(live)
        if not of_user:
            self._by_user.pop(live.session.user_id, None)

    def traffic(self) -> Traffic:
        """Count the bytes of all sessions since the start; it never becomes less.

        At its end a channel counts what its target took, which may be less than the client sent.
        """
        now = self._ended_traffic
        for live in self._by_id.values():
            now = _sum(now, live.carried.totals())
        shown = self._shown_traffic
        self._shown_traffic = max(shown[0], now[0]), max(shown[1], now[1])
        return self._shown_traffic

    def get(self, session_id: str) -> LiveSession | None:
        """Find a session by its id."""
        return self._by_id.get(session_id)

    def __contains__(self, session_id: str) -> bool:
        return session_id in self._by_id

    def has_channel(self, channel_id: str) -> bool:
        """Tell whether a channel is open here and recorded, by its id."""
        return any(
            route.record is not None and route.record.id == channel_id
            for live in self._by_id.values()
            for route in live.routes
        )

    def of_user(self, user_id: str) -> Iterable[LiveSession]:
        """Give a user's sessions."""
        return tuple(self._by_user.get(user_id, ()))

    def users(self) -> Iterable[str]:
        """Give the ids of users who have sessions."""
        return tuple(self._by_user)

    def __iter__(self) -> Iterator[LiveSession]:
        return iter(tuple(self._by_id.values()))

    def __len__(self) -> int:
        return len(self._by_id)

    def open_ids(self) -> tuple[frozenset[str], frozenset[str]]:
        """Give the ids of all sessions, and of their recorded channels."""
        channels = (route.record for live in self._by_id.values() for route in live.routes)
        return frozenset(self._by_id), frozenset(one.id for one in channels if one is not None)

    def count(self) -> Deferred[Counts]:
        """Count the bytes of all open sessions and channels, in turns of the reactor."""
        counts = Counts()
        return self._around.turns.run(self._count(counts)).addCallback(lambda _: counts)

    def _count(self, counts: Counts) -> Iterator[None]:
        for live in self:
            counts.of_sessions[live.session.id] = live.carried.totals()
            yield
            for route in tuple(live.routes):
                if route.record is not None:
                    one = route.record.id
                    counts.of_channels[one] = (route.bytes_to_target, route.bytes_from_target)
                    if route.connector_id is not None:
                        counts.carriers[one] = route.connector_id
                yield

    def drained(self, seconds: float) -> Deferred[None]:
        """Fire when no channel is open any more, or after a number of seconds."""
        clock, done = self._around.clock, Deferred[None]()
        deadline = clock.seconds() + seconds

        def look() -> None:
            if self.open_channels == 0 or clock.seconds() >= deadline:
                done.callback(None)
            else:
                clock.callLater(_DRAIN_POLL_SECONDS, look)

        look()
        return done

    @property
    def open_channels(self) -> int:
        """How many channels all sessions have open, or are making."""
        return self._open.total

    # Shares.

    def has_room(self, user_id: str) -> bool:
        """Tell whether a user may begin one more session here; any thread may ask."""
        return self._sessions_held.has_room(user_id)

    def channel_refusal(self, user_id: str, tunnel: Tunnel) -> str:
        """Return why a user may have no further channel of a tunnel now; empty if they may."""
        if not self._open.has_room(user_id):
            share = self._open.share
            full = self._open.counts[user_id] < share
            return POD_FULL if full else TOO_MANY_CHANNELS.format(share=share)
        pending = "" if self._pending.has_room(user_id) else TOO_MANY_PENDING
        return self._target_refusal(user_id, tunnel) or pending or self._speed_refusal(user_id)

    def hold_refusal(self, user_id: str, tunnel: Tunnel) -> str:
        """Return why no further channel of a user may wait for an approval now; empty if one may.

        A user has no more that wait for one tunnel than may be open to it: one approval opens all.
        """
        if not self._waiting.has_room(user_id):
            share = self._waiting.share
            full = self._waiting.counts[user_id] < share
            return POD_HOLDS_TOO_MANY if full else TOO_MANY_HELD.format(share=share)
        return self._target_refusal(user_id, tunnel) or self._speed_refusal(user_id)

    def _target_refusal(self, user_id: str, tunnel: Tunnel) -> str:
        share, counts = self._shares.per_target, self._channels.get(user_id)
        if counts is None or counts[tunnel.id] < share:
            return ""
        return f"{tunnel.name}: " + TOO_MANY_CHANNELS.format(share=share)

    def _speed_refusal(self, user_id: str) -> str:
        return "" if self._opens.take(user_id) else TOO_FAST

    def settle_pending(self, user_id: str) -> None:
        """Count one pending open less."""
        self._pending.remove(user_id)

    def begin_check(self, user_id: str) -> bool:
        """Count one more check of the way to a tunnel, if the user may have it."""
        if not self._checks.has_room(user_id):
            return False
        self._checks.add(user_id)
        return True

    def end_check(self, user_id: str) -> None:
        """Count one check less."""
        self._checks.remove(user_id)

    def channel_begun(self, live: LiveSession, route: TunnelRoute) -> None:
        """Count a channel that is being made."""
        self._open.add(live.user_id)
        self._pending.add(live.user_id)
        self._begin_use(live, route.tunnel)

    def channel_ended(self, route: TunnelRoute) -> None:
        """Stop counting a channel."""
        self._open.remove(route.session.user_id)
        self._end_use(route.session.user_id, route.tunnel)

    def hold_begun(self, live: LiveSession, held: HeldChannel) -> None:
        """Count a channel that waits for an approval."""
        self._waiting.add(live.user_id)
        self._begin_use(live, held.tunnel)

    def hold_ended(self, held: HeldChannel) -> None:
        """Stop counting a channel that no longer waits."""
        self._waiting.remove(held.session.user_id)
        self._end_use(held.session.user_id, held.tunnel)

    def _begin_use(self, live: LiveSession, tunnel: Tunnel) -> None:
        """Count a channel of a tunnel; with its first a session begins to use one."""
        if live.place is None:
            live.place = next(self._places)
        self._channels.setdefault(live.user_id, Counter())[tunnel.id] += 1

    def _end_use(self, user_id: str, tunnel: Tunnel) -> None:
        counts = self._channels[user_id]
        counts[tunnel.id] -= 1
        if not counts[tunnel.id]:
            del counts[tunnel.id]
        if not counts:
            del self._channels[user_id]

    def count_older(self, one: LiveSession) -> int:
        """Count the sessions of the same user that used a tunnel before this one did."""
        return sum(
            live is not one
            and live.place is not None
            and (one.place is None or live.place < one.place)
            for live in self._by_user.get(one.session.user_id, ())
        )

    def usage(self, user_id: str) -> tuple[int, Mapping[str, int]]:
        """Count a user's sessions that use a tunnel, and their channels by the tunnel's id.

        May be called in any thread.
        """
        used = sum(live.place is not None for live in self.of_user(user_id))
        return used, self._channels.get(user_id, {})

    def count_channels(
        self, user_id: str, tunnel_id: str, leaving_out: TunnelRoute | HeldChannel | None
    ) -> int:
        """Count a user's open channels of a tunnel."""
        count = self._channels[user_id][tunnel_id] if user_id in self._channels else 0
        return count - (leaving_out is not None and leaving_out.tunnel.id == tunnel_id)

    def end_all(self, reason: str) -> None:
        """End every session."""
        for live in tuple(self._by_id.values()):
            live.end(reason)


def _sum(one: Traffic, other: Traffic) -> Traffic:
    return one[0] + other[0], one[1] + other[1]
