"""What `/metrics` shows: read when it is asked for, so that the hot path counts nothing twice."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from tunnelcloud.channels.windows import CreditBudget
from tunnelcloud.net.interfaces import IFloodControl
from tunnelcloud.pod.links import Links
from tunnelcloud.pod.live_sessions import LiveSessions


class _PodCollector(Collector):
    def __init__(
        self, sessions: LiveSessions, links: Links, flood: IFloodControl, budget: CreditBudget
    ) -> None:
        self._sessions = sessions
        self._links = links
        self._flood = flood
        self._budget = budget

    def collect(self) -> Iterator[Metric]:
        for name, text, value in [
            ("sessions", "Authenticated SSH connections.", len(self._sessions)),
            ("channels", "Forwarded TCP connections.", self._sessions.open_channels),
            ("links", "TLS connections to connectors.", len(tuple(self._links.attached))),
            ("credit_bytes", "Window credit granted to peers.", self._budget.used),
        ]:
            yield GaugeMetricFamily(f"tunnelcloud_{name}", text, value=value)
        connections = CounterMetricFamily(
            "tunnelcloud_ssh_connections", "SSH connections by outcome.", labels=["outcome"]
        )
        counters = dict(self._flood.counters())
        for name, text in [
            ("starting", "SSH connections that haven't logged in."),
            ("penalised", "Sources of SSH connections that have penalties."),
        ]:
            yield GaugeMetricFamily(f"tunnelcloud_ssh_{name}", text, value=counters.pop(name))
        for outcome, count in counters.items():
            connections.add_metric([outcome], count)
        yield connections


def metrics_registry(
    sessions: LiveSessions, links: Links, flood: IFloodControl, budget: CreditBudget
) -> CollectorRegistry:
    """Make the registry of one pod."""
    registry = CollectorRegistry()
    registry.register(_PodCollector(sessions, links, flood, budget))
    return registry
