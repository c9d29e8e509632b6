"""Which target is checked next: sites take turns, and none waits for the checks of another.

A connector may leave an open without an answer for as long as a check waits.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from tunnelcloud.domain.objects.sites import Tunnel

AT_ONCE = 4
"""How many checks of one site may be under way, and how many of all sites that began just now."""

QUICK_SECONDS = 0.25
"""After so many seconds a check is waited for by its own site only."""


class CheckOrder:
    """Begins checks, a few at a time.

    :param begin: begins the check of a tunnel; fires when that is over, and never fails.
    """

    def __init__(self, clock: IReactorTime, begin: Callable[[Tunnel], Deferred[None]]) -> None:
        self._clock = clock
        self._begin = begin
        self._waiting: dict[str, deque[str]] = {}  # ids of tunnels, by their site's
        self._tunnels: dict[str, Tunnel] = {}
        self._busy: Counter[str] = Counter()
        self._places = AT_ONCE
        self._is_beginning = False

    def add(self, tunnel: Tunnel, *, first: bool = False) -> None:
        """Have a tunnel checked, once if it waits already.

        :param first: before others of its site.
        """
        if tunnel.id not in self._tunnels:
            waiting = self._waiting.setdefault(tunnel.site_id, deque())
            if first:
                waiting.appendleft(tunnel.id)
            else:
                waiting.append(tunnel.id)
        self._tunnels[tunnel.id] = tunnel
        self._go_on()

    def keep(self, tunnel_ids: Collection[str]) -> None:
        """Let no tunnels wait but these."""
        for gone in self._tunnels.keys() - tunnel_ids:
            del self._tunnels[gone]

    def _go_on(self) -> None:
        if self._is_beginning:
            return  # a check that was over at once
        self._is_beginning = True
        try:
            while self._places and (tunnel := self._next()) is not None:
                self._start(tunnel)
        finally:
            self._is_beginning = False

    def _next(self) -> Tunnel | None:
        """Take the next tunnel of the site whose turn it is."""
        for site_id in tuple(self._waiting):
            if self._busy[site_id] >= AT_ONCE:
                continue
            waiting = self._waiting.pop(site_id)
            tunnel = None
            while waiting and tunnel is None:
                tunnel = self._tunnels.pop(waiting.popleft(), None)
            if waiting:
                self._waiting[site_id] = waiting  # behind the others
            if tunnel is not None:
                return tunnel
        return None

    def _start(self, tunnel: Tunnel) -> None:
        site_id = tunnel.site_id
        self._busy[site_id] += 1
        self._places -= 1
        timer = self._clock.callLater(QUICK_SECONDS, self._is_slow)
        self._begin(tunnel).addCallback(self._over, site_id, timer)

    def _is_slow(self) -> None:
        self._places += 1
        self._go_on()

    def _over(self, _: None, site_id: str, timer: IDelayedCall) -> None:
        self._busy[site_id] -= 1
        if not self._busy[site_id]:
            del self._busy[site_id]
        if timer.active():
            timer.cancel()
            self._places += 1
        self._go_on()
