"""What a log's settings may say: how much is logged, in all and of each area of the program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from attrs import frozen

Level = Literal["debug", "info", "warn", "error", "critical"]
Area = Literal["audit", "connector", "link", "net", "pod", "sinks", "ssh", "store", "web"]

LEVELS: tuple[Level, ...] = get_args(Level)
AREAS: Mapping[Area, tuple[str, ...]] = {
    "audit": ("tunnelcloud.pod.audit_log",),
    "connector": ("tunnelcloud.connector",),
    "link": ("tunnelcloud.link",),
    "net": ("tunnelcloud.net", "tunnelcloud.daemon"),
    "pod": ("tunnelcloud.pod",),
    "sinks": ("tunnelcloud.sinks",),
    "ssh": ("tunnelcloud.ssh", "twisted.conch"),
    "store": ("tunnelcloud.store",),
    "web": ("tunnelcloud.web", "twisted.web"),
}
"""The modules of each area, with all below them; a narrower area takes its own from a wider one."""


@frozen
class Verbosity:
    """How much is logged.

    :ivar level: lines of this level and of those above it are logged, and no others.
    :ivar levels: another level for an area.
    """

    level: Level = "info"
    levels: Mapping[Area, Level] = {}


def read_verbosity(value: object) -> Verbosity:
    """Read a ``[log]`` table.

    :raise ValueError: with what is allowed.
    """
    if not isinstance(value, dict) or not set(value) <= {"level", "levels"}:
        raise ValueError('use level = "info" and levels = { link = "debug" }')
    levels = value.get("levels", {})
    if not isinstance(levels, dict):
        raise ValueError('use levels = { link = "debug" }')
    unknown = set(levels) - set(AREAS)
    if unknown:
        raise ValueError(f"there is no area {min(unknown)}: use {', '.join(AREAS)}")
    level = _read_level(value.get("level", "info"))
    return Verbosity(level, {area: _read_level(one) for area, one in levels.items()})


def _read_level(value: object) -> Level:
    for level in LEVELS:
        if value == level:
            return level
    raise ValueError(f"use one of {', '.join(LEVELS)}")
