"""A cache of the rows that sessions were shown within the last second.

A user may have thousands of tunnels, and a script that lists them many times a second.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

from attrs import define, field
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from tunnelcloud.domain.entities import UserView
from tunnelcloud.ssh.interfaces import TunnelRow

KEPT_SECONDS = 1.0
WORTH_KEEPING = 64
"""A list with fewer rows isn't cached: making it takes one turn of the reactor."""

_Rows = Sequence[TunnelRow]


@define(eq=False)
class _Listing:
    view: UserView
    rows: _Rows | None = None
    waiting: dict[Deferred[_Rows], None] = field(factory=dict)
    making: Deferred[_Rows] | None = None


class Listings:
    """Long lists of the last second, and those that are being made."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._kept: dict[Hashable, _Listing] = {}

    def get(
        self, view: UserView, kind: Hashable, make: Callable[[], Deferred[_Rows]]
    ) -> Deferred[_Rows]:
        """Give the rows of a view; they aren't made any more once nobody waits for them.

        :param kind: what else the rows depend on.
        :param make: makes the rows.
        """
        if len(view.grants) < WORTH_KEEPING:
            return make()
        key = (view.user.id, kind)
        listing = self._kept.get(key)
        if listing is None or listing.view is not view:
            listing = self._kept[key] = _Listing(view)
            listing.making = make()
            listing.making.addBoth(self._made, listing, key)
        if listing.rows is not None:
            return succeed(listing.rows)
        answer: Deferred[_Rows] = Deferred(lambda one: self._wait_no_more(one, listing, key))
        listing.waiting[answer] = None
        return answer

    def _wait_no_more(self, answer: Deferred[_Rows], listing: _Listing, key: Hashable) -> None:
        del listing.waiting[answer]
        if not listing.waiting and listing.making is not None:
            self._forget(listing, key)
            listing.making.cancel()

    def _made(self, outcome: _Rows | Failure, listing: _Listing, key: Hashable) -> None:
        listing.making = None
        if isinstance(outcome, Failure):
            self._forget(listing, key)
        else:
            listing.rows = outcome
            self._clock.callLater(KEPT_SECONDS, self._forget, listing, key)
        waiting, listing.waiting = listing.waiting, {}
        for answer in waiting:
            answer.callback(outcome)

    def _forget(self, listing: _Listing, key: Hashable) -> None:
        if self._kept.get(key) is listing:
            del self._kept[key]
