"""Counters for monitoring: of audit events, the store's answers and the reactor's delay.

Sessions and channels are counted from their audit events, at no further cost.  A label
has few values: names of events, methods and directions, and nothing that a client chooses.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from tunnelcloud.domain.dial_failures import DialFailure
from tunnelcloud.domain.events import CATALOGUE, KeptEvent
from tunnelcloud.pod.metric_types import CounterMetric, HistogramMetric
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
        self._events = CounterMetric(
            "tunnelcloud_events", "Audit events that this pod wrote.", ["event"]
        )
        self._logins = CounterMetric(
            "tunnelcloud_logins", "SSH logins by method and result.", ["method", "result"]
        )
        self._bytes = CounterMetric(
            "tunnelcloud_closed_channel_bytes",
            "Bytes that channels had carried when they closed.",
            ["direction"],
        )
        self._refusals = CounterMetric(
            "tunnelcloud_channel_refusals",
            "Channels that were refused, by the rule or the limit that did so.",
            ["reason"],
        )
        self._dials = HistogramMetric(
            "tunnelcloud_dial_seconds",
            "From the decision that a channel is allowed until its target accepts it.",
            _WAITS,
        )
        self._dial_failures = CounterMetric(
            "tunnelcloud_dial_failures",
            "Channels that were allowed and whose target could not be reached.",
            ["reason"],
        )
        self._session_seconds = HistogramMetric(
            "tunnelcloud_session_seconds", "How long sessions lasted.", _LENGTHS
        )
        self._store_seconds = HistogramMetric(
            "tunnelcloud_store_seconds", "How long the store took to answer.", _WAITS, ["work"]
        )
        self._store_errors = CounterMetric(
            "tunnelcloud_store_errors",
            "Answers of the store that were errors, ordinary refusals included.",
            ["work"],
        )
        self._delay = HistogramMetric(
            "tunnelcloud_reactor_delay_seconds",
            "How late the reactor did what it had to do at a set time.",
            _DELAYS,
        )
        for event in CATALOGUE:
            self._events.begin(event)
        for failure in DialFailure:
            self._dial_failures.begin(failure.value)
        for method in _METHODS:
            for result in ("succeeded", "refused"):
                self._logins.begin(method, result)

    def all(self) -> list[CounterMetric | HistogramMetric]:
        """Give all of them, in the order in which they are shown."""
        return [
            self._events, self._logins, self._bytes, self._refusals, self._dials,
            self._dial_failures, self._session_seconds, self._store_seconds, self._store_errors,
            self._delay,
        ]  # fmt: skip

    def committed(self, committed: Committed) -> None:
        """Count what a transaction recorded; called in a thread of the store."""
        for record in committed.records:
            self._count(record.event)

    def _count(self, event: KeptEvent) -> None:
        self._events.add(event.event)
        if event.event in ("login.succeeded", "login.refused"):
            method = str(event.data.get("method", ""))
            self._logins.add(
                method if method in _METHODS else "other", event.event.removeprefix("login.")
            )
        elif event.event == "channel.closed":
            self._bytes.add("to_target", by=_number(event, "bytes_to_target"))
            self._bytes.add("from_target", by=_number(event, "bytes_from_target"))
        elif event.event == "session.ended":
            self._session_seconds.add(_number(event, "seconds"))

    def refused(self, reason: str) -> None:
        """Count a channel that was refused.

        :param reason: a rule's name, or a limit's; one of a few that the program has.
        """
        self._refusals.add(reason)

    def dialled(self, seconds: float) -> None:
        """Count a channel whose target accepted it."""
        self._dials.add(seconds)

    def not_dialled(self, failure: DialFailure) -> None:
        """Count a channel whose target no connector could reach."""
        self._dial_failures.add(failure.value)

    def answered(self, work: str, seconds: float, failed: bool) -> None:
        """Count an answer of the store.

        :param work: ``"read"`` or ``"write"``.
        """
        self._store_seconds.add(seconds, work)
        if failed:
            self._store_errors.add(work)

    def clock_watch(self, clock: IReactorTime) -> Callable[[], None]:
        """Make what is to be called every :data:`DELAY_SECONDS` to see how late the reactor is."""
        due = [clock.seconds()]

        def look() -> None:
            now = clock.seconds()
            self._delay.add(max(0.0, now - due[0]))
            due[0] = now + DELAY_SECONDS

        return look


def _number(event: KeptEvent, name: str) -> float:
    value = event.data.get(name, 0)
    return float(value) if isinstance(value, int | float) else 0.0
