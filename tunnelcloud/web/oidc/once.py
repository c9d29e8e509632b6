"""Asks a question once for all callers that ask the same at the same time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

_Answer = TypeVar("_Answer")


class Once(Generic[_Answer]):
    """Asks once for all callers that wait; one that stops waiting doesn't end it for the others."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, list[Deferred[_Answer]]] = {}

    async def get(self, key: Hashable, ask: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """Give the answer to what is being asked, or ask.

        :param key: the same for the same question.
        """
        mine: Deferred[_Answer] = Deferred(lambda _: None)
        waiting = self._waiting.get(key)
        if waiting is not None:
            waiting.append(mine)
            return await mine
        self._waiting[key] = [mine]

        async def work() -> _Answer:
            return await ask()

        Deferred.fromCoroutine(work()).addBoth(self._answered, key)
        return await mine

    def _answered(self, answer: _Answer | Failure, key: Hashable) -> None:
        for one in self._waiting.pop(key):
            if not one.called:
                one.callback(answer)
