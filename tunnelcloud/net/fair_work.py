"""Work that strangers can cause: few pieces at a time, and its causers take turns."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred

from tunnelcloud.net.connection_capacity import Crowd

T = TypeVar("T")


class TooMuchWork(Exception):
    """There is no room for a piece of work, or it made room for another source's."""


class FairWork:
    """A room for work.  When it is full, the source with the most in it makes room for another.

    :param room: how many pieces may be under way.
    """

    def __init__(self, room: int) -> None:
        self._crowd: Crowd[Deferred[Any]] = Crowd(room, self._drop)
        self._dropped: set[Deferred[Any]] = set()

    def __len__(self) -> int:
        return len(self._crowd)

    async def run(self, source: str, work: Coroutine[Deferred[Any], Any, T]) -> T:
        """Do a piece of work.

        :param source: the address of whoever causes it.
        :raise TooMuchWork: it isn't done.
        """
        if not self._crowd.admits(source):
            work.close()
            raise TooMuchWork
        working = Deferred.fromCoroutine(work)
        self._crowd.enter(working, source)
        try:
            return await working
        except CancelledError:
            if working in self._dropped:
                raise TooMuchWork from None
            raise
        finally:
            self._crowd.leave(working)
            self._dropped.discard(working)

    def _drop(self, working: Deferred[Any]) -> None:
        self._dropped.add(working)
        working.cancel()
