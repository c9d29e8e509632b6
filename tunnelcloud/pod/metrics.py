"""The text of ``/metrics``: gauges are read on request, so that the hot path counts nothing twice.

This module loads Prometheus' library, so it is loaded when somebody asks for the metrics.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterator

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from tunnelcloud import __version__
from tunnelcloud.pod.counters import Counters
from tunnelcloud.pod.measured import Measured
from tunnelcloud.pod.metric_types import CounterMetric

OTHER_SITES = "other"
"""The label that all further sites share.  A site of this name shares it, too."""


class _PodCollector(Collector):
    def __init__(self, of: Measured) -> None:
        self._of = of

    def collect(self) -> Iterator[Metric]:
        of = self._of
        build = GaugeMetricFamily(
            "tunnelcloud_build_info", "Versions of the program.", labels=["version", "python"]
        )
        build.add_metric([__version__, platform.python_version()], 1)
        yield build
        links = tuple(of.links.attached)
        for name, text, value in [
            ("ready", "Whether this pod is ready for clients.", of.ready()),
            ("sessions", "Authenticated SSH connections.", len(of.sessions)),
            ("channels", "Forwarded TCP connections.", of.sessions.open_channels),
            ("held_channels", "Channels that wait for an approval.", len(of.held)),
            ("links", "TLS connections to connectors.", len(links)),
            ("ends_waiting", "Ends that the store hasn't taken yet.", of.records.waiting),
            ("credit_bytes", "Window credit granted to peers.", of.budget.used),
            ("credit_limit_bytes", "Window credit that may be granted.", of.budget.total),
            ("acme_failures", "Certificate orders failed in a row.", of.refused_certificates()),
            ("change_feed_age_seconds", "For how long changes may be missed.", of.feed_age()),
        ]:
            yield GaugeMetricFamily(f"tunnelcloud_{name}", text, value=float(value))
        yield from self._connectors()
        yield self._targets()
        yield self._certificates()
        yield self._bytes()
        yield from self._database()
        yield from self._connections()
        yield from self._sinks()

    def _connectors(self) -> Iterator[Metric]:
        attached = GaugeMetricFamily(
            "tunnelcloud_connectors_attached", "Connectors with a link here.", labels=["site"]
        )
        trips = GaugeMetricFamily(
            "tunnelcloud_link_round_trip_seconds", "The slowest link's ping.", labels=["site"]
        )
        away = GaugeMetricFamily(
            "tunnelcloud_connectors_away",
            "Connectors that have joined, and have no link here.",
            labels=["site"],
        )
        known = self._of.measures()
        here: dict[str, set[str]] = {name: set() for name in known.sites.values()}
        slowest: dict[str, float] = {}
        for link in self._of.links.attached:
            name = known.sites.get(link.connector.site_id, OTHER_SITES)
            here.setdefault(name, set()).add(link.connector_id)
            trip = link.protocol.liveness.round_trip
            if trip is not None:
                slowest[name] = max(trip, slowest.get(name, 0.0))
        joined: Counter[str] = Counter()
        for site, count in known.joined.items():
            joined[known.sites.get(site, OTHER_SITES)] += count
        for name in sorted(here.keys() | joined.keys()):
            count = len(here.get(name, ()))
            attached.add_metric([name], count)
            away.add_metric([name], max(0, joined[name] - count))
        for name, seconds in slowest.items():
            trips.add_metric([name], seconds)
        yield from (attached, away, trips)

    def _bytes(self) -> Metric:
        carried = CounterMetricFamily(
            "tunnelcloud_bytes", "Bytes that channels have carried.", labels=["direction"]
        )
        for direction, count in zip(
            ("to_target", "from_target"), self._of.sessions.traffic(), strict=True
        ):
            carried.add_metric([direction], count)
        return carried

    def _database(self) -> Iterator[Metric]:
        size, file = self._of.measures().size, self._of.database
        if file is not None:
            size = file.stat().st_size if file.exists() else 0
        if size is not None:
            yield GaugeMetricFamily(
                "tunnelcloud_database_bytes", "SQLite's file, or PostgreSQL's database.", value=size
            )

    def _targets(self) -> Metric:
        targets = GaugeMetricFamily(
            "tunnelcloud_targets", "Tunnels by their last check here.", labels=["state"]
        )
        found = Counter("ok" if one.ok else "failing" for one in self._of.checks.all())
        for state in ("ok", "failing"):
            targets.add_metric([state], found[state])
        return targets

    def _certificates(self) -> Metric:
        ends = GaugeMetricFamily(
            "tunnelcloud_certificate_seconds_left",
            "Until certificates end.",
            labels=["certificate"],
        )
        for name, moment in self._of.certificates().items():
            ends.add_metric([name], (moment - self._of.now()).total_seconds())
        return ends

    def _connections(self) -> Iterator[Metric]:
        for door, whose, flood in [
            ("ssh", "SSH connections", self._of.flood),
            ("connector", "Connections of connectors", self._of.link_flood),
        ]:
            connections = CounterMetricFamily(
                f"tunnelcloud_{door}_connections", f"{whose} by outcome.", labels=["outcome"]
            )
            counters = dict(flood.counters())
            for name, text in [
                ("starting", f"{whose} that nobody has vouched for yet."),
                ("penalised", f"{whose}: sources that have penalties."),
            ]:
                full_name = f"tunnelcloud_{door}_{name}"
                yield GaugeMetricFamily(full_name, text, value=counters.pop(name))
            for outcome, count in counters.items():
                connections.add_metric([outcome], count)
            yield connections
        yield from self._tasks()

    def _tasks(self) -> Iterator[Metric]:
        failures = CounterMetricFamily(
            "tunnelcloud_task_failures", "Runs of periodic work that failed.", labels=["task"]
        )
        ages = GaugeMetricFamily(
            "tunnelcloud_task_age_seconds",
            "Seconds since periodic work last came to a good end.",
            labels=["task"],
        )
        for report in self._of.supervisor.reports():
            failures.add_metric([report.name], report.failures)
            ages.add_metric([report.name], report.since_success)
        yield failures
        yield ages

    def _sinks(self) -> Iterator[Metric]:
        events = CounterMetricFamily(
            "tunnelcloud_sink_events", "Audit events by sink and result.", labels=["sink", "result"]
        )
        failures = CounterMetricFamily(
            "tunnelcloud_sink_failures", "Tries to deliver that failed.", labels=["sink"]
        )
        waiting = GaugeMetricFamily(
            "tunnelcloud_spool_bytes", "What waits on disk for a sink.", labels=["sink"]
        )
        limit = GaugeMetricFamily(
            "tunnelcloud_spool_limit_bytes", "What may wait on disk for a sink.", labels=["sink"]
        )
        for report in self._of.sinks.reports():
            events.add_metric([report.name, "delivered"], report.delivered)
            events.add_metric([report.name, "dropped"], report.dropped)
            failures.add_metric([report.name], report.failures)
            waiting.add_metric([report.name], report.waiting_bytes)
            limit.add_metric([report.name], report.limit_bytes)
        yield from (events, failures, waiting, limit)


class _Counted(Collector):
    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    def collect(self) -> Iterator[Metric]:
        for one in self._counters.all():
            if isinstance(one, CounterMetric):
                counter = CounterMetricFamily(one.name, one.text, labels=one.labels)
                for values, count in tuple(one.counts.items()):
                    counter.add_metric(values, count)
                yield counter
            else:
                histogram = HistogramMetricFamily(one.name, one.text, labels=one.labels)
                for values in tuple(one.counts):
                    histogram.add_metric(values, one.up_to(values), one.sums[values])
                yield histogram


def metrics_registry(measured: Measured, counters: Counters) -> CollectorRegistry:
    """Make the registry of one pod, with Prometheus' usual metrics of a process."""
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    registry.register(_PodCollector(measured))
    registry.register(_Counted(counters))
    return registry


def written(registry: CollectorRegistry) -> tuple[str, bytes]:
    """Write a registry in Prometheus' text format; give the content's type, and the text."""
    return CONTENT_TYPE_LATEST, generate_latest(registry)
