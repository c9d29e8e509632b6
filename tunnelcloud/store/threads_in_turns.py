"""A few threads that read or write; the users who cause the work take turns.

Some reads take half a second.  A user who asks for many things at once keeps others waiting for one
of them, and not for all.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any, TypeVar

from tunnelcloud.net.round_robin import CAUSER, RoundRobin

T = TypeVar("T")


class ThreadsInTurns:
    """Runs functions; those of one causer take a quarter of the threads, or one of few.

    A function without a known causer, such as one of the pod itself, counts as the only one of a
    causer of its own.

    :param name: of the threads, each with a number behind it.
    """

    def __init__(self, count: int, name: str) -> None:
        self._threads = ThreadPoolExecutor(count, thread_name_prefix=name)
        self._lock = Lock()  # guards what follows: all threads use it
        self._turns = RoundRobin[Future[Any]](max(1, count // 4))
        self._works: dict[Future[Any], Callable[[], Any]] = {}
        self._number = 0

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Run a function in the turn of whoever causes it.

        :raise RuntimeError: the threads have ended.
        """
        future: Future[T] = Future()
        with self._lock:
            # Before the function waits: one that is refused must not be done by a thread that is
            # still at work.
            self._threads.submit(self._go_on)
            self._number += 1
            self._turns.add(CAUSER.get() or f"{self._number}", future)
            self._works[future] = work
        future.add_done_callback(self._leave)
        return future

    def close(self, *, cancels: bool = True) -> None:
        """End the threads.  Blocks until the functions that run are done.

        :param cancels: whether to cancel the functions that still wait; otherwise they are run.
        """
        self._threads.shutdown(wait=False, cancel_futures=cancels)
        with self._lock:
            waiting = list(self._works) if cancels else []
        for one in waiting:
            one.cancel()
        self._threads.shutdown(wait=True)

    def _leave(self, future: Future[Any]) -> None:
        """Forget what was cancelled: it has no turn any more."""
        if future.cancelled():
            with self._lock:
                self._turns.drop(future)
                self._works.pop(future, None)

    def _go_on(self) -> None:
        """Do what is to be done next, and what had to wait for it; called in a thread."""
        future = None
        while True:
            with self._lock:
                if future is not None:
                    self._turns.served(future)
                future = self._turns.take()
                work = None if future is None else self._works.pop(future)
            if future is None or work is None:
                return
            if future.set_running_or_notify_cancel():
                _do(work, future)
            work = None


def _do(work: Callable[[], T], future: Future[T]) -> None:
    try:
        answer = work()
    except BaseException as error:  # whoever waits for it is to know
        future.set_exception(error)
        del future  # the error holds this frame
    else:
        future.set_result(answer)
