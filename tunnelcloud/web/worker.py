"""Work that takes long, away from the reactor's thread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from http import HTTPStatus
from typing import TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorFromThreads

from tunnelcloud.interpreter import in_turn
from tunnelcloud.web.problems import Problem

MAX_WAITING = 100
MOST_OF_ONE = 2
"""Pieces of work of one user that may wait at a time, where it is told whose they are."""

_COME_BACK = {"Retry-After": "5"}

_Answer = TypeVar("_Answer")


def _in_turn(work: Callable[[], _Answer]) -> _Answer:
    with in_turn():
        return work()


def _at_once(work: Callable[[], _Answer]) -> _Answer:
    return work()


class Worker:
    """One thread, so that a crowd costs one core and one job's memory, not the machine.

    :param name: of the thread.
    :param too_many: what those are told who would wait behind ``MAX_WAITING`` others.
    :param takes_turns: whether its thread works while no other does; not for work that lets go of
        Python's lock for long.
    """

    def __init__(
        self,
        reactor: IReactorFromThreads,
        name: str,
        too_many: str,
        *,
        takes_turns: bool = True,
    ) -> None:
        self._reactor = reactor
        self._thread = ThreadPoolExecutor(1, name)
        self._too_many = too_many
        self._takes_turns = takes_turns
        self._waiting = 0
        self._of: Counter[str] = Counter()

    def run(self, work: Callable[[], _Answer], whose: str = "") -> Deferred[_Answer]:
        """Do it, after what waits already; fails with 503 when too much does.

        A Deferred that is cancelled is forgotten; its work isn't done unless it has begun.

        :param whose: the user who causes it: fails with 429 when ``MOST_OF_ONE`` pieces of theirs
            wait or are done; empty where nobody is counted.
        """
        if self._waiting >= MAX_WAITING:
            status = HTTPStatus.SERVICE_UNAVAILABLE
            return fail(Problem(status, self._too_many, headers=_COME_BACK))
        if whose and self._of[whose] >= MOST_OF_ONE:
            text = f"{MOST_OF_ONE} such things are being done for you: wait until they are done"
            return fail(Problem(HTTPStatus.TOO_MANY_REQUESTS, text, headers=_COME_BACK))
        self._count(whose, 1)
        future = self._thread.submit(_in_turn if self._takes_turns else _at_once, work)

        def give_up(_: object) -> None:
            future.cancel()

        answer: Deferred[_Answer] = Deferred(give_up)

        def fire(done: Future[_Answer]) -> None:
            self._count(whose, -1)
            if answer.called:
                return
            error = done.exception()
            if error is None:
                answer.callback(done.result())
            else:
                answer.errback(error)

        future.add_done_callback(lambda done: self._reactor.callFromThread(fire, done))
        return answer

    def _count(self, whose: str, change: int) -> None:
        self._waiting += change
        self._of[whose] += change
        if not self._of[whose]:
            del self._of[whose]
