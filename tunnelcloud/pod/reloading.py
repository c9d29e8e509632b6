"""What a running pod takes over from a changed pod.toml, and what it needs a restart for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from twisted.logger import Logger

from tunnelcloud.domain.addresses import read_networks
from tunnelcloud.net.log_levels import LOG_LEVELS
from tunnelcloud.net.source_limits import FloodControl
from tunnelcloud.settings import PodSettings
from tunnelcloud.settings_files import BadSettings
from tunnelcloud.web.http_limits import LimitedSite

_log = Logger()


class Reloading:
    """Reads the settings again when it is told to (SIGHUP), and passes on what has changed.

    A file with a fault changes nothing.  No stream is touched.

    :ivar settings: those that are in force; a setting that needs a restart stays as it was.
    """

    def __init__(
        self,
        settings: PodSettings,
        read: Callable[[], PodSettings],
        takers: Mapping[str, Callable[[Any], object]],
    ) -> None:
        """
        :param read: reads the settings as the start did; raises ``BadSettings``.
        :param takers: by a setting's name, such as ``"ssh.exempt_networks"``, what takes its new
            value over while the pod runs.
        """
        self.settings = settings
        self._read = read
        self._takers = takers

    def reload(self) -> None:
        """Take over what can change, and log the rest."""
        try:
            new = dict(_flat(self._read()))
        except BadSettings as error:
            _log.error("the settings stay as they were: {error}", error=str(error))
            return
        old = dict(_flat(self.settings))
        changed = [name for name in new if new[name] != old[name]]
        taken = [name for name in changed if name in self._takers]
        for name in taken:
            self._takers[name](new[name])
            self.settings = _with(self.settings, name, new[name])
        LOG_LEVELS.set(self.settings.log.plan)
        left = [name for name in changed if name not in self._takers]
        if left:
            _log.warn("a restart is needed for {names}", names=", ".join(left))
        _log.info("the settings were read again; changed: {names}", names=", ".join(taken) or "-")


def takers(
    settings: PodSettings, flood: FloodControl, web: LimitedSite
) -> dict[str, Callable[[Any], object]]:
    """Give, by a setting's name, what takes a new value over while the pod runs."""

    def exempt(networks: list[str]) -> None:
        flood.exempt(read_networks([*networks, *settings.ssh.proxy_protocol_from]))

    return {
        "drain": _is_read_when_needed,
        "log.format": _is_read_when_needed,
        "log.level": _is_read_when_needed,
        "log.levels": _is_read_when_needed,
        "tokens.lifetime": _is_read_when_needed,
        "ssh.exempt_networks": exempt,
        "web.trusted_proxies": lambda networks: web.trust(read_networks(networks)),
    }


def _is_read_when_needed(value: object) -> None:
    """Do nothing: the settings in force are asked each time."""


def _flat(table: BaseModel, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Give each setting with its name in dotted form."""
    for name in type(table).model_fields:
        value = getattr(table, name)
        if isinstance(value, BaseModel):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _with(settings: PodSettings, name: str, value: Any) -> PodSettings:
    section, dot, key = name.rpartition(".")
    if not dot:
        return settings.model_copy(update={key: value})
    table = getattr(settings, section).model_copy(update={key: value})
    return settings.model_copy(update={section: table})
