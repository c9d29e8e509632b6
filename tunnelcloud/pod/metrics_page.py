"""The page ``/metrics``.

Prometheus' library is loaded when somebody asks for the page first: most pods are never asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelcloud.pod.counters import Counters
from tunnelcloud.pod.measured import Measured

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


class MetricsPage:
    """Answers requests for ``/metrics``.

    :param of: what the gauges are read from.
    """

    def __init__(self, of: Measured, counters: Counters) -> None:
        self._of = of
        self._counters = counters
        self._registry: CollectorRegistry | None = None

    def answer(self) -> tuple[str, bytes]:
        """Return the page's content type and its text."""
        from tunnelcloud.pod.metrics import metrics_registry, written

        if self._registry is None:
            self._registry = metrics_registry(self._of, self._counters)
        return written(self._registry)
