"""The settings of a log: its format, and its level for each area of the program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from attrs import evolve, frozen

Format = Literal["text", "json"]
Level = Literal["debug", "info", "warn", "error", "critical"]
Area = Literal["audit", "connector", "link", "net", "pod", "sinks", "ssh", "store", "web"]

FORMATS: tuple[Format, ...] = get_args(Format)
LEVELS: tuple[Level, ...] = get_args(Level)
AREAS: Mapping[Area, tuple[str, ...]] = {
    "audit": ("tunnelcloud.audit",),
    "connector": ("tunnelcloud.connector",),
    "link": ("tunnelcloud.link",),
    "net": ("tunnelcloud.net", "tunnelcloud.daemon"),
    "pod": ("tunnelcloud.pod",),
    "sinks": ("tunnelcloud.sinks",),
    "ssh": ("tunnelcloud.ssh", "twisted.conch"),
    "store": ("tunnelcloud.store",),
    "web": ("tunnelcloud.web", "twisted.web"),
}
"""The namespaces of each area's loggers, which are modules but for the audit, with all below them;
a narrower area takes its own from a wider one."""


@frozen
class LogPlan:
    """The levels and the format of a log.

    :ivar level: lines of this level and of those above it are logged, and no others.
    :ivar levels: another level for an area.
    :ivar format: how a line is written.
    """

    level: Level = "info"
    levels: Mapping[Area, Level] = {}
    format: Format = "text"


def read_log_plan(value: object) -> LogPlan:
    """Read a ``[log]`` table.

    :raise ValueError: with what is allowed.
    """
    if not isinstance(value, dict) or not set(value) <= {"level", "levels", "format"}:
        raise ValueError('use level = "info", levels = { link = "debug" } and format = "text"')
    levels = value.get("levels", {})
    if not isinstance(levels, dict):
        raise ValueError('use levels = { link = "debug" }')
    unknown = set(levels) - set(AREAS)
    if unknown:
        raise ValueError(f"there is no area {min(unknown)}: use {', '.join(AREAS)}")
    level = _read_level(value.get("level", "info"))
    plan = LogPlan(level, {area: _read_level(one) for area, one in levels.items()})
    for known in FORMATS:
        if value.get("format", plan.format) == known:
            return evolve(plan, format=known)
    raise ValueError(f"format: use one of {', '.join(FORMATS)}")


def _read_level(value: object) -> Level:
    for level in LEVELS:
        if value == level:
            return level
    raise ValueError(f"use one of {', '.join(LEVELS)}")
