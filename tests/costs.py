"""How the cost of some work grows with what it is done to."""

import gc
import time

LINEAR = 8.0
"""The most that four times as much may cost: 4 is linear, 16 quadratic."""

_SMALLEST = 0.002
"""Seconds of CPU time that count as the least: below, noise is larger than the work."""


def cpu_seconds(work, repeats=3):
    """Give the CPU time of this thread that some work takes, the best of several runs.

    Python's collector of cycles looks at all that the process has: it stands still meanwhile.
    """
    best = float("inf")
    gc.disable()
    try:
        for _ in range(repeats):
            began = time.thread_time()
            work()
            best = min(best, time.thread_time() - began)
    finally:
        gc.enable()
    return best


def growth(work, make, size):
    """Say how many times as long four times as much takes.

    A machine that others share may be slow for a while: what seems to be more than linear is
    measured again, and the least counts.

    :param work: takes what ``make`` gives for a size.
    """
    small, large = make(size), make(4 * size)
    least = float("inf")
    for _ in range(3):
        low = cpu_seconds(lambda: work(small))
        high = cpu_seconds(lambda: work(large))
        least = min(least, high / max(low, _SMALLEST))
        if least < LINEAR:
            break
    return least


def left_in_cycles(work, times=20):
    """Count the objects that some work, each time, leaves to Python's collector of cycles.

    What was there before isn't looked at: a process that has run many tests has much.
    """
    work()
    gc.disable()
    gc.freeze()
    try:
        for _ in range(times):
            work()
        return gc.collect() / times
    finally:
        gc.unfreeze()
        gc.enable()
