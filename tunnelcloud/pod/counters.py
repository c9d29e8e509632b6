"""Counters for monitoring: of audit events, the store's answers and the reactor's delay.

Sessions and channels are counted from their audit events, at no further cost.  A label
has few values: names of events, methods and directions, and nothing that a client chooses.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Histogram
from twisted.internet.interfaces import IReactorTime

from tunnelcloud.domain.dial_failures import DialFailure
from tunnelcloud.domain.events import CATALOGUE, KeptEvent
from tunnelcloud.store.transaction import Committed

DELAY_SECONDS = 0.5
"""How often it is measured how late the reactor is."""

_DELAYS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_WAITS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LENGTHS = (1, 10, 60, 300, 900, 3600, 14_400, 28_800, 86_400)
_METHODS = ("token", "key", "browser")


class Counters:
    """The counters and histograms of one pod."""

    def __init__(self) -> None:
        self._mine = registry = CollectorRegistry()
        self._events = Counter(
            "tunnelcloud_events", "Audit events that this pod wrote.", ["event"], registry=registry
        )
        self._logins = Counter(
            "tunnelcloud_logins",
            "SSH logins by method and result.",
            ["method", "result"],
            registry=registry,
        )
        self._bytes = Counter(
            "tunnelcloud_closed_channel_bytes",
            "Bytes that channels had carried when they closed.",
            ["direction"],
            registry=registry,
        )
        self._refusals = Counter(
            "tunnelcloud_channel_refusals",
            "Channels that were refused, by the rule or the limit that did so.",
            ["reason"],
            registry=registry,
        )
        self._dials = Histogram(
            "tunnelcloud_dial_seconds",
            "From the decision that a channel is allowed until its target accepts it.",
            buckets=_WAITS,
            registry=registry,
        )
        self._dial_failures = Counter(
            "tunnelcloud_dial_failures",
            "Channels that were allowed and whose target could not be reached.",
            ["reason"],
            registry=registry,
        )
        self._session_seconds = Histogram(
            "tunnelcloud_session_seconds",
            "How long sessions lasted.",
            buckets=_LENGTHS,
            registry=registry,
        )
        self._store_seconds = Histogram(
            "tunnelcloud_store_seconds",
            "How long the store took to answer.",
            ["work"],
            buckets=_WAITS,
            registry=registry,
        )
        self._store_errors = Counter(
            "tunnelcloud_store_errors",
            "Answers of the store that were errors, ordinary refusals included.",
            ["work"],
            registry=registry,
        )
        self._delay = Histogram(
            "tunnelcloud_reactor_delay_seconds",
            "How late the reactor did what it had to do at a set time.",
            buckets=_DELAYS,
            registry=registry,
        )
        for event in CATALOGUE:
            self._events.labels(event)
        for failure in DialFailure:
            self._dial_failures.labels(failure.value)
        for method in _METHODS:
            for result in ("succeeded", "refused"):
                self._logins.labels(method, result)

    def register(self, registry: CollectorRegistry) -> None:
        """Add these to a registry."""
        registry.register(self._mine)

    def committed(self, committed: Committed) -> None:
        """Count what a transaction recorded; called in a thread of the store."""
        for record in committed.records:
            self._count(record.event)

    def _count(self, event: KeptEvent) -> None:
        self._events.labels(event.event).inc()
        if event.event in ("login.succeeded", "login.refused"):
            method = str(event.data.get("method", ""))
            self._logins.labels(
                method if method in _METHODS else "other", event.event.removeprefix("login.")
            ).inc()
        elif event.event == "channel.closed":
            self._bytes.labels("to_target").inc(_number(event, "bytes_to_target"))
            self._bytes.labels("from_target").inc(_number(event, "bytes_from_target"))
        elif event.event == "session.ended":
            self._session_seconds.observe(_number(event, "seconds"))

    def refused(self, reason: str) -> None:
        """Count a channel that was refused.

        :param reason: a rule's name, or a limit's; one of a few that the program has.
        """
        self._refusals.labels(reason).inc()

    def dialled(self, seconds: float) -> None:
        """Count a channel whose target accepted it."""
        self._dials.observe(seconds)

    def not_dialled(self, failure: DialFailure) -> None:
        """Count a channel whose target no connector could reach."""
        self._dial_failures.labels(failure.value).inc()

    def answered(self, work: str, seconds: float, failed: bool) -> None:
        """Count an answer of the store.

        :param work: ``"read"`` or ``"write"``.
        """
        self._store_seconds.labels(work).observe(seconds)
        if failed:
            self._store_errors.labels(work).inc()

    def clock_watch(self, clock: IReactorTime) -> Callable[[], None]:
        """Make what is to be called every :data:`DELAY_SECONDS` to see how late the reactor is."""
        due = [clock.seconds()]

        def look() -> None:
            now = clock.seconds()
            self._delay.observe(max(0.0, now - due[0]))
            due[0] = now + DELAY_SECONDS

        return look


def _number(event: KeptEvent, name: str) -> float:
    value = event.data.get(name, 0)
    return float(value) if isinstance(value, int | float) else 0.0
