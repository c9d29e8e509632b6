"""Work that strangers cause, one piece at a time: everybody else waits behind one of these at most.

Its causers take turns among themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

from tunnelcloud.net.round_robin import RoundRobin

T = TypeVar("T")


class OneAtATime:
    """A place for one piece of work."""

    def __init__(self) -> None:
        self._turns = RoundRobin[Deferred[None]]()
        self._is_taken = False

    async def run(self, source: str, work: Callable[[], Coroutine[Deferred[Any], Any, T]]) -> T:
        """Do a piece of work in the turn of its source; who gives up waits no more.

        :param source: whoever causes it.
        """
        if self._is_taken:
            turn: Deferred[None] = Deferred(self._turns.drop)
            self._turns.add(source, turn)
            await turn
        self._is_taken = True
        try:
            return await work()
        finally:
            self._go_on()

    def _go_on(self) -> None:
        """Give the place to the next, if any waits."""
        turn = self._turns.take()
        if turn is None:
            self._is_taken = False
        else:
            self._turns.served(turn)
            turn.callback(None)
