"""Python's interpreter lock: how the reactor's thread gets it beside threads that work.

A thread that waits for the lock demands it after ``SWITCH_SECONDS``, and the one that has it hands
it over.  A thread that lets go of the lock by itself, again and again and for a few microseconds
each time, is never asked: it has the lock again before those that wait are awake, and they begin
to wait anew.  Each statement of SQLite and each line written to a file do so; the reactor's thread
then waited for up to 300 ms.  Such threads call ``let_others_in``.

And the threads that work take turns among themselves: only one of them at a time competes with the
reactor's thread, which waits behind each.  That costs nothing, for the lock lets only one go on
anyhow.  What needs no lock, as SQLite's own work and waiting for PostgreSQL, is done without the
turn.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, MutableMapping, MutableSequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

SWITCH_SECONDS = 0.0005
"""After each system call the reactor's thread waits for the lock, behind each busy thread for so
long; Python's own setting is 5 ms."""

WORK_SECONDS = 0.001
"""A thread works for so long before it lets others in."""

PAUSE_SECONDS = 0.00005
"""Longer than a thread takes to wake up."""

PATIENCE_SECONDS = 0.02
"""How many seconds a thread waits for its turn."""

STEPS = 50
"""Small steps of a loop that are taken between two looks at the clock."""

T = TypeVar("T")


class Courtesy(threading.local):
    """What each thread remembers of when it let others in.

    :param worked: tells the seconds for which this thread has had a processor.  Asking takes a
        system call, so it is asked only once so much time has passed.
    :param clock: tells the time, without one.
    """

    def __init__(
        self,
        worked: Callable[[], float] = time.thread_time,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._worked = worked
        self._sleep = sleep
        self._clock = clock
        self._last = worked()
        self._due = clock() + WORK_SECONDS

    def let_others_in(self) -> None:
        """Give the threads that wait for the lock time to take it, now and then."""
        if self._clock() < self._due:
            return
        now = self._worked()
        left = WORK_SECONDS - (now - self._last)
        if left <= 0:
            self._last, left = now, WORK_SECONDS
            with without_turn():
                self._sleep(PAUSE_SECONDS)
        self._due = self._clock() + left


class _Turn(threading.local):
    """Whether this thread is the one that works."""

    is_ours = False


_turn = threading.Lock()
_own = _Turn()
_courtesy = Courtesy()


@contextmanager
def in_turn() -> Iterator[None]:
    """Work as the only thread beside the reactor's; not for the reactor's own thread.

    Who doesn't get the turn soon works without it: nobody waits for a thread that is stuck.  A
    thread that has the turn already keeps it.
    """
    if _own.is_ours:
        yield
        return
    _take_turn()
    try:
        yield
    finally:
        _leave_turn()


class _WithoutTurn:
    """Leaves the turn for as long as it is entered; a class, for each statement enters two."""

    def __enter__(self) -> None:
        self._left = _leave_turn()

    def __exit__(self, *_: object) -> None:
        if self._left:
            _take_turn()


def without_turn() -> AbstractContextManager[None]:
    """Leave the turn to another thread meanwhile, where this one has it."""
    return _WithoutTurn()


def _take_turn() -> None:
    _own.is_ours = _turn.acquire(timeout=PATIENCE_SECONDS)


def _leave_turn() -> bool:
    left = _own.is_ours
    if left:
        _own.is_ours = False
        _turn.release()
    return left


def let_others_in() -> None:
    """Let other threads have Python's lock, if this one has worked for a millisecond."""
    _courtesy.let_others_in()


def politely(things: Iterable[T]) -> Iterator[T]:
    """Give one thing after the other; others are let in between."""
    for number, one in enumerate(things):
        if number % STEPS == 0:
            let_others_in()
        yield one


def take_apart(*parts: MutableMapping[Any, Any] | MutableSequence[Any]) -> None:
    """Let go of many things one by one: of all at once, Python lets go without a stop.

    Nothing else may refer to what they hold; else it stays, and goes with its last owner.
    """
    for part in parts:
        remove = part.popitem if isinstance(part, MutableMapping) else part.pop
        for _ in politely(range(len(part))):
            remove()


def switch_often() -> None:
    """Have threads hand the interpreter over soon, in a program that is about to start."""
    sys.setswitchinterval(SWITCH_SECONDS)
