"""Which lines reach the log: those of their area's level, or above it; and how they are written.

``twistd`` chooses where the log goes after the settings were read, so what it chooses is wrapped.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.logger import (
    FilteringLogObserver,
    ILogFilterPredicate,
    ILogObserver,
    LogBeginner,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    PredicateResult,
    globalLogBeginner,
)
from zope.interface import implementer

from tunnelcloud.domain.log_areas import AREAS, LogPlan
from tunnelcloud.net.log_lines import write_lines


@implementer(ILogFilterPredicate)
class LogLevels:
    """Tells which events are logged; may be changed at any time."""

    def __init__(self) -> None:
        self.set(LogPlan())

    def set(self, plan: LogPlan) -> None:
        """Change the levels and the format from now on."""
        self._plan = plan
        default = LogLevel.levelWithName(plan.level)
        lookup = LogLevelFilterPredicate(defaultLogLevel=default)
        for area, namespaces in AREAS.items():
            level = plan.levels.get(area)
            for namespace in namespaces:
                chosen = default if level is None else LogLevel.levelWithName(level)
                lookup.setLogLevelForNamespace(namespace, chosen)
        self._lookup = lookup

    def is_json(self) -> bool:
        """Tell whether lines are written as JSON."""
        return self._plan.format == "json"

    def __call__(self, event: LogEvent) -> Any:
        """Tell whether an event is to be logged; one without a level is."""
        level = event.get("log_level")
        wanted = self._lookup.logLevelForNamespace(event.get("log_namespace", ""))
        if level is None or level >= wanted:
            return PredicateResult.maybe
        return PredicateResult.no


LOG_LEVELS = LogLevels()
"""Of this process, as the log is."""


def filter_all(beginner: LogBeginner = globalLogBeginner) -> None:
    """Filter the log that is about to begin by ``LOG_LEVELS``."""
    begin = beginner.beginLoggingTo

    def begin_filtered(observers: Iterable[ILogObserver], *rest: Any, **named: Any) -> None:
        chosen = list(observers)
        for one in chosen:
            write_lines(one, LOG_LEVELS.is_json)
        begin([FilteringLogObserver(one, [LOG_LEVELS]) for one in chosen], *rest, **named)

    beginner.beginLoggingTo = begin_filtered  # type: ignore[method-assign]
