"""Work that takes long, away from the reactor's thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from http import HTTPStatus
from typing import TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorFromThreads

from tunnelcloud.interpreter import in_turn
from tunnelcloud.web.problems import Problem

MAX_WAITING = 100

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

    def run(self, work: Callable[[], _Answer]) -> Deferred[_Answer]:
        """Do it, after what waits already; fails with 503 when too much does.

        A Deferred that is cancelled is forgotten; its work may still be done.
        """
        answer: Deferred[_Answer] = Deferred(lambda _: None)
        if self._waiting >= MAX_WAITING:
            headers = {"Retry-After": "5"}
            return fail(Problem(HTTPStatus.SERVICE_UNAVAILABLE, self._too_many, headers=headers))
        self._waiting += 1

        def fire(done: Future[_Answer]) -> None:
            self._waiting -= 1
            error = done.exception()
            if answer.called:
                return
            if error is None:
                answer.callback(done.result())
            else:
                answer.errback(error)

        future = self._thread.submit(_in_turn if self._takes_turns else _at_once, work)
        future.add_done_callback(lambda done: self._reactor.callFromThread(fire, done))
        return answer
