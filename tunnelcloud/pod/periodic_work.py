"""Periodic work that never stops silently: what fails is told once, counted, and run again.

A task that fails waits longer each time, up to a bound; one that doesn't come to an end is
cancelled.  Knows nothing of what the tasks do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from attrs import define, frozen
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from tunnelcloud.store.errors import StoreUnavailable

LONGEST_DELAY = 10.0
"""Seconds that a failing task waits at most, unless its own period is longer."""

PATIENCE = 60.0
"""Seconds after which a run is given up, unless the task's period is longer."""

_log = Logger()


@frozen
class TaskReport:
    """The state of a task.

    :ivar failures: how often it has failed since the start.
    :ivar since_success: seconds since it last came to a good end, or since the start.
    """

    name: str
    failures: int
    since_success: float


@define(eq=False)
class _Task:
    """One task.

    :ivar in_a_row: how often it has failed since it last came to a good end.
    :ivar running: the run that is under way.
    """

    name: str
    work: Callable[[], object]
    seconds: float
    good_at: float
    failures: int = 0
    in_a_row: int = 0
    told: str = ""
    running: Deferred[object] | None = None
    call: IDelayedCall | None = None


class Supervisor:
    """Runs tasks again and again, whatever becomes of a run."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._tasks: list[_Task] = []
        self._stopped = False

    def run(self, name: str, work: Callable[[], object], seconds: float) -> None:
        """Run a task now and then every so many seconds; one run at a time.

        :param work: its answer may be a Deferred, which is waited for.
        """
        task = _Task(name, work, seconds, self._clock.seconds())
        self._tasks.append(task)
        self._begin(task)

    def stop(self) -> None:
        """Begin no further run, and give up those that are under way."""
        self._stopped = True
        for task in self._tasks:
            if task.call is not None and task.call.active():
                task.call.cancel()
            if task.running is not None:
                task.running.cancel()

    def reports(self) -> Iterator[TaskReport]:
        """Return the state of each task."""
        now = self._clock.seconds()
        for task in self._tasks:
            yield TaskReport(task.name, task.failures, now - task.good_at)

    def _begin(self, task: _Task) -> None:
        began = self._clock.seconds()
        task.running = running = maybeDeferred(task.work)
        task.call = self._clock.callLater(max(PATIENCE, task.seconds), running.cancel)
        running.addCallbacks(
            self._succeeded, self._failed, callbackArgs=(task,), errbackArgs=(task,)
        )
        running.addBoth(self._over, task, began)

    def _succeeded(self, _: object, task: _Task) -> None:
        if task.in_a_row:
            _log.info(
                "{name} works again, after {count} failures", name=task.name, count=task.in_a_row
            )
        task.in_a_row, task.told = 0, ""
        task.good_at = self._clock.seconds()

    def _failed(self, failure: Failure, task: _Task) -> None:
        if self._stopped and failure.check(CancelledError):
            return
        task.failures += 1
        task.in_a_row += 1
        if failure.check(CancelledError):
            why = "it didn't come to an end"
        else:
            why = failure.getErrorMessage()
        if why == task.told:
            return
        task.told = why
        if failure.check(StoreUnavailable, CancelledError):
            _log.warn("{name} failed, and is tried again: {why}", name=task.name, why=why)
        else:
            _log.failure("{name} failed, and is tried again", failure, name=task.name)

    def _over(self, _: object, task: _Task, began: float) -> None:
        task.running = None
        if task.call is not None and task.call.active():
            task.call.cancel()
        if not self._stopped:
            delay = self._delay(task, self._clock.seconds() - began)
            task.call = self._clock.callLater(delay, self._begin, task)

    def _delay(self, task: _Task, took: float) -> float:
        if task.in_a_row:
            longest = max(task.seconds, LONGEST_DELAY)
            return min(longest, task.seconds * 2.0 ** min(task.in_a_row, 16))
        return task.seconds - took % task.seconds
