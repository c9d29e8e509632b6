"""Counts that monitoring asks for, kept by the pod itself: Prometheus' library shows them.

The library takes a megabyte, and each count by it a few microseconds.  So it is loaded when
somebody asks for the metrics (``metrics``).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from threading import Lock

from attrs import define, field


@define(eq=False)
class CounterMetric:
    """Counts that only grow, by the values of some labels; from any thread.

    :ivar name: the metric's, without ``_total``.
    :ivar text: what is counted, for whoever reads the metrics.
    """

    name: str
    text: str
    labels: Sequence[str] = ()
    counts: dict[tuple[str, ...], float] = field(factory=dict, init=False)
    _lock: Lock = field(factory=Lock, init=False)

    def begin(self, *values: str) -> None:
        """Show a count of nothing."""
        self.add(*values, by=0)

    def add(self, *values: str, by: float = 1) -> None:
        """Count one more, or some."""
        with self._lock:
            self.counts[values] = self.counts.get(values, 0) + by


@define(eq=False)
class HistogramMetric:
    """How long something took, by the values of some labels; from any thread.

    :ivar buckets: the longest time of each bucket, in seconds; one more is for what is longer.
    :ivar counts: how many are in each bucket, by the values of the labels.
    :ivar sums: the seconds of all.
    """

    name: str
    text: str
    buckets: Sequence[float]
    labels: Sequence[str] = ()
    counts: dict[tuple[str, ...], list[int]] = field(factory=dict, init=False)
    sums: dict[tuple[str, ...], float] = field(factory=dict, init=False)
    _lock: Lock = field(factory=Lock, init=False)

    def __attrs_post_init__(self) -> None:
        if not self.labels:
            self._begin(())

    def _begin(self, values: tuple[str, ...]) -> list[int]:
        self.sums[values] = 0.0
        self.counts[values] = counts = [0] * (len(self.buckets) + 1)
        return counts

    def add(self, seconds: float, *values: str) -> None:
        """Count one more."""
        with self._lock:
            counts = self.counts.get(values) or self._begin(values)
            counts[bisect_left(self.buckets, seconds)] += 1
            self.sums[values] += seconds

    def up_to(self, values: tuple[str, ...]) -> list[tuple[str, int]]:
        """Give how many took as long as each bucket's longest or less, by its text."""
        names = [*map(str, map(float, self.buckets)), "+Inf"]
        return list(zip(names, accumulate(self.counts[values]), strict=True))
