"""What waits for the one thread that writes.

Whoever causes much at once keeps others waiting for one of these jobs, and not for all.
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
    """Jobs in the order in which they came, but of each causer one at a time.

    Jobs without a known causer take no turns.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        # Wakes the thread: as many as there are jobs, and one more at the end.
        self._calls: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._of: dict[str | int, deque[tuple[int, T]]] = {}
        self._number = 0
        self._count = 0

    def __len__(self) -> int:
        """Tell how many wait."""
        return self._count

    def put(self, causer: str, job: T) -> None:
        """Have a job wait; ``causer`` is empty where nobody is known."""
        with self._lock:
            self._number += 1
            self._count += 1
            self._of.setdefault(causer or self._number, deque()).append((self._number, job))
            self._calls.put(None)

    def close(self) -> None:
        """Let ``take`` end, once it has given all that waits."""
        self._calls.put(None)

    def take(self, most: int) -> list[T]:
        """Wait for jobs, and give some of them; empty at the end."""
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
