"""Work that takes long, away from the reactor's thread; whoever causes it takes turns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from http import HTTPStatus
from threading import Lock
from typing import Any, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorFromThreads

from tunnelcloud.interpreter_lock import in_turn
from tunnelcloud.net.round_robin import CAUSER, RoundRobin
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


@define(eq=False)
class _Job:
    """A piece of work.

    :ivar source: who causes it.
    :ivar future: its answer; fails with ``Problem`` when it made room for another's.
    """

    work: Callable[[], Any]
    source: str
    future: Future[Any] = field(factory=Future)


def _do(job: _Job, do: Callable[[Callable[[], Any]], Any]) -> None:
    try:
        answer = do(job.work)
    except BaseException as error:  # whoever waits for it is to know
        job.future.set_exception(error)
        del job  # the error holds this frame
    else:
        job.future.set_result(answer)


class Worker:
    """One thread, so that a crowd costs one core and one job's memory, not the machine.

    Sources take turns.  When ``MAX_WAITING`` pieces wait, the source with the most of them makes
    room for another: a stranger with a hundred connections keeps nobody else from a page.

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
        self._of: Counter[str] = Counter()
        self._lock = Lock()  # guards what follows: both threads use it
        self._turns = RoundRobin[_Job]()
        self._waiting: dict[str, dict[_Job, None]] = {}
        self._running = 0

    def run(
        self, work: Callable[[], _Answer], whose: str = "", source: str = ""
    ) -> Deferred[_Answer]:
        """Do it, in the turn of its source; fails with 503 when too much waits.

        A Deferred that is cancelled is forgotten; its work isn't done unless it has begun.

        :param source: who takes turns with others: a network, or a user; ``CAUSER`` if empty.
        :param whose: the user who causes it: fails with 429 when ``MOST_OF_ONE`` pieces of theirs
            wait or are done; empty where nobody is counted.
        """
        source = source or CAUSER.get()
        if not self._has_place(source):
            return fail(self._crowded())
        if whose and self._of[whose] >= MOST_OF_ONE:
            text = f"{MOST_OF_ONE} such things are being done for you: wait until they are done"
            return fail(Problem(HTTPStatus.TOO_MANY_REQUESTS, text, headers=_COME_BACK))
        job = _Job(work, source)
        self._enter(job)
        self._count(whose, 1)
        future = job.future
        self._thread.submit(self._next)

        def give_up(_: object) -> None:
            future.cancel()
            self._leave(job)

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

    def _crowded(self) -> Problem:
        return Problem(HTTPStatus.SERVICE_UNAVAILABLE, self._too_many, headers=_COME_BACK)

    def _has_place(self, source: str) -> bool:
        with self._lock:
            return not self._is_full() or self._has_more(source) is not None

    def _is_full(self) -> bool:
        return self._running + sum(map(len, self._waiting.values())) >= MAX_WAITING

    def _has_more(self, source: str) -> str | None:
        """Name the source that makes room for another; None where none has more."""
        most = max(self._waiting, key=lambda one: len(self._waiting[one]), default=source)
        mine = len(self._waiting.get(source, ()))
        return most if len(self._waiting.get(most, ())) > mine + 1 else None

    def _enter(self, job: _Job) -> None:
        """Have a job wait, perhaps in the place of the oldest of the source with the most."""
        dropped = None
        with self._lock:
            crowded = self._has_more(job.source) if self._is_full() else None
            if crowded is not None:
                dropped = next(iter(self._waiting[crowded]))
                self._drop(dropped)
            self._turns.add(job.source, job)
            self._waiting.setdefault(job.source, {})[job] = None
        if dropped is not None:
            dropped.future.set_exception(self._crowded())

    def _leave(self, job: _Job) -> None:
        with self._lock:
            self._drop(job)

    def _drop(self, job: _Job) -> None:
        """Let a job wait no more, if it does."""
        self._turns.drop(job)
        waiting = self._waiting.get(job.source, {})
        waiting.pop(job, None)
        if not waiting:
            self._waiting.pop(job.source, None)

    def _next(self) -> None:
        """Do what is to be done next; called in the thread."""
        with self._lock:
            job = self._turns.take()
            if job is None:
                return  # another was dropped, or cancelled
            self._turns.served(job)
            self._drop(job)
            self._running += 1
        try:
            if job.future.set_running_or_notify_cancel():
                _do(job, _in_turn if self._takes_turns else _at_once)
        finally:
            with self._lock:
                self._running -= 1

    def _count(self, whose: str, change: int) -> None:
        self._of[whose] += change
        if not self._of[whose]:
            del self._of[whose]
