"""What one user may have under way at a time, since it takes memory as long as it lasts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

T = TypeVar("T")


class PlacesOfUsers:
    """Lets a limited number of each user's pieces of work be under way; the user's others wait.

    :param clock: the reactor's.
    :param most: how many of a user's are under way at a time.
    """

    def __init__(self, clock: IReactorTime, most: int) -> None:
        self._clock = clock
        self._most = most
        self._counts: Counter[str] = Counter()
        self._waiting: dict[str, dict[Deferred[None], None]] = {}

    async def run(
        self,
        user_id: str,
        work: Callable[[], Coroutine[Deferred[Any], Any, T]],
        until: Callable[[T], Deferred[Any] | None] = lambda _: None,
    ) -> T:
        """Do a piece of work now, or when others of its user are over.

        Who gives up waits no more.

        :param until: tells when what was made is over; None if it is so at once.
        """
        if self._counts[user_id] < self._most:
            self._counts[user_id] += 1
        else:
            place: Deferred[None] = Deferred(lambda given_up: self._wait_no_more(user_id, given_up))
            self._waiting.setdefault(user_id, {})[place] = None
            await place
        try:
            answer = await work()
        except BaseException:
            self._end(user_id)
            raise
        ended = until(answer)
        if ended is None:
            self._end(user_id)
        else:
            ended.addBoth(lambda _: self._end(user_id))
        return answer

    def _end(self, user_id: str) -> None:
        if user_id in self._waiting:
            self._clock.callLater(0, self._pass_on, user_id)
        else:
            self._leave(user_id)

    def _pass_on(self, user_id: str) -> None:
        """Give the place of what is over to the next."""
        waiting = self._waiting.get(user_id)
        if waiting is None:
            self._leave(user_id)
            return
        place = next(iter(waiting))
        self._wait_no_more(user_id, place)
        place.callback(None)

    def _wait_no_more(self, user_id: str, place: Deferred[None]) -> None:
        waiting = self._waiting[user_id]
        del waiting[place]
        if not waiting:
            del self._waiting[user_id]

    def _leave(self, user_id: str) -> None:
        self._counts[user_id] -= 1
        if not self._counts[user_id]:
            del self._counts[user_id]
