"""Many sessions whose pod dies come to another one at once; libssh2 takes the least for each."""

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from ssh2.exceptions import SSH2Error

from benchmarks.clients import Crowd, Login

LOGGING_IN_AT_ONCE = 50
COMING_BACK_AT_ONCE = 400
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 8.0
_NOBODY = -1


class ComingBack:
    """So many threads log in; who is refused tries again after a second, then two, up to eight.

    :param log_ins: what each session calls to log in.
    :param patience: for how many seconds it tries.
    :ivar waits: seconds from the pod's death until each session was back.
    :ivar attempts: seconds that the last attempt of each took.
    :ivar refusals: how often each error came.
    """

    def __init__(self, log_ins: Sequence[Callable[[], Login]], patience: float) -> None:
        self.waits: list[float] = []
        self.attempts: list[float] = []
        self.refusals: Counter[str] = Counter()
        self._log_ins = log_ins
        self._patience = patience
        self._due: queue.PriorityQueue[tuple[float, int, float]] = queue.PriorityQueue()
        self._settled = threading.Semaphore(0)
        self._began = 0.0

    def run(self, idle: Crowd) -> None:
        """Log all in; return when each is back, or has no more patience."""
        self._began = time.perf_counter()
        for place in range(len(self._log_ins)):
            self._due.put((0.0, place, FIRST_PAUSE))
        threads = [
            threading.Thread(target=self._work, args=(idle,)) for _ in range(COMING_BACK_AT_ONCE)
        ]
        for thread in threads:
            thread.start()
        for _ in self._log_ins:
            self._settled.acquire()
        for _ in threads:
            self._due.put((0.0, _NOBODY, 0.0))
        for thread in threads:
            thread.join()

    def _now(self) -> float:
        return time.perf_counter() - self._began

    def _work(self, idle: Crowd) -> None:
        while True:
            at, place, pause = self._due.get()
            if place == _NOBODY:
                return
            time.sleep(max(0.0, at - self._now()))
            tried = self._now()
            try:
                idle.logins.append(self._log_ins[place]())
            except (OSError, SSH2Error) as error:
                self.refusals[str(error)[:60] or type(error).__name__] += 1
                if self._now() + pause < self._patience:
                    again = (self._now() + pause, place, min(2 * pause, LONGEST_PAUSE))
                    self._due.put(again)
                    continue
            else:
                self.waits.append(self._now())
            self.attempts.append(self._now() - tried)
            self._settled.release()


def log_in_all(log_ins: Sequence[Callable[[], Login]], idle: Crowd) -> None:
    """Log all in, some at a time."""
    with ThreadPoolExecutor(LOGGING_IN_AT_ONCE) as threads:
        idle.logins.extend(threads.map(lambda log_in: log_in(), log_ins))
