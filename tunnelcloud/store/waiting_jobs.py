"""The jobs that wait for the one thread that writes.

A user who causes many jobs at once keeps others waiting for one of them, and not for all.
"""

from __future__ import annotations

import queue
from collections import deque
from itertools import islice
from operator import itemgetter
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class WaitingJobs(Generic[T]):
    """A queue that gives jobs in the order of coming, but one of each causer at a time.

    A job without a known causer counts as the only one of its own causer.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        # What the thread waits for: one for each job that waits, and one more after ``close``.
        self._calls: queue.SimpleQueue[None] = queue.SimpleQueue()
        # By causer, or by the job's number without one: numbers and jobs, the oldest first.
        self._of: dict[str | int, deque[tuple[int, T]]] = {}
        self._number = 0
        self._count = 0

    def __len__(self) -> int:
        """Count the jobs that wait."""
        return self._count

    def put(self, causer: str, job: T) -> None:
        """Add a job.

        :param causer: the user or API token that causes it; empty if that isn't known.
        """
        with self._lock:
            self._number += 1
            self._count += 1
            self._of.setdefault(causer or self._number, deque()).append((self._number, job))
            self._calls.put(None)

    def close(self) -> None:
        """Have ``take`` return nothing once it has given all jobs; none may be put after this."""
        self._calls.put(None)

    def take(self, most: int) -> list[T]:
        """Wait until there are jobs, and take at most one of each causer.

        :param most: how many jobs to take at most.
        :return: the jobs in their order of coming; empty once the queue is closed and empty.
        """
        self._calls.get()
        with self._lock:
            taken = []
            for causer in list(islice(self._of, most)):
                jobs = self._of.pop(causer)
                taken.append(jobs.popleft())
                if jobs:
                    self._of[causer] = jobs  # behind the others
            self._count -= len(taken)
            for _ in taken[1:]:
                self._calls.get()
        return [job for _, job in sorted(taken, key=itemgetter(0))]
